"""What it costs pyd2 to be watched: by metrics, the history, and the stream of events.

Run: python -m benchmarks.watched [--case delay ...] [--rounds 9] [--older /path/to/an/older/bin/pyd2]

``scrape``: CPU time of a scrape, and of each answer of the API, with 20,000 zones. ``delay``: how long
requests take alone, and beside a scraper and eight readers of the events. ``metrics`` and ``history``: how
many requests pyd2 does with them, compared with pyd2 without. ``older``: another pyd2, with all of it off,
compared with this one. Each takes a minute or two. Nothing else should run on the machine: only the CPU times
mean something on a busy one. The exit status is 1 where a goal is not reached.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import shlex
import socket
import subprocess
import sys
import threading
import time
from math import inf
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from benchmarks.build import load_program
from benchmarks.cases import Case
from benchmarks.daemon import (
    TEMPLATE,
    Subject,
    cpu_seconds,
    default_subjects,
    end_on_sigterm,
    free_port,
    running,
    work_directory,
)
from benchmarks.errors import BenchmarkError
from benchmarks.figures import advantage
from benchmarks.measure import RUN_SECONDS, Bench, raise_limits, sound
from benchmarks.settings import Settings, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.daemon import Daemon
    from benchmarks.figures import Run, Summary

READERS: Final = 8
"""Of the stream of events: as many as pyd2 allows."""
SCRAPES: Final = 15
"""Of which the median counts."""
MOST_SCRAPE_MS: Final = 60.0
MOST_DELAY_MS: Final = 2.0
LEAST_METRICS: Final = 0.97
LEAST_HISTORY: Final = 0.85
MOST_DRIFT: Final = 0.01
"""How much slower than an older pyd2 this one may be with all off."""
_HISTORY: Final = {"enabled": True, "directory": "@DIRECTORY@"}
_WAIT: Final = 60.0
"""Seconds for one answer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; return 1 if a goal is not reached or a run failed."""
    options = parser().parse_args(arguments)
    raise_limits()
    reached = True
    for name in options.case or [name for name in CASES if name != "older" or options.older]:
        begun = time.monotonic()
        try:
            reached &= CASES[name](options)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            reached = False
        print(f"{name}: {time.monotonic() - begun:.0f} s\n", flush=True)
    return 0 if reached else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--case", action="append", choices=CASES,
                      help="may be repeated; all, if none is named")
    made.add_argument("--rounds", type=int, default=9, help="pairs of runs, whose median counts (9)")
    made.add_argument("--seconds", type=float, default=2.0, help="of each run (2)")
    made.add_argument("--zones", type=int, default=20_000, help="with scrape and delay (20,000)")
    made.add_argument("--rate", type=int, default=1000, help="requests a second, with delay (1,000)")
    made.add_argument("--every", type=float, default=1.0, help="seconds between scrapes, with delay (1)")
    made.add_argument("--older", metavar="COMMAND",
                      help="another pyd2; {} stands for its configuration file, without it -c {} is added")
    return made


# What watches.


class Answer(NamedTuple):
    """What came back to a GET."""

    status: int
    octets: int


def fetch(port: int, path: str) -> Answer:
    """Return the answer to a GET. Raises BenchmarkError where none comes."""
    octets, head = 0, b""
    try:
        with _asked(port, path) as connection:
            while data := connection.recv(1 << 18):
                head = head or data
                octets += len(data)
    except OSError as error:
        raise BenchmarkError(f"{path} is not answered: {error}") from error
    if not head.startswith(b"HTTP/1."):
        raise BenchmarkError(f"{path} is answered with {head[:80]!r}")
    return Answer(int(head[9:12]), octets)


def _asked(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), _WAIT)
    connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    return connection


class Watchers:
    """A scraper and readers of the events, in one thread, while the context lasts."""

    def __init__(self, port: int, every: float | None, readers: int = READERS) -> None:
        """``every``: seconds from scrape to scrape; None: there are none."""
        self.scrapes = 0
        self.octets_read = 0
        """Of the events."""
        self._port = port
        self._every = every
        self._readers = readers
        self._fault = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if kind is None and self._fault:
            raise BenchmarkError(self._fault)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                for _ in range(self._readers):
                    selector.register(_asked(self._port, "/api/v1/events"), selectors.EVENT_READ, "events")
                self._watch(selector)
            except OSError as error:
                self._fault = f"a watcher has lost its connection: {error}"
            finally:
                for key in [*selector.get_map().values()]:
                    assert isinstance(key.fileobj, socket.socket)
                    key.fileobj.close()

    def _watch(self, selector: selectors.BaseSelector) -> None:
        next_scrape = inf if self._every is None else time.monotonic()
        while not self._end.is_set():
            now = time.monotonic()
            if self._every is not None and now >= next_scrape:
                selector.register(_asked(self._port, "/metrics"), selectors.EVENT_READ, "metrics")
                next_scrape = now + self._every
            for key, _ in selector.select(min(0.05, max(0.0, next_scrape - now))):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                data = connection.recv(1 << 18)
                if key.data == "events":
                    if not data:
                        raise OSError("pyd2 ended a stream of events")
                    self.octets_read += len(data)
                elif not data:
                    selector.unregister(connection)
                    connection.close()
                    self.scrapes += 1


# The daemon with many zones.


class Watched(NamedTuple):
    """A running pyd2 with metrics and page."""

    daemon: Daemon
    ports: tuple[int, int]
    """For requests, and of its DNS server."""
    http: int


def _socket(port: int, **pages: bool) -> dict[str, Any]:
    return {"socket-type": "http", "socket-port": port, "user-context": {"pyd2": pages}}


@contextlib.contextmanager
def watched_daemon(options: argparse.Namespace) -> Iterator[Watched]:
    """Run a pyd2 with many zones, half of them reverse ones. Raises BenchmarkError."""
    ports, http = (free_port(), free_port()), free_port()
    context = {
        "http": [_socket(http, metrics=True, web=True)],
        "metrics": {"max-zones": options.zones},
        "history": _HISTORY,
    }
    settings = Settings(domains=options.zones // 2, user_context=context)
    with work_directory() as directory:
        text = fill(TEMPLATE.read_text(), settings, ncr_port=ports[0], dns_port=ports[1], beside_port=0,
                    directory=str(directory), libraries=[])
        with running(default_subjects()[0], text, directory, ports, {}) as daemon:
            yield Watched(daemon, ports, http)


def _load(on: Watched, options: argparse.Namespace, first: int) -> Run:
    """Offer requests at the rate; return the figures. Raises BenchmarkError."""
    command = [
        str(load_program()), "--ncr-port", str(on.ports[0]), "--dns-port", str(on.ports[1]),
        "--pid", str(on.daemon.pid), "--domains", str(options.zones // 2), "--rate", str(options.rate),
        "--seconds", str(options.seconds), "--first", str(first),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    if done.returncode != 0:
        raise BenchmarkError(done.stderr.strip())
    figures = sound("delay", done.stdout)
    if figures["lost"]:
        raise BenchmarkError(f"{figures['lost']} of {figures['sent']} requests were lost")
    return figures


# The cases.


def scrape(options: argparse.Namespace) -> bool:
    """Show the CPU time of a scrape and of each answer of the API."""
    paths = {
        "a scrape": "/metrics", "status": "/api/v1/status", "servers": "/api/v1/servers",
        "zones, 500 of them": "/api/v1/zones?limit=500", "zones, one by name": "/api/v1/zones?q=d00042.",
        "explain": f"/api/v1/explain?name=h.{_first_zone(options)}&address=10.0.0.1",
    }
    with watched_daemon(options) as on:
        print(f"CPU time of pyd2 with {options.zones} zones:  first time  then")
        found = {name: _cost(on, path) for name, path in paths.items()}
        for name, (first, then, octets) in found.items():
            print(f"  {name:34} {first:8.1f} ms {then:8.2f} ms   {octets:9} octets")
        before, begun = cpu_seconds(on.daemon.pid), time.monotonic()
        with Watchers(on.http, every=None) as watchers:
            time.sleep(5 * min(1.0, options.seconds))
            used = cpu_seconds(on.daemon.pid) - before
            seconds = time.monotonic() - begun
        print(f"  {READERS} readers of the events           {1000 * used / seconds:10.1f} ms a second   "
              f"{watchers.octets_read / READERS / seconds:9.0f} octets a second each")
    return _verdict("a scrape", found["a scrape"][1], MOST_SCRAPE_MS, "ms of CPU time", more=False)


def _first_zone(options: argparse.Namespace) -> str:
    return "d00000.bench.example." if options.zones > 3 else "bench.example."


def _cost(on: Watched, path: str) -> tuple[float, float, int]:
    """Return the milliseconds of CPU time of the first answer and of later ones, and their octets."""
    used = []
    answer = Answer(0, 0)
    for _ in range(SCRAPES + 1):
        before = cpu_seconds(on.daemon.pid)
        answer = fetch(on.http, path)
        used.append(1000 * (cpu_seconds(on.daemon.pid) - before))
        if answer.status != 200:
            raise BenchmarkError(f"{path} is answered with {answer.status}")
    return used[0], median(used[1:]), answer.octets


def delay(options: argparse.Namespace) -> bool:
    """Show how long requests take alone, and beside watchers, in turn on the same pyd2."""
    alone: list[Run] = []
    beside: list[Run] = []
    scrapes = first = 0
    with watched_daemon(options) as on:
        fetch(on.http, "/metrics")
        for number in range(options.rounds):
            for watching in (False, True) if number % 2 == 0 else (True, False):
                first += 20_000
                if not watching:
                    alone.append(_load(on, options, first))
                    continue
                with Watchers(on.http, options.every) as watchers:
                    beside.append(_load(on, options, first))
                scrapes += watchers.scrapes
    print(f"{options.rate} requests a second, {options.zones} zones, medians of {options.rounds}; beside: "
          f"{READERS} readers of the events, and {scrapes} scrapes in all")
    difference = 0.0
    for figure in ("p50_ms", "p99_ms", "p999_ms", "max_ms"):
        one, two = (median([run[figure] for run in runs]) for runs in (alone, beside))
        print(f"  {figure:8} alone {one:8.2f}   beside {two:8.2f}   more by {two - one:6.2f}")
        if figure == "p99_ms":
            difference = two - one
    return _verdict("p99 beside", difference, MOST_DELAY_MS, "ms more than alone", more=False)


def metrics(options: argparse.Namespace) -> bool:
    """Compare metrics on with off."""
    context = {"http": [_socket(free_port(), metrics=True)]}
    rate = _pairs(options, "metrics on", Settings(user_context=context))
    return _verdict("metrics on", rate.median, LEAST_METRICS, "times the rate without", more=True)


def history(options: argparse.Namespace) -> bool:
    """Compare the history on with off."""
    rate = _pairs(options, "history on", Settings(user_context={"history": _HISTORY}))
    return _verdict("history on", rate.median, LEAST_HISTORY, "times the rate without", more=True)


def older(options: argparse.Namespace) -> bool:
    """Compare this pyd2 with another one, with all of it off."""
    if not options.older:
        raise BenchmarkError("--older COMMAND names the other pyd2")
    command = tuple(shlex.split(options.older))
    if "{}" not in command:
        command = (*command, "-c", "{}")
    rate = _pairs(options, "this pyd2", Settings(), Subject("older", command))
    return _verdict("this pyd2", rate.median, 1 - MOST_DRIFT, "times the older one's rate", more=True)


CASES: Final[dict[str, Callable[[argparse.Namespace], bool]]] = {
    "scrape": scrape, "delay": delay, "metrics": metrics, "history": history, "older": older,
}


def _pairs(
    options: argparse.Namespace, what: str, settings: Settings, other: Subject | None = None
) -> Summary:
    """Run pyd2 with these settings and, in turn, without them, or the other one; return the ratio of rates.

    Raises BenchmarkError.
    """
    bench, own = Bench(options.seconds), default_subjects()[0]
    with_it, without = Case("with", what, settings=settings), Case("without", "all off")
    one: list[Run] = []
    two: list[Run] = []
    for number in range(options.rounds):
        for turn in (0, 1) if number % 2 == 0 else (1, 0):
            if turn:
                one.append(bench.run(with_it, own))
            else:
                two.append(bench.run(without, other or own))
    print(f"{what}: pairs of runs, {options.rounds}")
    found: dict[str, Summary] = {}
    for figure in ("rate", "cpu_us"):
        ratio = advantage(one, two, figure)
        if ratio is None:
            raise BenchmarkError(f"{what}: nothing was measured")
        found[figure] = ratio
        values = [median([run[figure] for run in runs]) for runs in (one, two)]
        print(f"  {figure:8} {values[0]:10.1f} and {values[1]:10.1f} without: {ratio.median:.3f} times as "
              f"good, {ratio.low:.3f} to {ratio.high:.3f}")
    return found["rate"]


def _verdict(what: str, value: float, wanted: float, unit: str, *, more: bool) -> bool:
    reached = value >= wanted if more else value <= wanted
    print(f"{what}: {value:.3g} {unit}; {'at least' if more else 'at most'} {wanted:g} is wanted: "
          f"{'reached' if reached else 'NOT REACHED'}")
    return reached


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())

"""Isolation, measured: what one zone, server or client can do to a healthy zone beside it.

``python -m tests.faults isolation`` prints a table. Each kind of load runs under each set of switches, beside
a healthy zone with a steady stream of requests, and the row says: requests of the healthy zone that were
lost, the 99th percentile of its delay (from the request to its update) alone and beside the load, and for how
long the thread of the updates was held at most, in CPU time of that thread and by the clock.

The law: none lost, a delay beside that is at most 10 ms above that alone, and a thread that is held for 5 ms
at most. On a busy machine the clock includes other work; so the CPU time counts. What the machine itself
adds to that is measured first (``evenness.py``).
"""

import base64
import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.faults import probe
from tests.faults.evenness import Evenness
from tests.faults.healthy import ROOT, ZONE, Figures, Healthy
from tests.faults.load import domain
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

SICK: Final = "sick.test."
MORE_MS: Final = 10.0
"""By how many milliseconds the delay beside a load may be longer."""
SWITCHES: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "failover": {"failover": {"enabled": True}},
    "retry": {"retry": {"enabled": True}},
    "both": {"failover": {"enabled": True}, "retry": {"enabled": True}},
}
NOERROR, REFUSED = 0, 5
QUIET: Final = 8.0
"""Seconds after which a server that is back, and was not asked, will not be asked at all."""
BURST: Final = 5000.0
"""Requests per second where there are very many: fewer than the daemon takes on a machine that does much
else. What it cannot take waits in the kernel, before pyd2 can see whose it is.
"""


class SickServer:
    """A DNS server, or many, on ports of their own, with the answers that a test sets.

    ``port`` is that of a single one: a port that is free for TCP, too, must be leased.
    """

    def __init__(self, count: int = 1, port: int = 0) -> None:
        self.rcode: int | None = None
        """The RCODE of all answers; None: there are none."""
        self.flags = 0xA8
        self.rest = bytes(8)
        """What follows the RCODE in all answers: how many records, and these."""
        self.updates = 0
        self._sockets = []
        for _ in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", port))
            sock.setblocking(False)
            self._sockets.append(sock)
        self.ports = [int(sock.getsockname()[1]) for sock in self._sockets]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        poll = select.epoll()
        by_number = {sock.fileno(): sock for sock in self._sockets}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        while not self._end.is_set():
            for number, _ in poll.poll(0.1):
                sock = by_number[number]
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    while True:
                        update, asker = sock.recvfrom(4096)
                        self.updates += 1
                        if self.rcode is not None:
                            sock.sendto(update[:2] + bytes((self.flags, self.rcode)) + self.rest, asker)
        poll.close()


@dataclass
class Site:
    """A D2 with a healthy zone, as a load finds it."""

    seconds: float
    """How long the load lasts, unless its work takes longer."""
    backlog: int
    """How many requests stand for very many."""
    burst: float
    """How many of them are sent per second."""
    stack: contextlib.ExitStack
    directory: Path
    port: int = 0
    d2: D2 | None = None
    servers: list[SickServer] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    notes: str = ""

    def server(self, count: int = 1, port: int = 0) -> SickServer:
        """Have a sick server."""
        self.servers.append(self.stack.enter_context(SickServer(count, port)))
        return self.servers[-1]

    def send(self, requests: Iterable[bytes], rate: float = 0.0) -> int:
        """Send requests, at a rate or as fast as they can be made; return how many."""
        began, sent = time.monotonic(), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.port))
            for request in requests:
                if rate and sent >= (time.monotonic() - began) * rate:
                    time.sleep(max(0.001, sent / rate - (time.monotonic() - began)))
                sock.send(request)
                sent += 1
        return sent

    def status(self) -> dict[str, Any]:
        """Return the part of status-get's answer that Kea does not have."""
        assert self.d2 is not None
        status: dict[str, Any] = self.d2.command("status-get")["arguments"].get("pyd2", {})
        return status

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until something holds, looking now and then; return whether it does."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True


def _ask(numbers: Iterable[int], zone: str = SICK, *, change: int = ncr.ADD, one_name: bool = False,
         reverse: bool = False) -> Iterator[bytes]:
    """Make requests of as many clients, each with a name and an address of its own or all with the same."""
    for number in numbers:
        own = 0 if one_name else number
        address = f"10.{100 + (own >> 16)}.{own >> 8 & 255}.{own & 255}"
        name, client = f"s{own}.{zone}", f"000101{number:064X}"
        yield ncr.datagram(ncr.request(name, address, client, change=change, reverse=reverse))


# The loads: how each is configured, and what it does beside the healthy zone.


@dataclass(frozen=True)
class Kind:
    """A kind of load."""

    text: str
    prepare: Callable[[Site], None]
    """Completes the configuration."""
    run: Callable[[Site], None]
    """Does it; returns when it is over."""
    descriptors: int = 0
    """The hard limit of file descriptors; 0: that of the system."""


def _one_sick_zone(site: Site, port: int = 0) -> None:
    site.body["forward-ddns"]["ddns-domains"].append(domain(SICK, site.server(port=port).ports[0]))


def _backlog(site: Site) -> None:
    """A dead zone gets very many requests, counts as down, and comes back."""
    sent = site.send(_ask(range(site.backlog)), site.burst)
    time.sleep(site.seconds / 2)
    site.servers[0].rcode = NOERROR
    before, since = -1, time.monotonic()

    def quiet() -> bool:
        """Whether the server has had no update for longer than it takes to notice that it is back."""
        nonlocal before, since
        if before != site.servers[0].updates:
            before, since = site.servers[0].updates, time.monotonic()
        return time.monotonic() > since + QUIET

    site.wait(quiet, 300)
    site.notes = f"{sent} requests, {site.servers[0].updates} updates"


def _rivals(site: Site) -> None:
    """Very many clients want one name and one address, and the server refuses."""
    site.servers[0].rcode = REFUSED
    sent = site.send(_ask(range(site.backlog // 3), one_name=True, reverse=True), site.burst)
    time.sleep(site.seconds / 2)
    site.servers[0].rcode = NOERROR
    time.sleep(site.seconds / 2)
    site.notes = f"{sent} rivals, {site.servers[0].updates} updates"


def _removals(site: Site) -> None:
    """Removals are refused, again and again."""
    site.servers[0].rcode = REFUSED
    sent = site.send(_ask(range(site.backlog // 6), change=ncr.REMOVE), site.burst)
    time.sleep(site.seconds)
    site.notes = f"{sent} removals, {site.servers[0].updates} updates"


def _many_servers(site: Site) -> None:
    server = site.server(max(8, site.backlog // 1000))
    server.rcode = NOERROR
    site.body["forward-ddns"]["ddns-domains"] += [
        domain(f"z{number}.test.", port) for number, port in enumerate(server.ports)
    ]


def _use_all_servers(site: Site) -> None:
    """Requests for very many servers, with few file descriptors."""
    count = len(site.servers[0].ports)

    def requests() -> Iterator[bytes]:
        for number in range(int(site.seconds * 1000)):
            yield from _ask([number], f"z{number % count}.test.")

    sent = site.send(requests(), 1000)
    assert site.d2 is not None
    answers = site.d2.answers_commands()
    site.notes = (f"{count} servers, {sent} requests, {site.servers[0].updates} updates, commands "
                  f"{'answered' if answers else 'NOT ANSWERED'}")


def _truncated(site: Site) -> None:
    """Zone whose server says over UDP that all is truncated, and sends empty messages over TCP."""
    _one_sick_zone(site, site.stack.enter_context(PortLease()).take())
    server = site.servers[0]
    server.rcode, server.flags = NOERROR, 0xAA
    listener = site.stack.enter_context(socket.create_server(("127.0.0.1", server.ports[0]), backlog=64))
    listener.settimeout(0.2)
    end = threading.Event()

    def flood(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            while not end.is_set():
                connection.sendall(bytes(65536))

    def accept() -> None:
        while not end.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=flood, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    site.stack.callback(thread.join)
    site.stack.callback(end.set)


def _ask_truncated(site: Site) -> None:
    sent = site.send(_ask(range(int(20 * site.seconds))), 20)
    site.notes = f"{sent} requests answered with TC and empty TCP messages"


def _many_zones(site: Site) -> None:
    port = site.server().ports[0]
    site.servers[0].rcode = NOERROR
    site.body["forward-ddns"]["ddns-domains"] += [
        domain(f"z{number}.test.", port) for number in range(site.backlog // 15)
    ]


def _reload(site: Site) -> None:
    """Reloads of a configuration with very many zones."""
    assert site.d2 is not None
    end, done = time.monotonic() + site.seconds, 0
    count = len(site.body["forward-ddns"]["ddns-domains"])
    while not done or time.monotonic() < end:
        site.d2.process.send_signal(signal.SIGHUP)
        site.send(_ask(range(1000), f"z{done}.test."), 1000)
        site.d2.barrier()
        done += 1
    site.notes = f"{done} reloads of {count} zones"


def _many_keys(site: Site) -> None:
    port = site.server().ports[0]
    site.servers[0].rcode = NOERROR
    count = max(8, site.backlog // 150)
    secret = base64.b64encode(bytes(range(32))).decode()
    site.body["tsig-keys"] = [
        {"name": f"k{number}.", "algorithm": "HMAC-SHA256", "secret": secret} for number in range(count)
    ]
    site.body["forward-ddns"]["ddns-domains"] += [
        domain(f"z{number}.test.", port, **{"key-name": f"k{number}."}) for number in range(count)
    ]


def _use_all_keys(site: Site) -> None:
    """Updates signed with very many keys, and a client that asks for the statistics of all."""
    count = len(site.body["tsig-keys"])
    end = threading.Event()
    asked = 0

    def ask() -> None:
        nonlocal asked
        assert site.d2 is not None
        while not end.wait(0.2):
            site.d2.statistics()
            asked += 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def requests() -> Iterator[bytes]:
        for number in range(int(site.seconds * 300)):
            yield from _ask([number], f"z{number % count}.test.")

    sent = site.send(requests(), 300)
    end.set()
    thread.join()
    site.notes = f"{count} keys, {sent} requests, statistics asked for {asked} times"


def _read_slowly(site: Site) -> None:
    """Bursts of requests that are costly to read: with very many values, or not spelled as Kea's are."""
    values = ncr.datagram(b'{"a":[' + b"1," * 2030 + b"1]}")
    sent, end = 0, time.monotonic() + site.seconds
    while time.monotonic() < end:
        spelled = [ncr.datagram(b" " + request[2:]) for request in _ask(range(sent, sent + 64))]
        sent += site.send([*[values] * 64, *spelled])
        time.sleep(0.25)
    site.notes = f"{sent} requests, half of them with 2,000 values"


def _many_records(site: Site) -> None:
    """Updates whose answers have as many records as there is space for."""
    server = site.servers[0]
    record = b"\0" + bytes((0, 16, 0, 255)) + bytes(6)
    server.rcode, server.rest = NOERROR, b"\0\0\2\xbc\0\0\0\0" + 700 * record
    sent = site.send(_ask(range(int(500 * site.seconds))), 500)
    site.notes = f"{sent} requests, {server.updates} answers with 700 records"


def _hanging_log(site: Site) -> None:
    """Have the log in a pipe whose reader stops."""
    _one_sick_zone(site)
    site.servers[0].rcode = NOERROR
    fifo = site.directory / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    site.stack.callback(os.close, reader)
    site.body["loggers"] = [{"name": "kea-dhcp-ddns", "severity": "INFO",
                             "output-options": [{"output": str(fifo), "flush": True}]}]


def _write_much(site: Site) -> None:
    sent = site.send(_ask(range(int(site.seconds * 500))), 500)
    site.notes = f"{sent} more requests, the log has no reader"


KINDS: Final[dict[str, Kind]] = {
    "backlog": Kind("backlog of a dead zone that comes back", _one_sick_zone, _backlog),
    "rivals": Kind("rivals for one name and address", _one_sick_zone, _rivals),
    "servers": Kind("many DNS servers, few descriptors", _many_servers, _use_all_servers, 1024),
    "tcp": Kind("empty TCP messages at line rate", _truncated, _ask_truncated),
    "removals": Kind("late removals", _one_sick_zone, _removals),
    "reload": Kind("reloads of many zones", _many_zones, _reload),
    "keys": Kind("many keys", _many_keys, _use_all_keys),
    "log": Kind("a log that hangs", _hanging_log, _write_much),
    "costly": Kind("requests that are costly to read", _one_sick_zone, _read_slowly),
    "records": Kind("answers with very many records", _one_sick_zone, _many_records),
}


@dataclass(frozen=True)
class Row:
    """What one load has done."""

    kind: str
    switches: str
    alone: Figures
    beside: Figures
    holds: probe.Holds
    notes: str

    @property
    def fine(self) -> bool:
        """Whether the law was kept; the clock does not count, for others use the machine as well."""
        return (not self.alone.lost and not self.beside.lost and self.holds.cpu <= probe.BOUND
                and self.beside.p99 <= self.alone.p99 + MORE_MS)

    def text(self) -> str:
        """Return a line of the table."""
        holds = self.holds
        stolen = f"{holds.beyond_stolen}, {1000 * holds.stolen:.1f}" if holds.beyond_stolen else "0"
        return (f"| {self.kind} | {self.switches} | {self.beside.lost} of {self.beside.sent} "
                f"| {self.alone.p99:.1f} | {self.beside.p99:.1f} | {self.beside.longest:.0f} "
                f"| {1000 * holds.cpu:.1f} | {1000 * holds.clock:.1f} | {holds.beyond} of {holds.runs} "
                f"| {stolen} | {self.notes} | {'yes' if self.fine else 'NO'} |")


HEAD: Final = (
    "| load | switches | healthy zone lost | p99 alone, ms | p99 beside, ms | longest, ms | held, ms of CPU "
    "| held, ms by the clock | beyond 5 ms of CPU | the same with time that the host took: number, ms "
    "| what was done | kept |\n" + "|---" * 12 + "|"
)


def measure(
    name: str, switches: str, seconds: float, rate: float, backlog: int, burst: float = BURST
) -> Row:
    """Run one load beside a healthy zone."""
    kind = KINDS[name]
    with contextlib.ExitStack() as stack:
        healthy = stack.enter_context(Healthy())
        directory = stack.enter_context(private_directory())
        site = Site(seconds, backlog, burst, stack, directory, stack.enter_context(PortLease()).take())
        site.body = {
            "forward-ddns": {"ddns-domains": [domain(ZONE, healthy.dns_port)]},
            "user-context": {"pyd2": SWITCHES[switches]},
        }
        kind.prepare(site)
        seen = directory / "probe"
        seen.write_bytes(bytes(probe.SIZE))
        program = directory / "probed"
        limit = f"ulimit -n {kind.descriptors}\n" if kind.descriptors else ""
        program.write_text(f"#!/bin/sh\n{limit}PYTHONPATH={ROOT}:$PYTHONPATH exec {sys.executable} "
                           f'-m tests.faults.probe {seen} "$@"\n')
        program.chmod(0o700)
        d2 = site.d2 = D2.start(str(program), directory, config(site.port, site.body))
        stack.callback(d2.process.kill)  # waiting requests need not end
        d2.wait_for_listener(site.port)
        time.sleep(0.5)
        healthy.start(site.port, rate)
        time.sleep(max(2.0, seconds / 2))
        alone = healthy.stop()
        probe.read(seen, clear=True)
        healthy.start(site.port, rate)
        kind.run(site)
        beside = healthy.stop()
        assert d2.alive, d2.process.output()[-4000:]
        return Row(name, switches, alone, beside, probe.read(seen), site.notes)


def isolation(
    loads: Sequence[str], switches: Sequence[str], seconds: float, rate: float, backlog: int, burst: float
) -> bool:
    """Print the table; return whether the law was kept in all rows."""
    one, five, _ = os.getloadavg()
    print(f"{rate:g} requests/s for the healthy zone, {seconds:g} s, {backlog} requests for very many at "
          f"{burst:g}/s; load of the machine before: {one:.1f}, {five:.1f}", flush=True)
    print(f"{Evenness.measure(20).text()}\n\n{HEAD}", flush=True)
    fine = True
    for name in loads or KINDS:
        for choice in switches or SWITCHES:
            row = measure(name, choice, seconds, rate, backlog, burst)
            print(row.text(), flush=True)
            fine = fine and row.fine
    return fine



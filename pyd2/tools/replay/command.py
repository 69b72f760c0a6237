"""``pyd2ctl replay``: the command line."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.config.parse import read_file
from pyd2.data.controls import escaped
from pyd2.data.counted import counted
from pyd2.errors import ConfigError
from pyd2.tools.daemon_process import DaemonError
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.kea import add_kea_option, kea_profile
from pyd2.tools.progress import Progress
from pyd2.tools.replay.anonymise import SHORTEST_KEY, Anonymiser
from pyd2.tools.replay.errors import CaptureError
from pyd2.tools.replay.source import Request, Source
from pyd2.tools.replay.write import LineWriter, PcapWriter, shifted
from pyd2.tools.requests import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

USUAL_PORT: Final = 53001
_LONG_PAUSE: Final = 60.0
"""A pause of more seconds is named, so that one knows that nothing is wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl replay``."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a capture: pcap, pcapng, or JSON lines of the daemon or of 'pyd2ctl queue export'",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=USUAL_PORT,
        metavar="N",
        help=f"in packets: the UDP port that requests went to (default: {USUAL_PORT})",
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="the first N requests only")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--to", type=Endpoint.parse, metavar="ADDRESS:PORT", help="send them to this daemon")
    goal.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write them to a new file: packets if its name ends in .pcap, else JSON lines",
    )
    goal.add_argument(
        "--against",
        action="append",
        metavar="PROGRAM",
        help="twice: run both daemons, each with a DNS server of its own, and compare what they "
        "do; 'pyd2' is this one",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="FACTOR|max",
        help="with --to: so many times as fast as they came (default: 1)",
    )
    parser.add_argument(
        "--shift",
        action="store_true",
        help="move the ends of the leases by the time that has passed since the capture",
    )
    parser.add_argument(
        "--at-once",
        type=_count,
        default=100,
        metavar="N",
        help="with --against: requests under way at a time (default: 100)",
    )
    parser.add_argument(
        "--anonymise",
        type=Path,
        metavar="KEYFILE",
        help="replace names below the zones, hosts and clients; the file holds the key, "
        f"at least {SHORTEST_KEY} random octets",
    )
    parser.add_argument(
        "--zone",
        action="append",
        default=[],
        metavar="ZONE",
        help="with --anonymise and --against: a zone of the site, forward or reverse",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="the same: all zones of this configuration")
    add_kea_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; exit status 0: done, and both daemons did the same; 1: they did not; 2: it could not be done."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        raise
    except (CaptureError, ConfigError, DaemonError, ValueError) as error:
        print(f"pyd2ctl replay: {escaped(str(error))}", file=sys.stderr)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"pyd2ctl replay: {escaped(place)}{error.strerror or error}", file=sys.stderr)
    return 2


def _run(arguments: argparse.Namespace) -> int:
    zones = [*arguments.zone, *_zones_of(arguments)]
    if (arguments.against or arguments.anonymise) and not zones:
        raise ValueError("needs the zones: -c CONFIG, or --zone for each")
    if arguments.against and len(arguments.against) != 2:
        raise ValueError("needs --against twice, one for each daemon")
    change = _change(arguments, zones)
    source = Source(arguments.file, arguments.port)
    total, first = _look(source, arguments.limit)
    shift = time.time() - first if arguments.shift and first is not None else 0.0
    requests = _Requests(source, arguments.limit, lambda octets: change(shifted(octets, shift)))
    if arguments.against:
        return _compare(arguments, zones, requests, total)
    if arguments.write:
        done = _write(arguments.write, requests, total)
        print(f"wrote {counted(done, 'request')} to {arguments.write}")
    else:
        done = _send(arguments, requests, total)
        print(
            f"sent {counted(done, 'request')} to {arguments.to}; "
            "see the daemon's log and statistics for the outcome"
        )
    if requests.unreadable:
        count = counted(requests.unreadable, "request")
        print(f"{count} left out: not readable, so not to be anonymised", file=sys.stderr)
    return 0


class _Requests:
    """The requests of a file, changed; they are read while they are played."""

    def __init__(self, source: Source, limit: int | None, change: Callable[[bytes], bytes | None]) -> None:
        self._source = source
        self._limit = limit
        self._change = change
        self.unreadable = 0
        """Those that could not be changed, and are left out."""

    def __iter__(self) -> Iterator[Request]:
        for request in islice(self._source.read(), self._limit):
            changed = self._change(request.datagram)
            if changed is None:
                self.unreadable += 1
            else:
                yield Request(request.at, changed)


def _look(source: Source, limit: int | None) -> tuple[int, float | None]:
    """Read a file once, so that a damaged one sends nothing.

    Returns how many requests there are, and the time of the first one. Raises ValueError if there are none.
    """
    first: float | None = None
    with Progress("reading") as progress:
        for request in islice(source.read(), limit):
            progress.done += 1
            first = request.at if first is None else first
    for what, count in sorted(source.left_out.items()):
        print(f"left out: {count} {what}", file=sys.stderr)
    if source.cut_short:
        print(f"{escaped(source.cut_short)}: what is before that counts", file=sys.stderr)
    if not progress.done:
        raise ValueError(f"{source}: there are no requests")
    return progress.done, first


def _zones_of(arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.config is None:
        return
    root = read_file(arguments.config, kea_profile(arguments).config)
    for direction in ("forward-ddns", "reverse-ddns"):
        member = root.get(direction)
        domains = member.get("ddns-domains") if member is not None else None
        for domain in domains.value if domains is not None and isinstance(domains.value, list) else ():
            name = domain.get("name")
            if name is not None and name.string_value() != "*":
                yield name.string_value()


def _change(arguments: argparse.Namespace, zones: list[str]) -> Callable[[bytes], bytes | None]:
    """Return what is to be done to each datagram."""
    if arguments.anonymise is None:
        return lambda octets: octets
    key = arguments.anonymise.read_bytes()
    if len(key) < SHORTEST_KEY:
        raise ValueError(
            f"{arguments.anonymise}: {len(key)} octets are too few for a key; make one with "
            f"'head -c 32 /dev/urandom > {arguments.anonymise}'"
        )
    return Anonymiser(key, zones).request


def _send(arguments: argparse.Namespace, requests: Iterable[Request], total: int) -> int:
    """Send all, each as long after the first as it was in the capture; return how many."""
    sent = 0
    with Sender(arguments.to) as sender, Progress("sending", total) as progress:
        begun = time.monotonic()
        first: float | None = None
        for request in requests:
            if request.at is not None:
                first = request.at if first is None else first
                wait = begun + (request.at - first) / arguments.speed - time.monotonic()
                progress.note = f"the next one in {wait:.0f} s" if wait > _LONG_PAUSE else ""
                if wait > 0:
                    time.sleep(wait)
            sender.send(request.datagram)
            progress.done = sent = sent + 1
    return sent


def _write(path: Path, requests: Iterable[Request], total: int) -> int:
    """Write all to a new file; return how many."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("xb"))
        progress = stack.enter_context(Progress("writing", total))
        writer = PcapWriter(file) if path.suffix == ".pcap" else LineWriter(file)
        for request in requests:
            writer.add(request)
            progress.done += 1
        return progress.done


def _compare(arguments: argparse.Namespace, zones: list[str], requests: Iterable[Request], total: int) -> int:
    from pyd2.tools.replay.against import Player, differences

    datagrams = [request.datagram for request in requests]
    programs = [[sys.executable, "-m", "pyd2"] if name == "pyd2" else [name] for name in arguments.against]
    seen = []
    for name, program in zip(arguments.against, programs, strict=True):
        with Progress(f"playing to {name}", total) as progress:
            player = Player(program, zones, arguments.at_once, progress)
            seen.append(asyncio.run(player.play(datagrams)))
        print(f"{name}: {seen[-1]}")
    found = list(differences(*arguments.against, *seen))
    for line in found:
        print(escaped(line))
    print("both did the same" if not found else "they did NOT do the same")
    return 1 if found else 0


def _speed(text: str) -> float:
    speed = math.inf if text == "max" else float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return speed


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return count

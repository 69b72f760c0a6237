"""``pyd2ctl why``: the command line, and the story of a host."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.config.parse import read_file
from pyd2.config.switches import HistorySwitches, parse_switches
from pyd2.data.controls import escaped
from pyd2.errors import ConfigError
from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, parse_query
from pyd2.tools.kea import add_kea_option, kea_profile, read_portable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from pyd2.history.search import Event

_RESULTS = {
    "failed": "FAILED",
    "unmatched": "NOT MATCHED",
    "expired": "GIVEN UP",
    "retrying": "FAILED, to be retried",
}
"""How a result is shown, if not as it is."""


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where the history is."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "-c", "--config", metavar="FILE", help="the daemon's configuration, which names the directory"
    )
    place.add_argument(
        "--directory", metavar="DIR", help=f"the directory of the history ({HistorySwitches().directory})"
    )
    place.add_argument("--file", metavar="FILE", help="the file itself, such as a copy")
    add_kea_option(parser)


def history_path(arguments: argparse.Namespace) -> Path:
    """Return the path of the history that the options name. Raises ConfigError."""
    if arguments.file is not None:
        return Path(arguments.file)
    directory = arguments.directory
    if directory is None:
        directory = HistorySwitches().directory
    if arguments.config is not None:
        read = read_file(arguments.config, kea_profile(arguments).config)
        switches = parse_switches(read.get("user-context"))
        directory = switches.history.directory
        if not switches.history.enabled:
            print(f"{arguments.config} has no history: set history.enabled", file=sys.stderr)
    return Path(directory, FILE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl why``."""
    parser.add_argument(
        "what",
        metavar="HOST|ADDRESS",
        help="a name, the beginning of names with a final *, an address, a network, or a request ID",
    )
    add_place_arguments(parser)
    parser.add_argument(
        "--limit", type=int, default=10, metavar="N", help="events at most, the newest first (10)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write the events as JSON, one a line")
    form.add_argument(
        "--dns", action="store_true", help="with -c: also ask its DNS servers what they hold of each host now"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the events; exit status 0: the newest one went well, 1: it did not, 2: there is none."""
    try:
        ask = _dns_now(arguments)
        query = parse_query(arguments.what)
        history = History(history_path(arguments))
    except (ConfigError, HistoryError, ValueError) as error:
        print(f"pyd2ctl why: {escaped(str(error))}", file=sys.stderr)
        return 2
    try:
        events = list(history.find(query, limit=arguments.limit))
        if not events:
            print(*_nothing(arguments.what, *history.span()), sep="\n", file=sys.stderr)
            return 2
    except HistoryError as error:
        print(f"pyd2ctl why: {escaped(str(error))}", file=sys.stderr)
        return 2
    finally:
        history.close()
    if arguments.json:
        for event in events:
            print(json.dumps(event._asdict()))
    else:
        for line in _story(events, ask):
            print(escaped(line))
    return 0 if events[0].result in {"done", "superseded"} else 1


def _nothing(what: str, rows: int, since: float | None) -> Iterator[str]:
    yield f"nothing is known of {escaped(what)}"
    if since is None:
        yield "the history is empty"
        return
    yield f"the history has {rows} requests since {local_time(since)}"
    yield (
        "if the host got its lease after that, pyd2 received no request: look at ddns-send-updates and "
        "enable-updates of the DHCP server, and at what the client asks for (its flags N and S)"
    )


def _dns_now(arguments: argparse.Namespace) -> Callable[[Event], list[str]] | None:
    """Return what asks the DNS servers, if that is wanted. Raises ConfigError and ValueError."""
    if not arguments.dns:
        return None
    if arguments.config is None:
        raise ValueError("--dns needs the daemon's configuration, which names the DNS servers: -c FILE")
    from pyd2.tools.why.dns_now import DnsNow

    config, _ = read_portable(arguments.config, kea_profile(arguments).config)
    return DnsNow(config).lines


def _story(events: Sequence[Event], ask: Callable[[Event], list[str]] | None) -> Iterator[str]:
    explained: set[tuple[str, str]] = set()
    for number, (name, group) in enumerate(groupby(events, attrgetter("name"))):
        if number:
            yield ""
        yield name
        of_host = list(group)
        for event in of_host:
            yield from _event(event, explained)
        if ask is not None:
            yield "  DNS now"
            yield from (f"      {line}" for line in ask(of_host[0]))


def _event(event: Event, explained: set[tuple[str, str]]) -> Iterator[str]:
    result = _RESULTS.get(event.result, event.result)
    fault = f"  {event.fault}" if event.fault and event.result not in {"superseded", "unmatched"} else ""
    server = f"  {event.server}" if event.server else ""
    ms = "" if event.ms is None else f"  {event.ms:.1f} ms"
    yield f"  {local_time(event.at)}  {event.operation:6} {event.address}  {result}{fault}{server}{ms}"
    yield f"      client {event.client}, {event.mode}{_ways(event)}"
    if event.note and event.result in {"expired", "failed", "retrying"}:
        yield f"      {event.note}"
    if event.why and (event.why, event.mend) not in explained:
        explained.add((event.why, event.mend))
        yield f"      Why:  {event.why}"
        yield f"      Mend: {event.mend}"


def _ways(event: Event) -> str:
    ways = [
        f"{name} {state}" for name, state in (("forward", event.forward), ("PTR", event.reverse)) if state
    ]
    return f": {', '.join(ways)}" if ways else ""


def local_time(at: float) -> str:
    """Return a time as it is shown."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

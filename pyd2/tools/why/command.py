"""``pyd2ctl why``: the command line, and the story of a host."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.config.parse import read_file
from pyd2.config.switches import HistorySwitches, parse_switches
from pyd2.data.controls import escaped
from pyd2.errors import ConfigError
from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, parse_query
from pyd2.tools import kea
from pyd2.tools.kea import add_kea_option, kea_profile, read_portable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyd2.history.search import Event

DIRECTORY: Final = HistorySwitches().directory
"""Where the history is, if nothing says it."""
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
        "-c", "--config", metavar="FILE",
        help=f"the daemon's configuration, which names the directory ({kea.PACKAGED_CONFIG})",
    )
    place.add_argument(
        "--directory", metavar="DIR", help="the directory of the history"
    )
    place.add_argument("--file", metavar="FILE", help="the file itself, such as a copy")
    add_kea_option(parser)


def history_path(arguments: argparse.Namespace) -> Path:
    """Return the path of the history that the options name. Raises ConfigError."""
    if arguments.file is not None:
        return Path(arguments.file)
    if arguments.directory is not None:
        return Path(arguments.directory, FILE)
    return Path(_directory(arguments), FILE)


def _directory(arguments: argparse.Namespace) -> str:
    """Return the directory that a configuration names: the packaged one, if no other is given and it does."""
    rules = kea_profile(arguments).config
    if arguments.config is None:
        with contextlib.suppress(ConfigError):
            packaged = parse_switches(read_file(kea.PACKAGED_CONFIG, rules).get("user-context")).history
            if packaged.enabled:
                return packaged.directory
        return DIRECTORY
    history = parse_switches(read_file(arguments.config, rules).get("user-context")).history
    if not history.enabled:
        print(f"{arguments.config} has no history: set history.enabled", file=sys.stderr)
    return history.directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl why``."""
    parser.add_argument(
        "what",
        metavar="HOST|ADDRESS",
        help="a name, the beginning of names with a final *, an address, a network, or a request ID",
    )
    add_place_arguments(parser)
    parser.add_argument(
        "--limit", type=_number, default=10, metavar="N", help="events at most, the newest first (10)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write the events as JSON, one a line")
    form.add_argument(
        "--dns", action="store_true", help="with -c: also ask its DNS servers what they hold of each host now"
    )


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it must be at least 1: {text}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Show the events; exit status 0: the newest one went well, 1: it did not, 2: there is none."""
    try:
        ask = _dns_now(arguments)
        query = parse_query(arguments.what)
        path = history_path(arguments)
        history = History(path)
    except (ConfigError, HistoryError, ValueError) as error:
        print(f"pyd2ctl why: {escaped(str(error))}", file=sys.stderr)
        return 2
    try:
        events = list(history.find(query, limit=arguments.limit))
        if not events:
            print(*_nothing(arguments.what, path, *history.span()), sep="\n", file=sys.stderr)
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


def _nothing(what: str, path: Path, rows: int, since: float | None) -> Iterator[str]:
    yield f"nothing is known of {escaped(what)}"
    if since is None:
        yield f"the history is empty: {escaped(str(path))}"
        return
    yield f"the history has {rows} requests since {local_time(since)}: {escaped(str(path))}"
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
    explained: dict[tuple[str, str], str] = {}
    hosts: dict[str, list[Event]] = {}
    for event in events:
        hosts.setdefault(event.name, []).append(event)
    for number, (name, of_host) in enumerate(hosts.items()):
        if number:
            yield ""
        yield name
        for event in of_host:
            yield from _event(event, explained)
            if event is of_host[0]:
                yield from _afterwards(event)
        if ask is not None:
            yield "  DNS now"
            yield from (f"      {line}" for line in ask(of_host[0]))


def _event(event: Event, explained: dict[tuple[str, str], str]) -> Iterator[str]:
    """Yield the lines of an event; ``explained`` are the reasons that were given, and for which host."""
    result = _RESULTS.get(event.result, event.result)
    fault = f"  {event.fault}" if event.fault and event.result not in {"superseded", "unmatched"} else ""
    server = f"  {event.server}" if event.server else ""
    ms = "" if event.ms is None else f"  {event.ms:.1f} ms"
    yield f"  {local_time(event.at)}  {event.operation:6} {event.address}  {result}{fault}{server}{ms}"
    key = f", key {event.key}" if event.key and event.fault else ""
    yield f"      client {event.client}, {event.mode}{key}{_ways(event)}"
    if event.note and event.result in {"expired", "failed", "retrying", "unmatched"}:
        yield f"      {event.note}"
    if not event.why:
        return
    known = explained.get((event.why, event.mend))
    if known is None:
        explained[event.why, event.mend] = event.name
        yield f"      Why:  {event.why}"
        yield f"      Mend: {event.mend}"
    elif known != event.name:
        yield f"      Why, and mend: as for {known}"


def _afterwards(event: Event) -> Iterator[str]:
    """Yield what is to be done after the mend, if the last request of a host has failed for good."""
    if event.result not in {"failed", "unmatched"} or event.mend.startswith("Nothing"):
        return
    if event.operation == "add":
        yield (
            "      Then: The request is not made again by itself. Kea makes one with the client's next "
            "lease, and with ddns-update-on-renew at each renewal; lease4-resend-ddns and "
            "lease6-resend-ddns make one now, and 'pyd2ctl reconcile --repair missing,missing-ptr' makes "
            "all that are missing."
        )
    else:
        yield (
            "      Then: The removal is not made again. 'pyd2ctl reconcile --repair stale,orphan-ptr' makes "
            "those of what is left."
        )


def _ways(event: Event) -> str:
    ways = [
        f"{name} {state}" for name, state in (("forward", event.forward), ("PTR", event.reverse)) if state
    ]
    return f": {', '.join(ways)}" if ways else ""


def local_time(at: float) -> str:
    """Return a time as it is shown."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

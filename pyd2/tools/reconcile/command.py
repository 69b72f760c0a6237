"""The options of ``pyd2ctl reconcile``, and the order of its steps."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.data.controls import escaped
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.kea import add_kea_option, kea_profile
from pyd2.tools.reconcile.brakes import check_idle, check_number, check_repair
from pyd2.tools.reconcile.channel import Channel
from pyd2.tools.reconcile.compare import Scope, compare
from pyd2.tools.reconcile.d2_config import read_d2_config
from pyd2.tools.reconcile.daemon import Daemon
from pyd2.tools.reconcile.dhcp_config import Subnets
from pyd2.tools.reconcile.difference import ADDED, REMOVED, Kind
from pyd2.tools.reconcile.dns_reader import DnsReader, NotAllowedError, Pace
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.gather import gather
from pyd2.tools.reconcile.lease_file import shown_faults
from pyd2.tools.reconcile.records import Records
from pyd2.tools.reconcile.repair import Means, Removals, Repair
from pyd2.tools.reconcile.report import Report, encodable
from pyd2.tools.reconcile.sources import add_source_arguments, make_servers
from pyd2.tools.reconcile.undo import UndoFile
from pyd2.tools.requests import Sender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.tools.reconcile.d2_config import D2Config
    from pyd2.tools.reconcile.gather import Leases
    from pyd2.tools.reconcile.sources import Server

EQUAL: Final = 0
DIFFERS: Final = 1
NOT_COMPARED: Final = 2
"""Also where a brake has stopped the repair."""

_LENGTHS: Final = {4: 4, 6: 16}
"""Octets of an address, by the family."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl reconcile``."""
    parser.add_argument("config", metavar="FILE", help="the daemon's configuration")
    add_kea_option(parser)
    add_source_arguments(parser)
    parser.add_argument("--zone", action="append", default=[],
                        help="compare this zone only; may be repeated")
    parser.add_argument("--query", action="store_true", help="ask for names; default: transfer the zones")
    parser.add_argument("--rate", type=_rate, default=200.0, metavar="N",
                        help="queries a second (default: 200)")
    parser.add_argument("--axfr-key", default="", metavar="NAME",
                        help="sign transfers and queries with this key of the configuration")
    parser.add_argument("--grace", type=_count, default=300, metavar="SECONDS",
                        help="leave out what is younger (default: 300)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--all", action="store_true", help="list all differences; default: 20 of a class")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--repair", type=_kinds, default=frozenset(), metavar="CLASSES",
                        help="mend these, such as missing,stale; default: report only")
    parser.add_argument("--max-remove", type=_removals, default=Removals(), metavar="N",
                        help="remove no more, a number or a percentage of the names with a DHCID "
                             "(default: 5%%, but at least 10)")
    parser.add_argument("--pace", type=_rate, default=100.0, metavar="N",
                        help="changes a second (default: 100)")
    parser.add_argument("--undo", type=Path, metavar="FILE",
                        help="where to write what takes changes back (default: reconcile-TIME.undo)")
    parser.add_argument("--to", type=Endpoint.parse, metavar="ADDRESS:PORT",
                        help="the daemon (default: where its configuration says)")
    parser.add_argument("--yes-so-few", type=_count, metavar="N", help="confirm that there are just N leases")


def run(arguments: argparse.Namespace) -> int:
    """Compare, and mend what is asked for; return EQUAL, DIFFERS or NOT_COMPARED."""
    report = Report()
    try:
        _Reconciliation(arguments, report).run()
    except ReconcileError as error:
        _say(f"pyd2ctl reconcile: {error}")
        return NOT_COMPARED
    finally:
        for note in report.notes:
            _say(f"note: {note}")
    if arguments.json:
        print(report.json().decode())
    else:
        print(*map(escaped, report.text(whole=arguments.all)), sep="\n")
    outcome = report.outcome
    if outcome is not None and outcome.postponed:
        _say(f"pyd2ctl reconcile: {outcome.postponed} removals are left: the limit is reached. If they are "
             "right, run it again, or with --max-remove")
        return NOT_COMPARED
    mended = len(outcome.mended) if outcome is not None else 0
    return DIFFERS if len(report.differences) > mended else EQUAL


class _Reconciliation:
    """One run."""

    def __init__(self, arguments: argparse.Namespace, report: Report) -> None:
        self._arguments, self._report = arguments, report
        self._visible = not arguments.quiet and sys.stderr.isatty()

    def run(self) -> None:
        """Fill the report. Raises ReconcileError."""
        arguments = self._arguments
        config = read_d2_config(arguments.config, kea_profile(arguments).config, arguments.zone,
                                arguments.axfr_key)
        servers = make_servers(arguments)
        with contextlib.ExitStack() as sources:
            for server in servers:
                sources.callback(server.source.close)
            self._compare(config, servers)

    def _compare(self, config: D2Config, servers: list[Server]) -> None:
        arguments, report = self._arguments, self._report
        subnets = Subnets(server.config for server in servers)
        families = frozenset(_LENGTHS[server.source.family] for server in servers)
        lately = time.time() - arguments.grace
        records = Records(config.zones)
        reader = DnsReader(arguments.rate, self._progress)
        # The DNS is read before the leases: a lease that comes meanwhile cannot look stale.
        self._read_dns(records, reader, servers, lately)
        leases = self._leases(servers, lately)
        report.notes += shown_faults(leases.faults)
        check_number(leases, records, families, subnets, arguments.yes_so_few)
        report.zones = [zone.text for zone in config.zones]
        report.leases = len(leases.held)
        report.names = sum(1 for _ in records.guarded())
        unknown = sum(records.zone_of(lease.name) is None for lease in leases.held if lease.forward)
        if unknown and not arguments.zone:
            report.notes.append(f"{unknown} leases have names in none of the daemon's zones")
        self._progress("comparing")
        scope = Scope(families, subnets, _joined(server.config.reserved_addresses for server in servers),
                      _joined(server.config.reserved_names for server in servers), leases.quiet, lately,
                      single=Kind.SINGLE_DHCID in arguments.repair)
        report.differences += compare(leases.held, records, scope)
        with Sender(arguments.to or config.listens) as sender:
            daemon = Daemon(Channel(config.control, "d2"), sender) if config.control else None
            if arguments.repair:
                check_repair(arguments.repair, leases, [server.config for server in servers])
                self._repair(daemon, Means([server.source for server in servers], records, reader, subnets))
            elif daemon is not None:
                self._note_work(daemon)

    def _read_dns(self, records: Records, reader: DnsReader, servers: list[Server], lately: float) -> None:
        """Transfer the zones; where that is not permitted, ask for the names of leases."""
        by_query = self._arguments.query
        for zone in records.zones.values():
            if self._arguments.query:
                break
            self._progress(f"transfer of {zone.text}")
            try:
                reader.transfer(zone, records)
            except NotAllowedError as error:
                by_query = True
                self._report.notes.append(
                    f"{zone.text}: {reader.server(zone).endpoint} permits no zone transfer ({error}): only "
                    "names of leases are asked for, so other stale names are not found"
                )
        if by_query:
            leases = self._leases(servers, lately)
            self._progress("asking for names")
            reader.look_up_all([*leases.held, *leases.ended], records)

    def _leases(self, servers: list[Server], lately: float) -> Leases:
        self._progress("reading leases")
        return gather([server.source for server in servers], time.time(), lately)

    def _repair(self, daemon: Daemon | None, means: Means) -> None:
        arguments, report = self._arguments, self._report
        if daemon is None:
            raise ReconcileError("the daemon has no control socket that reconcile can use, so it cannot be "
                                 "asked whether it is idle; nothing was changed")
        check_idle(daemon)
        path = arguments.undo or _free_path(time.strftime("reconcile-%Y%m%dT%H%M%S"))
        with UndoFile(path) as undo:
            repair = Repair(means, daemon, undo, Pace(arguments.pace), self._progress)
            most = arguments.max_remove.most(report.names)
            try:
                report.outcome = repair.run(report.differences, arguments.repair, most)
            except ReconcileError as error:
                done = f"what was changed until then is in {path}" if undo.is_made else "nothing was changed"
                raise ReconcileError(f"{error}; {done}") from None
            report.undo = str(path) if undo.is_made else ""

    def _note_work(self, daemon: Daemon) -> None:
        """Say in the report that the daemon is at work, if it answers."""
        with contextlib.suppress(ReconcileError):
            if daemon.waiting():
                self._report.notes.append("the daemon is at work: some differences may be on their way")

    def _progress(self, text: str) -> None:
        if self._visible:
            _say(text)


def _free_path(name: str) -> Path:
    """Return where an undo file is written: a run before, in the same second, may have the name."""
    paths = (Path(f"{name}{number}.undo") for number in ("", *(f"-{number}" for number in range(2, 100))))
    return next((path for path in paths if not path.exists()), Path(f"{name}.undo"))


def _joined(sets: Iterable[set[bytes]]) -> frozenset[bytes]:
    return frozenset().union(*sets)


def _say(text: str) -> None:
    print(escaped(encodable(text)), file=sys.stderr, flush=True)


def _kinds(text: str) -> frozenset[Kind]:
    known = sorted(ADDED | REMOVED)
    wrong = [name for name in text.split(",") if name not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]} cannot be mended; what can be: {','.join(known)}")
    return frozenset(map(Kind, text.split(",")))


def _removals(text: str) -> Removals:
    if text.endswith("%"):
        percent = float(text[:-1])
        if not 0 <= percent <= 100:
            raise argparse.ArgumentTypeError(f"not from 0% to 100%: {text}".replace("%", "%%"))
        return Removals(percent=percent)
    return Removals(number=_count(text))


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"below zero: {text}")
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return rate

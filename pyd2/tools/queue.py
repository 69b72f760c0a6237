"""``pyd2ctl queue``: look into the durable queue, change it while no daemon uses it; make a shared one."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.data.controls import escaped
from pyd2.data.counted import counted
from pyd2.errors import NcrError, Pyd2Error
from pyd2.ncr import decode
from pyd2.queue.choice import offline_stores
from pyd2.queue.interface import DeadLetter, Entry, InUseError
from pyd2.tools.kea import PACKAGED_CONFIG, add_kea_option
from pyd2.tools.progress import Progress
from pyd2.tools.requests import datagram

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``pyd2ctl queue``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.add_argument("path", metavar="PATH",
                           help="the queue's directory, or what was set aside; nats:SITE for a shared one")
        added.add_argument("--dead", action="store_true",
                           help="the dead letters: what failed for good though it was tried again")
        _add_reach(added)
        added.set_defaults(act=run)
        return added

    action("count", _count, "tell how many requests wait, and since when")
    action("list", _list, "show the requests that wait, one a line, in their order")
    action("export", _export, "write the requests as JSON, one a line: what 'send --file' and 'requeue' read")
    remove = action("remove", _remove, "remove requests for good; the daemon must be stopped")
    which = remove.add_mutually_exclusive_group(required=True)
    which.add_argument("numbers", nargs="*", type=int, default=[], metavar="NUMBER",
                       help="as 'list' shows them")
    which.add_argument("--all", action="store_true", help="remove all")
    requeue = action("requeue", _requeue, "put requests at the end; the daemon must be stopped")
    source = requeue.add_mutually_exclusive_group(required=True)
    source.add_argument("numbers", nargs="*", type=int, default=[], metavar="NUMBER",
                        help="requests of the queue, which leave their place")
    source.add_argument("--all", action="store_true", help="all of them")
    source.add_argument("--file", metavar="FILE", help="requests as JSON, one a line; -: standard input")
    text = "move all requests from one directory to another; no daemon may use either"
    move = actions.add_parser("move", help=text, description=f"{text[0].upper()}{text[1:]}.")
    move.add_argument("path", metavar="FROM", help="the directory that is left")
    move.add_argument("to", metavar="TO", help="the directory that is used from now on")
    move.set_defaults(act=_move)
    create = actions.add_parser("create", help=(text := "make the queue that several machines share"),
                                description=f"{text[0].upper()}{text[1:]}.")
    create.add_argument("--replicas", type=int, default=3, metavar="N",
                        help="servers that keep it: 3, or 1 to try it out")
    create.set_defaults(act=_create)
    check = actions.add_parser("check", help=(text := "tell how such a queue is, and what is wrong with it"),
                               description=f"{text[0].upper()}{text[1:]}.")
    check.set_defaults(act=_check)
    for action_of_site in (create, check):
        action_of_site.add_argument("config", metavar="FILE", help="the configuration of one of its daemons")
        _add_certificate(action_of_site)
    detach = actions.add_parser("detach", help=(text := "tell what it costs to leave a shared queue"),
                                description=f"{text[0].upper()}{text[1:]}.")
    detach.add_argument("path", metavar="nats:SITE", help="the queue whose servers are lost")
    _add_reach(detach)
    detach.set_defaults(act=_detach)


def _add_reach(parser: argparse.ArgumentParser) -> None:
    """Declare how a shared queue is reached."""
    parser.add_argument("--config", default=PACKAGED_CONFIG, metavar="FILE",
                        help="for nats:SITE: the configuration of one of its daemons (default: "
                             f"{PACKAGED_CONFIG})")
    _add_certificate(parser)


def _add_certificate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tls-cert-file", default="", metavar="FILE",
                        help="an administrator's certificate, in place of the daemon's")
    parser.add_argument("--tls-key-file", default="", metavar="FILE", help="and its key")
    add_kea_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out; exit status 1 when it cannot be."""
    shows_itself = arguments.action in {"list", "export"} and sys.stdout.isatty()
    try:
        with contextlib.nullcontext() if shows_itself else Progress(f"queue {arguments.action}"):
            status: int = arguments.act(arguments)
    except InUseError as error:
        print(f"pyd2ctl queue: {error}, which holds these requests in memory: stop it first. To have a "
              "request processed again meanwhile, use 'export' and 'pyd2ctl send --file'", file=sys.stderr)
        return 1
    except (Pyd2Error, OSError, ValueError) as error:
        print(f"pyd2ctl queue: {escaped(str(error))}", file=sys.stderr)
        return 1
    return status


def _is_shared(arguments: argparse.Namespace) -> bool:
    """Whether the queue is one that several machines share: ``nats:SITE``."""
    return bool(arguments.path.startswith("nats:"))


def _create(arguments: argparse.Namespace) -> int:
    from pyd2.tools.cluster import command

    return command.create(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from pyd2.tools.cluster import command

    return command.check(arguments)


def _detach(arguments: argparse.Namespace) -> int:
    from pyd2.tools.cluster import detach

    return detach.run(arguments)


def _count(arguments: argparse.Namespace) -> int:
    if _is_shared(arguments) and not arguments.dead:
        from pyd2.tools.cluster import contents

        count, oldest = contents.count(arguments)
    else:
        entries = list(_entries(arguments))
        count, oldest = len(entries), entries[0].taken if entries else None
    print(counted(count, "dead letter" if arguments.dead else "request"))
    if oldest is not None:
        print(f"the oldest since {_local(oldest)} ({time.time() - oldest:.0f} seconds)")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    for entry in _entries(arguments):
        try:
            ncr = decode(entry.datagram)
        except NcrError as error:
            text = f"invalid: {error}"
        else:
            text = f"{ncr.change_type.name.lower():6} {ncr.fqdn} {ncr.address_text} {ncr.request_id}"
        if isinstance(entry, DeadLetter):
            print(escaped(f"{entry.number:8} {_local(entry.died)} {text}: {entry.reason}"))
        else:
            print(escaped(f"{entry.number or '':8} {_local(entry.taken)} {text}"))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    for entry in _entries(arguments):
        length = int.from_bytes(entry.datagram[:2], "big")
        # A request that was accepted has them only where JSON ignores them.
        text = _CONTROLS.sub(b" ", entry.datagram[2 : 2 + length])
        sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    if _is_shared(arguments):
        from pyd2.tools.cluster import contents

        print(f"removed {contents.remove(arguments, _known)}")
        return 0
    with offline_stores().change(arguments.path) as store:
        present = [entry.number for entry in (store.read_dead() if arguments.dead else store.read())]
        numbers = present if arguments.all else _known(arguments.numbers, present)
        store.write((), () if arguments.dead else numbers, raised=numbers if arguments.dead else ())
    print(f"removed {len(numbers)}")
    return 0


def _requeue(arguments: argparse.Namespace) -> int:
    if _is_shared(arguments):
        from pyd2.tools.cluster import contents

        appended = _from_file(arguments.file) if arguments.file else None
        count = contents.requeue(arguments, appended, _known)
        print(f"put {count} at the end")
        return 0
    with offline_stores().change(arguments.path) as store:
        queued = {entry.number: entry.datagram for entry in store.read()}
        present = {entry.number: entry.datagram for entry in store.read_dead()} if arguments.dead else queued
        moved = [*present] if arguments.all else _known(arguments.numbers, present)
        datagrams = _from_file(arguments.file) if arguments.file else [present[number] for number in moved]
        first = max(queued, default=0) + 1
        now = time.time()
        entries = [Entry(first + n, now, octets) for n, octets in enumerate(datagrams)]
        # Before that: a move that was killed must take these along when it is repeated.
        store.renew()
        store.write(entries, () if arguments.dead else moved, raised=moved if arguments.dead else ())
    print(f"put {len(datagrams)} at the end")
    return 0


def _move(arguments: argparse.Namespace) -> int:
    """Put the requests of one directory behind those of another, dead letters too, and remove them there."""
    with contextlib.suppress(FileNotFoundError):
        if Path(arguments.to).samefile(arguments.path):
            raise ValueError(f"{arguments.path} and {arguments.to} are the same directory")
    moved, dead = offline_stores().move(arguments.path, arguments.to)
    print(f"moved {moved}, and {counted(dead, 'dead letter')}")
    return 0


def _known(numbers: Iterable[int], present: Iterable[int]) -> list[int]:
    """Return the numbers, each once and in their order. Raises ValueError for one that is not there."""
    wanted = list(dict.fromkeys(numbers))
    unknown = sorted(set(wanted) - set(present))
    if unknown:
        raise ValueError(f"there is no request {', '.join(map(str, unknown))}; nothing was changed")
    return wanted


def _from_file(name: str) -> list[bytes]:
    """Return the datagrams of a file's lines. Raises ValueError for a line that is no request."""
    lines = sys.stdin.buffer.readlines() if name == "-" else Path(name).read_bytes().splitlines()
    datagrams = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            octets = datagram(line.strip())
            try:
                decode(octets)
            except NcrError as error:
                raise ValueError(f"line {number}: {error}; nothing was changed") from None
            datagrams.append(octets)
    return datagrams


def _entries(arguments: argparse.Namespace) -> Iterable[Entry | DeadLetter]:
    """Return the entries, beside a daemon too; what cannot be read is left out, with a warning."""
    if _is_shared(arguments):
        from pyd2.tools.cluster import contents

        return contents.dead_letters(arguments) if arguments.dead else contents.entries(arguments)
    entries, fault = offline_stores().read(arguments.path, dead=arguments.dead)
    if fault is not None:
        print(f"pyd2ctl queue: {fault}; what can be read follows", file=sys.stderr)
    return entries


def _local(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC).astimezone():%Y-%m-%d %H:%M:%S}"

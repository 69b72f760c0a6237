"""``pyd2ctl history``: what the history holds, and how a host is removed from it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyd2.data.controls import escaped
from pyd2.data.counted import counted
from pyd2.errors import ConfigError
from pyd2.history.search import History, HistoryError, forget, parse_query
from pyd2.tools.why.command import add_place_arguments, history_path, local_time

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``pyd2ctl history``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "tell how many requests there are, and since when"
    count = actions.add_parser("count", help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_place_arguments(count)
    count.set_defaults(act=_count)
    text = "remove all that is known of a host, for good; the daemon may run"
    remove = actions.add_parser("forget", help=text, description=f"{text[0].upper()}{text[1:]}.")
    remove.add_argument("what", metavar="HOST|ADDRESS", help="as for 'pyd2ctl why'")
    add_place_arguments(remove)
    remove.set_defaults(act=_forget)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out; exit status 1 when it cannot be."""
    try:
        arguments.act(arguments)
    except (ConfigError, HistoryError, ValueError) as error:
        print(f"pyd2ctl history: {escaped(str(error))}", file=sys.stderr)
        return 1
    return 0


def _count(arguments: argparse.Namespace) -> None:
    history = History(history_path(arguments))
    try:
        rows, since = history.span()
    finally:
        history.close()
    print(counted(rows, "request"))
    if since is not None:
        print(f"the oldest from {local_time(since)}")


def _forget(arguments: argparse.Namespace) -> None:
    removed = forget(history_path(arguments), parse_query(arguments.what))
    print(f"{counted(removed, 'request')} removed")

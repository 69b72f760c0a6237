"""``pyd2ctl ping``: asks whether a daemon works, over its control socket."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyd2.command_client import SUCCESS, ask_unix, read_command_answer
from pyd2.tools.channel import LONGEST, USUAL_SOCKET
from pyd2.tools.progress import Progress

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl ping``."""
    parser.add_argument("socket", metavar="SOCKET", nargs="?", default=USUAL_SOCKET,
                        help=f"the path of its control socket of type unix (default: {USUAL_SOCKET})")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS",
                        help="how long the answer may take (default: 5)")


def run(arguments: argparse.Namespace) -> int:
    """Print how long the daemon has been running; exit status 0 if it answers that it works."""
    try:
        with Progress("waiting for the answer"):
            pid, uptime = _status(arguments.socket, arguments.timeout)
    except (OSError, ValueError) as error:
        print(f"pyd2ctl ping: no answer over {arguments.socket}: {error}", file=sys.stderr)
        return 1
    print(f"pid {pid} has been running for {uptime} s")
    return 0


def _status(path: str, timeout: float) -> tuple[int, int]:
    """Return the process, and the seconds since its start. Raises OSError, or ValueError."""
    answer = read_command_answer(ask_unix(path, b'{ "command": "status-get" }', timeout, LONGEST))
    if answer.result != SUCCESS:
        raise ValueError(f"status-get failed: {answer.text}")
    try:
        return answer.arguments["pid"], answer.arguments["uptime"]
    except KeyError as error:
        raise ValueError(f"status-get says no {error}") from None

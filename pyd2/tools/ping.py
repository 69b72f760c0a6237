"""``pyd2ctl ping``: asks whether a daemon works, over its control socket."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pyd2.command_client import ask_unix
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
            state = _status(arguments.socket, arguments.timeout)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"pyd2ctl ping: no answer over {arguments.socket}: {error}", file=sys.stderr)
        return 1
    print(f"pid {state['pid']} has been running for {state['uptime']} s")
    return 0


def _status(path: str, timeout: float) -> dict[str, Any]:
    """Return the arguments of the answer to status-get.

    Raises OSError, ValueError, LookupError or TypeError where it is not such an answer.
    """
    answer = ask_unix(path, b'{ "command": "status-get" }', timeout, LONGEST)
    state: dict[str, Any] = json.loads(answer)["arguments"]
    return {name: state[name] for name in ("pid", "uptime")}

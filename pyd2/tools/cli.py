"""The command line of ``pyd2ctl``: one subcommand a module, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from pyd2 import __version__

_COMMANDS = {
    "demo": "run the daemon between a DNS server and real requests, and show the zones",
    "dns-server": "run a small primary DNS server that accepts updates, for tests",
    "send": "send requests to a daemon",
    "replay": "send captured requests again, or compare what two daemons make of them",
    "explain": "show what the daemon would send for a name and an address, and why",
    "why": "show what became of a host, why, and what to do about it",
    "history": "count what the history holds, and remove a host from it",
    "queue": "show the durable queue, and change it while no daemon uses it",
    "reconcile": "compare the leases of DHCP servers with the DNS, and mend what differs",
    "lint": "find what is doubtful in a configuration",
    "apply": "give a running daemon a configuration, watch it, and go back if that gets worse",
    "top": "show how a daemon is doing, again and again",
    "ping": "ask a daemon whether it works",
    "gss-tsig": "try GSS-TSIG with the DNS servers of a configuration, and say what is wrong",
    "bridge": "build the bridge to Kea for compiled hook libraries, and check it",
}


def main(argv: list[str] | None = None) -> int:
    """Run ``pyd2ctl`` with the given arguments (default: the process's) and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="pyd2ctl", description="The operator's tools for pyd2.")
    parser.add_argument("--version", action="version", version=f"pyd2ctl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in arguments:
            module = import_module(f"pyd2.tools.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return status

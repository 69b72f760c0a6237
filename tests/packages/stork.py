"""How the agent of Stork 2.5.1 finds Kea's daemons, by its rules (backend/agent: process.go, kea.go)."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import NamedTuple

NAMES = ("kea-dhcp4", "kea-dhcp6", "kea-dhcp-ddns", "kea-ctrl-agent")
_PREFIXES = {"/usr": "/var/run/kea", "/usr/local": "/var/local/run/kea"}


class CommandLine(NamedTuple):
    """What Stork reads out of the arguments of a process."""

    binary: str
    config: str


def daemons() -> dict[int, str]:
    """Return the processes that the agent takes for Kea's, with their names; no children of others."""
    found: dict[int, str] = {}
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().rstrip("\n")
            parent = int((process / "stat").read_text().rpartition(") ")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in NAMES:
            found[int(process.name)], parents[int(process.name)] = name, parent
    return {pid: name for pid, name in found.items() if parents[pid] not in found}


def command_line(arguments: list[str], name: str) -> CommandLine | None:
    """Return the binary, which comes before any option and is called like the process, and -c's file."""
    binary = ""
    rest: list[str] = []
    for place, argument in enumerate(arguments):
        if argument.startswith("-"):
            break
        if os.path.basename(argument) == name:  # noqa: PTH119  the agent's rule, also for ""
            binary, rest = os.path.normpath(argument), arguments[place + 1 :]
            break
    if not binary:
        return None
    config = ""
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        if key == "-c":
            if not equals:
                if not rest:
                    break
                value = rest.pop(0)
            config = os.path.normpath(value)
    return CommandLine(binary, config)


def socket_path(name: str, binary: str) -> str:
    """Return where the agent looks for a control socket that is given without a directory."""
    prefix = os.path.normpath(os.path.join(os.path.dirname(binary), ".."))  # noqa: PTH118, PTH120  text, not files
    return f"{_PREFIXES.get(prefix, f'{prefix}/var/run/kea')}/{name}"

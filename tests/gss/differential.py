"""The scenarios in pyd2 and in the real server with ISC's library: what differs."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final

from devtools.gss_tsig import there
from tests.gss.scenarios import Daemon, play
from tests.kit.as_kea import as_kea
from tests.kit.kea import UNPACKED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.kea import Kea

_REFUSED: Final = "Kea takes a connection that is refused for a server that is silent, and waits"
_ON_PURPOSE: Final = {
    "dns-server-away-and-back: why": _REFUSED,
    "dns-server-away-and-back: messages": _REFUSED,
}
"""What differs on purpose, by ``scenario: label``, and why (docs/differences.md)."""


def real(kea: Kea) -> Daemon:
    """Return the real server, which finds ISC's library in its folder of hook libraries."""
    library = there(UNPACKED).get(kea.release)
    assert library is not None, f"there is no GSS-TSIG library for Kea {kea.release}: ./dev test builds it"
    return Daemon(kea.program("kea-dhcp-ddns"), {"KEA_HOOKS_PATH": str(library.parent)})


def own(pyd2: str, kea: Kea, directory: Path) -> Daemon:
    """Return pyd2 as this Kea, with its own library. Its program is made in ``directory`` if need be."""
    binary = pyd2 if kea.root is None else as_kea(pyd2, kea.release, directory)
    return Daemon(binary, {"KEA_HOOKS_PATH": str(directory)})


def differences(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Return what differs between two runs of a scenario."""
    found = []
    for label in [*theirs, *(label for label in ours if label not in theirs)]:
        one, other = theirs.get(label), ours.get(label)
        if one != other and f"{name}: {label}" not in _ON_PURPOSE:
            lines = unified_diff(_lines(one), _lines(other), "kea", "pyd2", lineterm="", n=1)
            found.append("\n".join([f"{name}: {label}", *lines]))
    return found


def compare(name: str, kea: Daemon, pyd2: Daemon) -> list[str]:
    """Run a scenario in both; return what differs."""
    return differences(name, play(name, kea), play(name, pyd2))


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True).splitlines()

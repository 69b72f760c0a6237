"""The real kea-dhcp-ddns as the oracle of the log tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.kit import kea
from tests.kit.d2 import CONTROL_SOCKET, D2
from tests.kit.ports import PortLease

REFERENCE = "reference.log"
_FIELDS = ("%D{%s}", "%D{%Q}", "%i", "%t", "%T", "%c", "%p", "%m")


def run(
    directory: Path, loggers: Sequence[Mapping[str, Any]], env: Mapping[str, str] | None = None
) -> D2:
    """Start and stop the real server with these ``loggers``; its files are then in the directory."""
    directory.chmod(0o750)
    with PortLease() as lease:
        config = {"port": lease.take(), "control-socket": CONTROL_SOCKET, "loggers": loggers}
        (directory / "d2.json").write_text(json.dumps({"DhcpDdns": config}))
        binary = kea.chosen().program("kea-dhcp-ddns")
        d2 = D2(binary, directory, env=env)
        with d2:
            d2.wait_for_commands()
    return d2


def reference_output() -> dict[str, object]:
    """Return an output that records all there is to know of each message, for ``read_reference``."""
    return {"output": REFERENCE, "maxsize": 0, "pattern": "\x1f".join(_FIELDS) + "\x1e"}


def read_reference(directory: Path) -> list[dict[str, str]]:
    """Return the messages that ``reference_output`` recorded, by the conversions' specifiers."""
    records = (directory / REFERENCE).read_text(encoding="latin-1").split("\x1e")[:-1]
    return [
        dict(zip(("s", "Q", "i", "t", "T", "c", "p", "m"), record.split("\x1f"), strict=True))
        for record in records
    ]


def check(directory: Path) -> str:
    """Return what the real server prints on stdout when it checks the directory's d2.json."""
    binary = kea.chosen().program("kea-dhcp-ddns")
    d2 = D2(binary, directory, ["-t", "d2.json"])
    d2.process.wait_for_exit()
    return d2.stdout()

"""The hook libraries of Kea's packages, for other daemons: pyd2 takes them as the real server does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.kit import kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease

LIBRARIES = sorted((kea.chosen().root or Path("/")).glob("usr/lib/*/kea/hooks/*.so"))


def outcome(binary: str, libraries: list[Path], flag: str, port: int) -> tuple[int, str, list[list[str]]]:
    """Return the exit status, what stderr says, and the log."""
    with private_directory() as directory:
        entries = [{"library": str(library), "parameters": {"name": "/bin/true"}} for library in libraries]
        made = config(port, {"hooks-libraries": entries}, severity="DEBUG" if flag == "-t" else "INFO",
                      debuglevel=99)
        (directory / "d2.json").write_text(json.dumps(made))
        d2 = D2(binary, directory, (flag, "d2.json"), env={"KEA_HOOKS_PATH": str(LIBRARIES[0].parent)})
        status = d2.process.wait_for_exit()
        lines = log_entries(d2.process.output(), str(directory))
        errors = "".join(line for line in d2.process.stderr().splitlines(keepends=True)
                         if not re.match(r"\d{4}-\d\d-\d\d ", line))
        return status, errors.replace(str(directory), "@DIR@"), sorted(
            line for line in lines if line[2] != "DCTL_STARTING" and "PID" not in line[3])


def both(d2_binary: str, libraries: list[Path], flag: str) -> tuple[int, str, list[list[str]]]:
    """Return the outcome, which is the same in both."""
    with PortLease() as lease:
        port = lease.take()
        real = outcome(kea.chosen().program("kea-dhcp-ddns"), libraries, flag, port)
        assert outcome(d2_binary, libraries, flag, port) == real
        return real


def test_the_check_takes_them(d2_binary: str) -> None:
    """They are opened, and have the version: that is all that -t asks of a library."""
    assert LIBRARIES
    status, _, lines = both(d2_binary, LIBRARIES, "-t")
    assert status == 0
    assert [line[2] for line in lines].count("HOOKS_LIBRARY_CLOSED") == len(LIBRARIES)


@pytest.mark.parametrize("name", ["libdhcp_lease_cmds.so", "libdhcp_ha.so"])
def test_none_of_them_loads(d2_binary: str, name: str) -> None:
    """They ask whose process it is, and decline with their own words."""
    (library,) = [path for path in LIBRARIES if path.name == name]
    status, errors, lines = both(d2_binary, [library], "-c")
    assert status == 1
    assert errors.endswith("One or more hook libraries failed to load\n")
    assert any(line[2].startswith("HOOKS_LOAD_") for line in lines)

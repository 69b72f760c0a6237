"""Stork's agent finds the launcher as it finds Kea's server, and reads the same of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.kit.process import find_program
from tests.packages import stork
from tests.packages.launcher import NAME, running

LIBEXEC = "/usr/libexec/kea-dhcp-ddns"
"""Where the package installs the launcher."""
UNIT = Path(__file__).parents[2] / "contrib" / "systemd" / "pyd2.service"


def looked_at(program: Path | str) -> tuple[str, stork.CommandLine | None, str]:
    """Return what the agent sees of a running daemon: name, command line, and the output of ``BINARY -v``."""
    with running(program) as d2:
        name = stork.daemons().get(d2.process.pid, "")
        arguments = Path(f"/proc/{d2.process.pid}/cmdline").read_text().rstrip("\0").split("\0")
        found = stork.command_line(arguments, name)
        assert found is not None
        done = subprocess.run([found.binary, "-v"], capture_output=True, text=True, check=True, env={})
        d2.stop()
        return name, found, done.stdout


def test_the_agent_finds_the_launcher(launcher: Path) -> None:
    name, found, version = looked_at(launcher)
    assert (name, found) == (NAME, (str(launcher), "d2.json"))
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", version)


@pytest.mark.peers
def test_the_agent_sees_of_it_what_it_sees_of_keas_server(launcher: Path) -> None:
    kea = find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server")
    theirs, ours = looked_at(kea), looked_at(launcher)
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    assert (ours[1], theirs[1]) == ((str(launcher), "d2.json"), (kea, "d2.json"))


def test_the_agent_reads_the_command_of_the_unit() -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert stork.command_line(command.split(), NAME) == (LIBEXEC, "/etc/kea/kea-dhcp-ddns.conf")


def test_a_socket_without_a_directory_is_looked_for_where_kea_has_it() -> None:
    wanted = stork.socket_path("kea-ddns-ctrl-socket", "/usr/sbin/kea-dhcp-ddns")
    assert wanted == "/var/run/kea/kea-ddns-ctrl-socket"
    assert stork.socket_path("kea-ddns-ctrl-socket", LIBEXEC) == wanted


def test_python_and_the_command_of_pip_are_not_found() -> None:
    """The reason for the launcher."""
    python = "/usr/bin/python3"
    assert stork.command_line([python, "-m", "pyd2", "-c", "file"], "python3") == (python, "file")
    assert stork.command_line([python, "/opt/pyd2/bin/pyd2", "-c", "file"], NAME) is None
    assert not {"python3", "pyd2"} & set(stork.NAMES)

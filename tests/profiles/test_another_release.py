"""A Kea 3.2 of the test's own: another release is one more value, made of its differences to the one before.

What differs between releases comes from the value that the start passes down; nothing else knows the release.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit import control
from tests.kit.d2 import D2, config, environment, private_directory
from tests.kit.ports import PortLease
from tests.kit.profile import PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = f"""\
#!{sys.executable}
from pyd2.cli import main
from pyd2.config.grammar import Map, String
from pyd2.config.sockets.socket_list import ControlSocketList
from pyd2.profiles.kea_3_0 import KEA_3_0

before = KEA_3_0
rules, sockets = before.config, before.config.sockets
started = before.messages["DHCP_DDNS_STARTED"]._replace(text="DHCP-DDNS %1 is up")
profile = before._replace(
    release=before.release._replace(version="3.2.0", series="3.2", flags="dvVWXz"),
    config=rules._replace(
        grammar=Map(
            "DhcpDdns", rules.grammar.keys | {{"nickname": String(blank="no nickname")}},
            exclusive=rules.grammar.exclusive,
        ),
        defaults=rules.defaults._replace(dhcp_ddns={{**rules.defaults.dhcp_ddns, "dns-server-timeout": 700}}),
        paths=rules.paths._replace(name_below_root=True),
        sockets=ControlSocketList(sockets.unix._replace(file_mode=0o700)),
    ),
    messages={{**before.messages, "DHCP_DDNS_STARTED": started}},
    statistics=before.statistics[1:],
    commands=before.commands._replace(
        names=tuple(name for name in before.commands.names if name != "config-write")
    ),
    hooks=before.hooks._replace(version=30200),
)
raise SystemExit(main(profile=profile))
"""


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A program that is pyd2 with another profile."""
    program = tmp_path / "other-d2"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def directory() -> Iterator[Path]:
    with private_directory() as path:
        yield path


def run(program: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], cwd=directory, env=environment(directory), capture_output=True, text=True,
        check=False,
    )


def check(program: str, directory: Path, settings: dict[str, object]) -> subprocess.CompletedProcess[str]:
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": settings}))
    return run(program, directory, "-t", "d2.json")


def test_the_command_line(other: str, directory: Path) -> None:
    assert run(other, directory, "-v").stdout == "3.2.0\n"
    assert run(other, directory, "-V").stdout.startswith("3.2.0 (pyd2 ")
    assert run(other, directory, "-z", "-v").stdout == "3.2.0\n"


def test_the_check(other: str, directory: Path) -> None:
    assert check(other, directory, {"nickname": "d2"}).returncode == 0
    assert "no nickname" in check(other, directory, {"nickname": ""}).stderr
    wrong = check(other, directory, {"nicknames": "d2"})
    assert 'got unexpected keyword "nicknames" in DhcpDdns map.' in wrong.stderr
    logger = {"name": "kea-dhcp-ddns", "severity": "INFO", "output-options": [{"output": "/d2.log"}]}
    assert check(other, directory, {"loggers": [logger]}).returncode == 0


def test_the_daemon_and_its_control_channel(other: str, directory: Path) -> None:
    (directory / "library.py").write_text("def version(): return 30200\n")
    extra = {"nickname": "d2", "hooks-libraries": [{"library": str(directory / "library.py")}]}
    program = directory / "with-hooks"
    program.write_text(f'#!/bin/sh\nKEA_HOOKS_PATH={directory} exec {other} "$@"\n')
    program.chmod(0o755)
    with PortLease() as lease, D2.start(str(program), directory, config(lease.take(), extra)) as d2:
        d2.wait_for_log("DHCP_DDNS_STARTED DHCP-DDNS 3.2.0 is up")
        assert "DCTL_STARTING" in d2.stdout()
        assert "version: 3.2.0 (stable)" in d2.stdout()
        assert d2.command("version-get")["text"] == "3.2.0"
        assert d2.command("config-get")["arguments"]["DhcpDdns"]["dns-server-timeout"] == 700
        assert d2.statistics() == dict.fromkeys((*PROFILE.statistics[1:], "queue-mgr-queue-full"), 0)
        assert stat.S_IMODE(d2.socket.stat().st_mode) == 0o700
        assert "config-write" not in d2.command("list-commands")["arguments"]
        assert control.command(d2.socket, "config-write")["result"] == 2


def test_a_hook_library_of_the_other_release(other: str, directory: Path) -> None:
    """Libraries of 3.0.4 do not fit, and the refusal names the profile's number."""
    (directory / "library.py").write_text("def version(): return 30004\n")
    (directory / "d2.json").write_text(json.dumps(
        {"DhcpDdns": {"hooks-libraries": [{"library": str(directory / "library.py")}]}}
    ))
    done = subprocess.run(
        [other, "-c", "d2.json"], cwd=directory, capture_output=True, text=True, check=False, timeout=60,
        env=environment(directory) | {"KEA_HOOKS_PATH": str(directory)},
    )
    assert done.returncode == 1
    assert f"{directory}/library.py is at version 30004, require version 30200" in done.stdout + done.stderr

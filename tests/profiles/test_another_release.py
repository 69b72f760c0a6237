"""A Kea 3.2 of the test's own: another series is one more module, made of its differences to the one before.

The package gets that module and a line in its list of releases, and nothing else of it changes. What differs
between releases comes from the value that the start passes down; nothing else knows the release.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyd2
from tests.kit import control
from tests.kit.d2 import D2, config, environment, private_directory
from tests.kit.ports import PortLease
from tests.kit.profile import PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = """\
from pyd2.config.grammar import Map, String
from pyd2.config.sockets.socket_list import ControlSocketList
from pyd2.profiles import kea_3_0

before = kea_3_0.KEA_3_0
rules, sockets = before.config, before.config.sockets
started = before.messages["DHCP_DDNS_STARTED"]._replace(text="DHCP-DDNS %1 is up")
KEA_3_2 = before._replace(
    config=rules._replace(
        grammar=Map(
            "DhcpDdns", rules.grammar.keys | {"nickname": String(blank="no nickname")},
            exclusive=rules.grammar.exclusive,
        ),
        defaults=rules.defaults._replace(dhcp_ddns={**rules.defaults.dhcp_ddns, "dns-server-timeout": 700}),
        paths=rules.paths._replace(name_below_root=True),
        sockets=ControlSocketList(sockets.unix._replace(file_mode=0o700)),
    ),
    messages={**before.messages, "DHCP_DDNS_STARTED": started},
    statistics=before.statistics[1:],
    commands=before.commands._replace(
        names=tuple(name for name in before.commands.names if name != "config-write")
    ),
)

def profile(release):
    return KEA_3_2._replace(release=release, hooks=KEA_3_2.hooks._replace(version=release.hooks_version))
"""
LIST = "NEWEST: Final = (KEA_2_6_3, KEA_3_0_4)\n"
LONGER = """\
KEA_3_2_0: Final = KEA_3_0_4._replace(version="3.2.0", series="3.2", flags="dvVWXz")
NEWEST: Final = (KEA_2_6_3, KEA_3_0_4, KEA_3_2_0)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the series, in a folder to import it from."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "pyd2").mkdir()
    for path in Path(pyd2.__file__).parent.iterdir():
        if path.name == "profiles":
            shutil.copytree(path, folder / "pyd2" / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name != "__pycache__":
            (folder / "pyd2" / path.name).symlink_to(path)
    profiles = folder / "pyd2" / "profiles"
    (profiles / "kea_3_2.py").write_text(MODULE)
    releases = (profiles / "release.py").read_text()
    assert releases.count(LIST) == 1
    (profiles / "release.py").write_text(releases.replace(LIST, LONGER))
    return folder


def program(package: Path, directory: Path, name: str, call: str) -> str:
    """Return a program that calls something of the package."""
    path = directory / name
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(package)!r})\n{call}\n")
    path.chmod(0o755)
    return str(path)


def as_release(package: Path, directory: Path, version: str) -> str:
    """Return the daemon with this line in its kea-version."""
    file = directory / f"kea-version-{version}"
    file.write_text(f"{version}\n")
    call = f"from pyd2.cli import main\nsys.exit(main(version_file={str(file)!r}))"
    return program(package, directory, f"d2-{version}", call)


@pytest.fixture
def other(package: Path, tmp_path: Path) -> str:
    """The daemon as Kea 3.2.0."""
    return as_release(package, tmp_path, "3.2.0")


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


def test_it_is_chosen_as_the_others_are(package: Path, directory: Path, tmp_path: Path) -> None:
    assert run(as_release(package, tmp_path, "3.2.7"), directory, "-v").stdout == "3.2.7\n"
    (directory / "libkea-process.so.99").write_bytes(b"\x7fELF\0003.2.1\0")
    places = [str(directory)]
    call = f"from pyd2.profiles.installed import installed\nprint(*installed('/nowhere', {places}))"
    found = run(program(package, tmp_path, "look", call), directory).stdout
    assert found.startswith("Release(version='3.2.1', series='3.2'")
    assert found.endswith(") \n")  # no remark


def test_the_tools_and_the_hint_know_it(package: Path, directory: Path, tmp_path: Path) -> None:
    before = as_release(package, tmp_path, "3.0.4")
    done = check(before, directory, {"nickname": "d2"})
    assert done.returncode == 1
    assert "this configuration is right for Kea 3.2, but pyd2 behaves like Kea 3.0.4: " in done.stderr
    pyd2ctl = program(package, tmp_path, "pyd2ctl", "from pyd2.tools.cli import main\nsys.exit(main())")
    found = {kea: run(pyd2ctl, directory, "lint", "--kea", kea, "d2.json").stdout for kea in ("3.0", "3.2")}
    assert 'got unexpected keyword "nickname" in DhcpDdns map.' in found["3.0"]
    assert "nickname" not in found["3.2"]


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
    wrapped = directory / "with-hooks"
    wrapped.write_text(f'#!/bin/sh\nKEA_HOOKS_PATH={directory} exec {other} "$@"\n')
    wrapped.chmod(0o755)
    with PortLease() as lease, D2.start(str(wrapped), directory, config(lease.take(), extra)) as d2:
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

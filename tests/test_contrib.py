"""What is installed beside the program agrees with it, and with the tools that read it."""

import argparse
import configparser
import re
import subprocess
from pathlib import Path

import pytest

from pyd2.net.listener import RECEIVE_BUFFER
from pyd2.profiles.installed import library_directories
from pyd2.service import DRAIN_SECONDS
from pyd2.tools import reconcile
from tests.kit.process import find_program

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "contrib" / "systemd"
PROFILE = ROOT / "contrib" / "apparmor" / "pyd2"

MOST_EXPOSURE = 1.2
"""What docs/systemd.md says; 10 is worst."""
MAY_READ = 4
"""AppArmor's bit for reading a file, or listing a directory."""


class _Unit(configparser.RawConfigParser):
    """A unit file; of a name that recurs, the last counts."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read(path)


def test_the_unit_waits_as_long_as_a_stop_takes() -> None:
    service = _Unit(SYSTEMD / "pyd2.service")["Service"]
    assert float(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert (service["Type"], service["FileDescriptorStoreMax"]) == ("notify-reload", "1")
    assert (service["RuntimeDirectoryMode"], service["UMask"]) == ("0750", "0027")


def test_the_socket_unit_has_the_buffer_of_the_daemon() -> None:
    sizes = _Unit(SYSTEMD / "pyd2.socket")["Socket"]
    assert sizes["ReceiveBuffer"] == f"{RECEIVE_BUFFER >> 20}M"
    assert sizes["ListenDatagram"] == "127.0.0.1:53001"


@pytest.mark.peers
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    program = tmp_path / "pyd2"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("pyd2.service", "pyd2.socket"):
        text = (SYSTEMD / name).read_text().replace("/usr/libexec/kea-dhcp-ddns", str(program))
        (tmp_path / name).write_text(text)
    analyze = find_program("systemd-analyze", "systemd")
    units = [tmp_path / "pyd2.service", tmp_path / "pyd2.socket"]
    done = subprocess.run([analyze, "verify", "--man=no", *units],
                          capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "pyd2" in line]) == (0, [])


@pytest.mark.peers
def test_systemd_understands_the_nightly_comparison(tmp_path: Path) -> None:
    program = tmp_path / "pyd2ctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = [tmp_path / "pyd2-reconcile.service", tmp_path / "pyd2-reconcile.timer"]
    for unit in units:
        unit.write_text((SYSTEMD / unit.name).read_text().replace("/usr/bin/pyd2ctl", str(program)))
    analyze = find_program("systemd-analyze", "systemd")
    done = subprocess.run([analyze, "verify", "--man=no", *units],
                          capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "pyd2" in line]) == (0, [])


def test_the_nightly_comparison_changes_nothing() -> None:
    """Its command line is one of pyd2ctl, without --repair."""
    service = _Unit(SYSTEMD / "pyd2-reconcile.service")["Service"]
    _, sources = service["Environment"].strip('"').split("=", 1)
    program, *words = service["ExecStart"].replace("$SOURCES", sources).split()
    assert Path(program).name == "pyd2ctl"
    parser = argparse.ArgumentParser()
    reconcile.add_arguments(parser)
    parsed = parser.parse_args(words[1:])
    assert (words[0], parsed.repair, parsed.dhcp4) == ("reconcile", frozenset(), ["/etc/kea/kea-dhcp4.conf"])


@pytest.mark.peers
def test_the_unit_is_as_closed_as_it_says() -> None:
    analyze = find_program("systemd-analyze", "systemd")
    done = subprocess.run([analyze, "security", "--offline=true", "--no-pager", SYSTEMD / "pyd2.service"],
                          capture_output=True, text=True, check=True, timeout=60)
    found = re.search(r"Overall exposure level for pyd2.service: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found.group(1)) <= MOST_EXPOSURE
    assert found.group(0) in (ROOT / "docs" / "systemd.md").read_text()


@pytest.mark.peers
def test_apparmor_understands_the_profile() -> None:
    """Without loading it: the kernel may have no AppArmor."""
    parser = find_program("apparmor_parser", "apparmor")
    done = subprocess.run([parser, "--skip-kernel-load", "--skip-cache", PROFILE],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.peers
def test_the_profile_lets_pyd2_look_for_an_installed_kea() -> None:
    """By the rules as the parser understands them; the kernel may have no AppArmor."""
    parser = find_program("apparmor_parser", "apparmor")
    dump = [parser, "--skip-kernel-load", "--skip-cache", "--dump=rule-exprs", str(PROFILE)]
    done = subprocess.run(dump, capture_output=True, text=True, check=True, timeout=60)
    rule = re.compile(r"^rule: (\S+)  ->  .* priority=\S+ \(0x([0-9a-f]+)/", re.MULTILINE)
    found = rule.findall(done.stdout + done.stderr)
    readable = [re.compile(path) for path, permissions in found if int(permissions, 16) & MAY_READ]
    wanted = [f"{folder}/{name}" for folder in library_directories() for name in ("", "libkea-process.so.91")]
    assert [path for path in wanted if not any(rule.fullmatch(path) for rule in readable)] == []


def test_the_profile_is_for_the_program_of_the_unit() -> None:
    """It is the one that the Debian package installs."""
    service = _Unit(SYSTEMD / "pyd2.service")["Service"]
    program, _, file = service["ExecStart"].split()
    profile = PROFILE.read_text()
    assert f"profile pyd2 {program} {{" in profile
    assert f"{Path(file).parent}/** r," in profile
    assert program.removeprefix("/") in (ROOT / "debian" / "pyd2.install").read_text().splitlines()

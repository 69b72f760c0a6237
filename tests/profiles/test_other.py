"""A configuration for another Kea than the one that pyd2 behaves like: Kea's error, then a hint."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.paths import Directories
from pyd2.profiles.known import profile_of
from pyd2.profiles.other import hint
from pyd2.profiles.release import release_of
from tests.kit.d2 import D2, config, environment
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNIX = {"socket-type": "unix", "socket-name": "d2.sock"}
FOR_3_0 = {"control-sockets": [UNIX]}
FOR_2_6 = {
    "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO", "output-options": [{"output": "/d2.log"}]}]
}
HINTS = {
    "3.0": "this configuration is right for Kea 3.0, but pyd2 behaves like Kea 2.6.3: to change that, write "
           "the release that you had, such as 3.0.4, into /etc/pyd2/kea-version and restart pyd2",
    "2.6": "this configuration is right for Kea 2.6, but pyd2 behaves like Kea 3.0.4: to change that, write "
           "the release that you had, such as 2.6.3, into /etc/pyd2/kea-version and restart pyd2",
}


def of(version: str, given: dict[str, Any], directory: Path) -> str:
    profile = profile_of(release_of(version))
    path, place = directory / "d2.json", str(directory)
    path.write_text(json.dumps({"DhcpDdns": given}))
    return hint(profile, str(path), Directories(place, place, place, profile.config.paths))


def run(
    program: str, directory: Path, option: str, given: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": given}))
    return subprocess.run(
        [program, option, "d2.json"], cwd=directory, env=environment(directory), capture_output=True,
        text=True, check=False,
    )


def test_the_hint_says_which_kea_and_what_to_do(directory: Path) -> None:
    assert of("2.6.3", {"loggers": FOR_2_6["loggers"]}, directory) == ""
    assert of("3.0.4", FOR_2_6, directory) == HINTS["2.6"]
    assert of("3.0.4", FOR_3_0, directory) == ""


@pytest.mark.parametrize("given", [{"port": 0}, {"control-socket": 7}, {"control-sockets": 7, "port": "x"}])
def test_what_no_kea_accepts_gets_none(directory: Path, given: dict[str, Any]) -> None:
    for version in ("2.6.3", "3.0.3"):
        assert of(version, given, directory) == ""


def test_the_mode_of_the_directory_counts(directory: Path) -> None:
    directory.chmod(0o700)
    assert of("2.6.3", {"control-socket": UNIX}, directory) == HINTS["3.0"]
    assert of("3.0.4", {"control-socket": UNIX}, directory) == ""
    directory.chmod(0o750)


@pytest.mark.parametrize(("release", "given", "fault"), [
    ("2.6.3", FOR_3_0, "d2.json:1.15-31: got unexpected keyword \"control-sockets\" in DhcpDdns map."),
    ("3.0.4", FOR_2_6, "invalid path in `output`: invalid path specified: '/', supported path is"),
])
def test_on_the_next_line_of_a_check_and_a_start(
    pyd2: Callable[[str], str], directory: Path, release: str, given: dict[str, Any], fault: str
) -> None:
    other = {"2.6.3": "3.0", "3.0.4": "2.6"}[release]
    for option in ("-t", "-c"):
        done = run(pyd2(release), directory, option, given)
        assert done.returncode == 1
        error, shown = done.stderr.splitlines()[-2:]
        assert fault in error
        assert shown == HINTS[other]
        assert f"PYD2_CONFIG_OF_OTHER_KEA {HINTS[other]}" in done.stdout + done.stderr


def test_a_pipe_is_not_read_twice(pyd2: Callable[[str], str], directory: Path) -> None:
    text = json.dumps({"DhcpDdns": FOR_3_0})
    done = subprocess.run(
        ["/bin/sh", "-c", f"{pyd2('2.6.3')} -t /dev/stdin"], input=text, cwd=directory,
        env=environment(directory), capture_output=True, text=True, check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_in_the_log_of_a_running_server_and_not_in_its_answers(
    pyd2: Callable[[str], str], directory: Path
) -> None:
    with PortLease() as lease:
        good = config(lease.take())
        bad = {"DhcpDdns": good["DhcpDdns"] | FOR_2_6}
        with D2.start(pyd2("3.0.4"), directory, good) as d2:
            (directory / "d2.json").write_text(json.dumps(bad))
            d2.process.send_signal(signal.SIGHUP)
            d2.wait_for_log("PYD2_CONFIG_OF_OTHER_KEA")
            answer = d2.command("config-reload")
            assert answer["result"] == 1
            assert "such as" not in answer["text"]
            d2.wait_for_log("PYD2_CONFIG_OF_OTHER_KEA", count=2)
            assert d2.command("config-set", bad)["result"] == 1
            d2.barrier()
            assert d2.stdout().count("PYD2_CONFIG_OF_OTHER_KEA") == 2

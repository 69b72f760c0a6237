"""The demo: it passes with the real server and with pyd2, and fails when something is not right."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.tools import demo
from pyd2.tools.cli import main
from tests.kit.process import find_program

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_KEY = "hmac-sha512:other:b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI="


@contextlib.contextmanager
def dns_server(*options: str) -> Iterator[str]:
    """Run ``pyd2ctl dns-server`` with the demo's zones; gives ADDRESS:PORT."""
    command = [sys.executable, "-m", "pyd2.tools", "dns-server", *demo.EXPECTED, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), f"the DNS server ended with {process.wait(10)}"
        yield line.removeprefix("listening on ").strip()
        process.terminate()
        process.stdout.read()
        assert process.wait(10) == 0


@pytest.fixture
def kea() -> str:
    return find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server")


@pytest.fixture(autouse=True)
def no_directory_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the test a short directory of its own for temporary files, which is empty again at its end."""
    with tempfile.TemporaryDirectory(prefix="d2.") as own:
        monkeypatch.setenv("TMPDIR", own)
        monkeypatch.setattr(tempfile, "tempdir", own)
        yield
        assert list(Path(own).iterdir()) == []


def test_the_demo_with_pyd2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0, capsys.readouterr()
    assert "ann.demo.example" in capsys.readouterr().out


@pytest.mark.peers
def test_the_demo_with_the_real_server(capsys: pytest.CaptureFixture[str], kea: str) -> None:
    assert main(["demo", "--daemon", kea, "--log"]) == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert "All as it should be." in out
    assert "DCTL_STARTING" in out


@pytest.mark.peers
def test_the_demo_with_another_dns_server(capsys: pytest.CaptureFixture[str], kea: str) -> None:
    with dns_server("--key", OTHER_KEY) as server:
        assert main(["demo", "--daemon", kea, "--dns", server, "--key", OTHER_KEY]) == 0, capsys.readouterr()


@pytest.mark.peers
def test_it_fails_when_the_dns_server_refuses(capsys: pytest.CaptureFixture[str], kea: str) -> None:
    with dns_server("--key", OTHER_KEY) as server:
        assert main(["demo", "--daemon", kea, "--dns", server]) == 1
    out = capsys.readouterr().out
    assert "DHCP_DDNS_ADD_FAILED, but expected DHCP_DDNS_ADD_SUCCEEDED" in out
    assert "wrong, expected" in out
    assert out.endswith("NOT as it should be.\n")


@pytest.mark.parametrize(("daemon", "reason"), [("false", "did not come up (exit status 1)"),
                                                ("no-such-program", "No such file or directory")])
def test_a_daemon_that_does_not_start_is_reported(capsys: pytest.CaptureFixture[str], daemon: str,
                                                  reason: str) -> None:
    assert main(["demo", "--daemon", daemon]) == 1
    assert reason in capsys.readouterr().err

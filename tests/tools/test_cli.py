"""The command line of pyd2ctl."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyd2 import __version__
from pyd2.tools import cli


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name, text in cli._COMMANDS.items():
        assert f"    {name}" in out
        assert text in " ".join(out.split())


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: pyd2ctl {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["--no-such-option"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: pyd2ctl" in capsys.readouterr().err


def test_the_module_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "pyd2.tools", "--version"], capture_output=True, text=True,
                          check=True)
    assert done.stdout == f"pyd2ctl {__version__}\n"


def test_a_reader_that_goes_away_is_no_fault() -> None:
    """As ``pyd2ctl lint ... | head -1``: the pipe closes before all is written."""
    command = [sys.executable, "-m", "pyd2.tools", "lint", *["no-such-file"] * 20000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141

"""The launcher: pyd2 as a process with Kea's name, in an isolated Python."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyd2.tools.cli import main
from tests.kit.d2 import environment
from tests.packages.launcher import NAME, running


def run(
    program: Path | str, *arguments: str, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], cwd=cwd, env=environment(cwd) | variables, text=True,
                          capture_output=True, check=False, timeout=60)


def status(pid: int, name: str) -> str:
    (found,) = re.findall(rf"^{name}:\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("arguments", [
    "-v", "-V", "", "-x", "-c", "-v more", "-t none", "-t d2.json", "-dt d2.json", "-c d2.json more",
])
def test_it_answers_as_the_installed_command_does(arguments: str, launcher: Path, d2_binary: str,
                                                  tmp_path: Path) -> None:
    (tmp_path / "d2.json").write_text('{ "DhcpDdns": { "port": 53001 } }')
    tmp_path.chmod(0o750)
    wanted, found = (run(program, *arguments.split(), cwd=tmp_path) for program in (d2_binary, launcher))
    times = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+|/\d+\.\d+\]")
    assert (found.returncode, times.sub("", found.stdout), times.sub("", found.stderr)) == (
        wanted.returncode, times.sub("", wanted.stdout), times.sub("", wanted.stderr))


def test_an_argument_may_hold_any_octet(launcher: Path, tmp_path: Path) -> None:
    done = subprocess.run([launcher, "-t", b"\xff\xfe.json"], cwd=tmp_path, env=environment(tmp_path),
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"\xff\xfe.json" in done.stderr


def test_the_process_looks_like_keas(launcher: Path) -> None:
    with running(launcher) as d2:
        process = Path(f"/proc/{d2.process.pid}")
        assert (process / "comm").read_text() == f"{NAME}\n"
        assert (process / "cmdline").read_bytes() == b"\0".join([bytes(launcher), b"-c", b"d2.json", b""])
        assert (process / "exe").readlink() == launcher
        assert d2.stop() == 0


def test_it_takes_signals_as_the_installed_command_does(launcher: Path, d2_binary: str) -> None:
    """A client that goes away must not end it: SIGPIPE is ignored."""
    found = []
    for program in (d2_binary, launcher):
        with running(program) as d2:
            found.append([status(d2.process.pid, name) for name in ("SigIgn", "SigCgt", "SigBlk")])
            assert d2.stop(signal.SIGINT) == 0
    assert found[0] == found[1]
    assert int(found[1][0], 16) >> signal.SIGPIPE - 1 & 1


def test_nothing_around_it_changes_what_it_runs(launcher: Path, tmp_path: Path) -> None:
    """Neither the directory nor Python's variables do; a module there would end the process."""
    for name in ("pyd2", "encodings", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)")
    names = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE")
    variables = dict.fromkeys(names, str(tmp_path))
    done = run(launcher, "-v", cwd=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_knows_an_interpreter(launcher: Path, tmp_path: Path) -> None:
    """Hook libraries in Python may start one."""
    assert f" {sys.executable}\n" in run(launcher, "-W", cwd=tmp_path).stdout


def test_a_crash_shows_pythons_frames_where_that_is_asked_for(launcher: Path) -> None:
    with running(launcher, PYTHONFAULTHANDLER="1") as d2:
        assert d2.stop(signal.SIGABRT) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in d2.process.stderr()


def test_the_demo_through_it(launcher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--daemon", str(launcher)]) == 0, capsys.readouterr()
    assert "All as it should be." in capsys.readouterr().out

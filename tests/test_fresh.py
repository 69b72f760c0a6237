"""./dev fresh, without a new system: its options, what it passes on, and what it leaves.

With root the namespaces are real: a folder with nothing but /bin/sh's parts is entered.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import DevError, fresh, machine

ROOT = Path(__file__).parents[1]


def namespaces_work() -> bool:
    try:
        fresh.check_root()
        fresh.check_namespaces()
    except (DevError, OSError):
        return False
    return True


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "pyd2-fresh").mkdir()
    return tmp_path / "pyd2-fresh"


@pytest.mark.parametrize(("line", "expected"), [
    ("", {"trixie": ("demo", "test"), "testing": ("demo",)}),
    ("demo", {"trixie": ("demo",), "testing": ("demo",)}),
    ("test", {"trixie": ("test",)}),
    ("--suite testing", {"testing": ("demo",)}),
    ("--suite trixie demo", {"trixie": ("demo",)}),
    ("test --suite testing", {"testing": ("test",)}),
])
def test_command_and_suite_choose(line: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert fresh.plan(line.split()) == (expected, None)


@pytest.mark.parametrize("line", ["lint", "--suite bookworm", "demo test"])
def test_other_words_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fresh.plan(line.split())
    assert ended.value.code == 2
    assert "usage: ./dev fresh" in capsys.readouterr().err


def test_it_refuses_another_user_than_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevError, match="needs root"):
        fresh.check_root()


def test_two_do_not_work_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "NEEDED_SPACE", 0)
    with fresh.alone(), pytest.raises(DevError, match=r"another \./dev fresh is at work"), fresh.alone():
        pass


def test_a_full_disk_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "NEEDED_SPACE", 2**80)
    with pytest.raises(DevError, match=r"GiB free, and .* are needed"), fresh.alone():
        pass


def test_a_folder_with_a_mount_below_is_not_removed() -> None:
    with pytest.raises(DevError, match=r"^/proc is not removed: /proc"):
        fresh.remove(Path("/proc"))


# What a step shows.

def steps(cache: Path) -> fresh.Steps:
    return fresh.Steps("trixie", cache / "log")


def test_a_step_shows_its_progress_and_its_last_line(cache: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fresh, "PROGRESS_SECONDS", 0.01)
    os.mkfifo(cache / "pipe")
    shown = fresh.Steps.say
    waits = [True]

    def say(self: fresh.Steps, text: str) -> None:
        shown(self, text)
        if text.endswith("half") and waits:  # the step continues when its progress has been shown
            waits.clear()
            (cache / "pipe").write_text("go\n")

    monkeypatch.setattr(fresh.Steps, "say", say)
    script = f"echo half; read word < {cache / 'pipe'}; echo whole; echo"
    assert steps(cache).carry_out("clone", "halving", ("sh", "-c", script), dict(os.environ)) == "whole"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fresh: trixie: halving ..."
    assert any(re.fullmatch(r"fresh: trixie:   \d:\d\d  half", line) for line in lines)
    assert re.fullmatch(r"fresh: trixie:   \d:\d\d  done", lines[-1])


@pytest.mark.parametrize(("output", "hint"), [
    ("E: Failed getting release file http://deb.example/Release", "the Debian mirror cannot be"),
    ("ERROR: No matching distribution found for setuptools>=77", "the Python package index cannot be"),
    ("1 failed, 2 passed", None),
])
def test_a_step_that_fails_shows_its_end_and_what_is_missing(cache: Path, output: str,
                                                             hint: str | None) -> None:
    step = steps(cache)
    step.carry_out("clone", "before", ("echo", "SSLError, but of another step"), {})
    with pytest.raises(DevError) as failed:
        step.carry_out("demo", "./dev demo", ("sh", "-c", f"echo '{output}'; exit 3"), dict(os.environ))
    text = str(failed.value)
    assert text.startswith(f"trixie: ./dev demo: failed\n{output}\n")
    assert text.endswith(f"all of it: {cache / 'log'}")
    assert ("cannot be reached" in text) == (hint is not None)
    assert hint is None or hint in text


def test_a_step_that_takes_too_long_is_ended(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "PROGRESS_SECONDS", 0.01)
    monkeypatch.setitem(fresh.MINUTES, "clone", 0)
    with pytest.raises(DevError, match="not done after 0 minutes"):
        steps(cache).carry_out("clone", "waiting", ("sleep", "3600"), dict(os.environ))


# What goes along.

def test_settings_go_along_and_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, root, wheels = tmp_path / "home", tmp_path / "root", tmp_path / "wheels"
    (home / ".config/pip").mkdir(parents=True)
    (root / "etc/apt/apt.conf.d").mkdir(parents=True)
    wheels.mkdir()
    certificate = tmp_path / "bundle.crt"
    certificate.write_text("CERTIFICATE")
    (home / ".config/pip/pip.conf").write_text(f"[global]\ncert = {certificate}\nfind-links = {wheels}\n")
    apt = 'Acquire::https::CAInfo "/no/such/file";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
    monkeypatch.setattr(machine, "apt_settings", lambda: apt)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    passed = machine.passed_environment()
    assert passed["https_proxy"] == "http://proxy.example:3128"
    assert passed["PIP_INDEX_URL"] == "https://index.example/simple"
    assert not {"PIP_FIND_LINKS", "SECRET_TOKEN", "HOME", "PATH"} & passed.keys()
    (root / "etc/resolv.conf").symlink_to("/no/such/file")
    machine.give_settings(root)
    assert (root / "etc/apt/apt.conf.d/00-of-the-machine").read_text() == apt
    assert (root / "root/.config/pip/pip.conf").read_text().startswith("[global]")
    assert (root / str(certificate).lstrip("/")).read_text() == "CERTIFICATE"
    assert not (root / str(wheels).lstrip("/")).exists()
    assert not (root / "etc/resolv.conf").is_symlink()


def test_of_apt_only_how_it_fetches_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = "\n".join(['Acquire "";', 'Acquire::http "";', 'Acquire::http::Proxy "http://proxy.example:3128";',
                      'Acquire::IndexTargets::deb::Packages::ShortDescription "Packages";',
                      'Acquire::Changelogs::URI::Origin::Debian "https://changes.example/@CHANGEPATH@";'])
    monkeypatch.setattr(machine, "output", lambda *_: dump)
    assert machine.apt_settings() == 'Acquire::http::Proxy "http://proxy.example:3128";\n'


def test_the_mirror_is_that_of_debian_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = ["Other|main|stable|http://other.example/debian/",
               "Debian|main|trixie-security|http://mirror.example/debian-security/",
               "$(ORIGIN)|$(COMPONENT)|./|file:/usr/share/local/",
               "Debian|main|trixie|http://mirror.example/debian/"]
    monkeypatch.setattr(machine, "output", lambda *_: "\n".join(targets))
    assert machine.mirror() == "http://mirror.example/debian/"
    monkeypatch.setattr(machine, "output", lambda *_: "")
    assert machine.mirror() is None


# Namespaces.

@pytest.fixture
def system(cache: Path) -> Path:
    """A folder that can be entered: a shell, cat, sleep, and the libraries they need."""
    if not namespaces_work():
        pytest.skip("needs root and namespaces")
    root = cache / "system"
    for folder in ("proc", "sys", "dev", "root", "usr/bin"):
        (root / folder).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    for name in ("sh", "cat", "sleep", "ls"):
        program = Path(shutil.which(name) or "").resolve()
        shutil.copy(program, root / "usr/bin" / name)
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for word in libraries.split():
            if word.startswith("/"):
                (root / word.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, root / word.lstrip("/"))
    return root


def test_a_system_has_devices_and_processes_of_its_own(system: Path) -> None:
    script = "ls /dev; echo data >/dev/null; ls /dev/pts; ls -d /proc/[0-9]*; ls /root; exit 3"
    done = subprocess.run(fresh.inside(system, script), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert {"null", "zero", "urandom", "tty", "ptmx", "shm", "fd", "stdin"} <= set(done.stdout.split())
    assert "/proc/1\n" in done.stdout
    assert f"/proc/{os.getpid()}\n" not in done.stdout
    fresh.remove(system)
    assert not system.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_no_process_and_no_mount_stays(system: Path, cache: Path,
                                                       number: signal.Signals) -> None:
    """The signal comes while a step has a process in the background."""
    program = (
        "from pathlib import Path; from devtools import fresh; fresh.end_on_signals()\n"
        f"root = Path({str(system)!r}); steps = fresh.Steps('trixie', Path({str(cache / 'log')!r}))\n"
        "script = 'exec 3<>/root/pipe; sleep 3601 & sleep 3602'\n"
        "command, env = fresh.inside(root, script), {'PATH': '/usr/bin:/usr/sbin'}\n"
        "try: steps.carry_out('demo', 'waiting', command, env)\n"
        "finally: fresh.remove(root)\n"
    )
    os.mkfifo(system / "root/pipe")
    ours = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    # A process inside opens it: the step is under way. It ends when none is left that has it.
    with (system / "root/pipe").open("rb") as pipe:
        ours.send_signal(number)
        assert pipe.read() == b""
    ours.communicate()
    assert ours.returncode != 0
    if number == signal.SIGKILL:
        fresh.remove(system)  # what the next run does
    assert not system.exists()
    assert str(system) not in Path("/proc/self/mountinfo").read_text()

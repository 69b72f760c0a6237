"""./dev fresh: the README's commands in a new minimal Debian, where nothing is installed but python3 and git.

Each system lives in a folder and runs in mount and process namespaces of its own. The kernel ends its
processes and takes its mounts away with the first of them, however this program ends; then the folder is
removed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devtools import DevError
from devtools.machine import give_settings, mirror, output, passed_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {"debootstrap": "debootstrap", "unshare": "util-linux", "setpriv": "util-linux", "tar": "tar"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES: dict[str, tuple[str, ...]] = {"trixie": ("demo", "test"), "testing": ("demo",)}
"""The commands that run in each suite."""
MINUTES = {"system": 40, "clone": 5, "demo": 20, "test": 120, "package": 30}
"""The longest that a step may take."""
KEPT_DAYS = 7
"""A new system is kept packed for as long."""
PROGRESS_SECONDS = 60.0
SHOWN_LINES = 40
NEEDED_SPACE = 6 * 2**30  # octets: the system, the packages of the real servers, and the packed system

NAMESPACES = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid",
              "--fork", "--kill-child")
# The first process in a new system: bash, because it also reaps orphaned processes.
ENTER = """
set -e
root=$1; shift
mount --bind "$root" "$root"  # what is entered is a mount, as the root of a machine is
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for name in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${name#*:}" "$root/dev/${name%:*}"; done
set +e
chroot "$root" "$@"
exit $?
"""
NO_MIRROR = re.compile(
    r"Failed getting release file|Failed to fetch|Temporary failure resolving|Unable to locate package")
NO_INDEX = re.compile(r"No matching distribution found|after connection broken by|ProxyError|SSLError")


class Plan(NamedTuple):
    """What to run: of each suite the commands."""

    commands: dict[str, tuple[str, ...]]
    mirror: str | None


def plan(arguments: list[str]) -> Plan:
    """Return what a command line asks for. SystemExit when it is wrong, or asks for help."""
    parser = argparse.ArgumentParser(prog="./dev fresh", description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("demo", "test"), help="only this one")
    parser.add_argument("--suite", choices=SUITES, help="only this one (trixie: demo, test; testing: demo)")
    parser.add_argument("--mirror", metavar="URL", help="the Debian mirror (that of this machine's apt)")
    chosen = parser.parse_args(arguments)
    commands = SUITES
    if chosen.suite is not None:
        commands = {chosen.suite: SUITES[chosen.suite]}
    if chosen.command is not None:
        commands = {suite: (chosen.command,) for suite, usual in commands.items()
                    if chosen.suite or chosen.command in usual}
    return Plan(commands, chosen.mirror)


def cache_folder() -> Path:
    """Return the folder of this command: packed systems, the system in use, the logs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "pyd2-fresh"


# --- One step -------------------------------------------------------------------------------------


def end(process: subprocess.Popen[bytes]) -> None:
    """End a step and all that it started; when this returns, its processes and mounts are gone."""
    if process.poll() is not None:
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    inner = children.read_text().split()
    # The first process of the namespace: unshare ends when the kernel has ended all others in there.
    os.kill(int(inner[0]) if inner else process.pid, signal.SIGKILL)
    process.wait()


def last_line(log: Path, begin: int) -> str:
    """Return the end of what a log has from a place on, in one line."""
    with log.open("rb") as file:
        file.seek(max(begin, log.stat().st_size - 1000))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[-90:] for line in reversed(lines) if line.strip()), "")


def minutes(seconds: float) -> str:
    """Return a time as it is shown."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@dataclass
class Steps:
    """Carries out the steps of one suite, and shows each with the time it takes."""

    suite: str
    log: Path
    command: str = "fresh"

    def say(self, text: str) -> None:
        """Print a line."""
        print(f"{self.command}: {self.suite}: {text}", flush=True)

    def carry_out(self, step: str, name: str, command: tuple[str, ...], env: dict[str, str]) -> str:
        """Run a step to its end and return the last line it printed. DevError: it failed, or was too slow."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        started = time.monotonic()
        self.say(f"{name} ...")
        with self.log.open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                       start_new_session=True)
        try:
            while process.returncode is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PROGRESS_SECONDS)
                    break
                took = time.monotonic() - started
                if took > MINUTES[step] * 60:
                    raise DevError(f"{self.suite}: {name}: not done after {MINUTES[step]} minutes; "
                                   f"what it printed: {self.log}")
                self.say(f"  {minutes(took)}  {last_line(self.log, begin)}")
        finally:
            end(process)
        if process.returncode != 0:
            raise DevError(f"{self.suite}: {name}: failed\n{self.failure(begin)}")
        self.say(f"  {minutes(time.monotonic() - started)}  done")
        return last_line(self.log, begin)

    def failure(self, begin: int) -> str:
        """Return the last lines of a step that failed, and what seems to be missing."""
        text = self.log.read_bytes()[begin:].decode(errors="replace")
        hint = ""
        if NO_INDEX.search(text):
            hint = "the Python package index cannot be reached from the new system (docs/releasing.md)\n"
        elif NO_MIRROR.search(text):
            hint = "the Debian mirror cannot be reached, or lacks a package (docs/releasing.md)\n"
        return "\n".join([*text.splitlines()[-SHOWN_LINES:], f"{hint}all of it: {self.log}"])


# --- The system -----------------------------------------------------------------------------------


def remove(root: Path) -> None:
    """Remove a system's folder; refuse while anything is mounted below it."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [place for place in places if place == str(root) or place.startswith(f"{root}/")]
    if below:
        raise DevError(f"{root} is not removed: {', '.join(below)} is mounted there; unmount it first")
    if root.exists():
        shutil.rmtree(root)


def make_system(steps: Steps, root: Path, packed: Path, suite: str, address: str | None) -> None:
    """Make a minimal Debian in a folder: from a packed one that is not old, else from the mirror."""
    root.mkdir()
    env = dict(os.environ)
    age = (time.time() - packed.stat().st_mtime) / 86400 if packed.exists() else KEPT_DAYS
    if age < KEPT_DAYS:
        steps.carry_out("system", f"the system, packed {age:.1f} days ago (delete {packed} for a new one)",
                        ("tar", "--numeric-owner", "-xpf", str(packed), "-C", str(root)), env)
        return
    command = ("debootstrap", "--variant=minbase", "--include=python3,git", suite, str(root),
               *([address] if address else []))
    steps.carry_out("system", "a minimal system with python3 and git",
                    (*NAMESPACES, "--mount-proc", *command), env)
    part = packed.with_suffix(".part")
    steps.carry_out("system", "packing it for the next time",
                    ("tar", "--numeric-owner", "-cf", str(part), "-C", str(root), "."), env)
    part.replace(packed)


@contextmanager
def new_system(steps: Steps, suite: str, address: str | None) -> Iterator[Path]:
    """Give a new minimal Debian in a folder; it is removed at the end."""
    folder = cache_folder()
    root = folder / "system"
    remove(root)  # of a run that was killed
    try:
        make_system(steps, root, folder / f"{suite}-{os.uname().machine}.tar", suite, address or mirror())
        give_settings(root)
        policy = root / "usr/sbin/policy-rc.d"  # no service may start: it would take this machine's ports
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        yield root
    finally:
        remove(root)


def environment() -> dict[str, str]:
    """Return the environment of the commands in a new system. As in CI no test may be left out."""
    return {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8", "TERM": "dumb", "CI": "true"} | passed_environment()


def clone(steps: Steps, checkout: Path, root: Path, env: dict[str, str]) -> None:
    """Clone the commit that is checked out into the system."""
    git = ("git", "-C", str(checkout), "-c", f"safe.directory={checkout}")
    if output(*git, "status", "--porcelain"):
        steps.say("what is not committed is not tested")
    bundle = root / "root" / "pyd2.bundle"
    commit = output(*git, "log", "-1", "--format=%h %s").strip()
    steps.carry_out("clone", f"cloning {commit}", (*git, "bundle", "create", str(bundle), "HEAD"),
                    dict(os.environ))
    steps.carry_out("clone", "in the new system", inside(
        root, "cd && git -c advice.detachedHead=false clone pyd2.bundle pyd2 && rm pyd2.bundle"), env)


def inside(root: Path, script: str) -> tuple[str, ...]:
    """Return the command that runs a script of the shell in a system."""
    return (*NAMESPACES, "bash", "-c", ENTER, "enter", str(root), "sh", "-c", script)


def check_suite(checkout: Path, suite: str, asked: Plan, passed: list[str]) -> None:
    """Run the commands of a suite in a new system, and add a line on each that passed. DevError ends it."""
    log = cache_folder() / f"{suite}.log"
    log.unlink(missing_ok=True)
    steps = Steps(suite, log)
    env = environment()
    with new_system(steps, suite, asked.mirror) as root:
        clone(steps, checkout, root, env)
        release = (root / "etc/debian_version").read_text().strip()
        version = output(*inside(root, "python3 --version")).strip()
        for command in asked.commands[suite]:
            script = f"cd /root/pyd2 && ./dev {command}"
            said = steps.carry_out(command, f"./dev {command}", inside(root, script), env)
            passed.append(f"{suite} (Debian {release}, {version}): ./dev {command}: {said}")


# --- The command ----------------------------------------------------------------------------------


@contextmanager
def alone() -> Iterator[None]:
    """Hold the folder of this command; DevError when another process does."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevError(f"another ./dev fresh is at work in {folder}, or package --check") from None
        free = shutil.disk_usage(folder).free
        if free < NEEDED_SPACE:
            raise DevError(f"{folder} has {free >> 30} GiB free, and {NEEDED_SPACE >> 30} are needed; "
                           "XDG_CACHE_HOME moves it")
        yield


def check_root() -> None:
    """Raise DevError for another user than root."""
    if os.geteuid() != 0:
        raise DevError("fresh needs root: it makes a system in a folder and mounts /proc and /dev there")


def check_namespaces() -> None:
    """Raise DevError where systems cannot be entered, as in most containers; the text says why."""
    probe = (*NAMESPACES, "mount", "-t", "tmpfs", "none", "/mnt")
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DevError(f"fresh needs mount and process namespaces: {done.stderr.strip()}")


def end_on_signals() -> None:
    """End at a signal as at Ctrl-C: the new system is removed."""
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def carry_out(checkout: Path, asked: Plan) -> int:
    """Run the chosen commands; return 0 if all succeeded."""
    end_on_signals()
    check_namespaces()
    passed: list[str] = []
    failed = False
    with alone():
        for suite in asked.commands:
            try:
                check_suite(checkout, suite, asked, passed)
            except DevError as error:
                print(f"fresh: {error}", flush=True)
                failed = True
    for line in passed:
        print(f"fresh: passed: {line}")
    print("fresh: FAILED" if failed else "fresh: all passed")
    return 1 if failed else 0

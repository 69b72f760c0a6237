"""./dev package: the Debian packages, the source distribution and a wheel, in dist/."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING, Final, NamedTuple

from devtools import DevError
from devtools.machine import passed_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PROGRAMS: Final = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "lintian": "lintian"}
NOT_MADE: Final = (
    "the wheels for other Pythons and for aarch64: 'cibuildwheel' makes them in its containers",
    "the container image: 'podman build -t pyd2 .' makes it",
)
SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian's own tools, and its own Python."""


class Plan(NamedTuple):
    """What to do."""

    check: bool
    scenarios: tuple[str, ...]
    mirror: str | None


def plan(arguments: list[str], scenarios: tuple[str, ...]) -> Plan:
    """Return what a command line asks for. SystemExit when it is wrong, or asks for help."""
    parser = argparse.ArgumentParser(prog="./dev package", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true",
                        help="build the packages in a new minimal Debian 13, and try them in others")
    parser.add_argument("--with", dest="scenario", choices=scenarios,
                        help="with --check: only the system with this Kea")
    parser.add_argument("--mirror", metavar="URL", help="the Debian mirror (that of this machine's apt)")
    chosen = parser.parse_args(arguments)
    if chosen.scenario and not chosen.check:
        parser.error("--with goes with --check")
    return Plan(chosen.check, (chosen.scenario,) if chosen.scenario else scenarios, chosen.mirror)


def version(checkout: Path) -> str:
    """Return the version of the checkout: that of the package, which is its only place."""
    found = re.search(r'^__version__ = "(.+)"$', (checkout / "pyd2/__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def run(command: list[str], cwd: Path, env: Mapping[str, str], log: Path) -> str:
    """Run a command with its output in a log. Returns the output; raises DevError with its end."""
    done = subprocess.run(command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    with log.open("a") as out:
        out.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-40:])
        raise DevError(f"failed: {' '.join(command)}\n{end}\nall of it: {log}")
    return done.stdout


def export(checkout: Path, target: Path) -> None:
    """Copy the files that git knows, as they are now."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, check=True).stdout
    for name in filter(None, listing.decode().split("\0")):
        if (checkout / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / name, target / name)


def unmet(tree: Path) -> list[str]:
    """Return the packages that building the Debian packages needs and that are not installed."""
    done = subprocess.run(["dpkg-checkbuilddeps"], cwd=tree, capture_output=True, text=True, check=False,
                          env=os.environ | {"LC_ALL": "C"})
    return named(done.stderr)


def named(complaint: str) -> list[str]:
    """Return the packages that dpkg-checkbuilddeps finds missing: of alternatives the first."""
    _, _, listed = complaint.partition("unmet build dependencies: ")
    return re.sub(r"\([^)]*\)|\|\s*\S+", "", listed).split()


def debian(checkout: Path, dist: Path, install: Callable[[list[str]], None] | None) -> list[Path]:
    """Build the Debian packages and check them with lintian; return their files. Raises DevError."""
    work, log = dist / "debian", dist / "debian.log"
    shutil.rmtree(work, ignore_errors=True)
    log.unlink(missing_ok=True)
    tree = work / f"pyd2-{version(checkout)}"
    export(checkout, tree)
    missing = unmet(tree)
    if missing and install is None:
        raise DevError(f"the Debian packages cannot be built without {' '.join(missing)}: install them, or "
                       "run this as root")
    if missing and install is not None:
        install(missing)
    env = {"PATH": SYSTEM_PATH, "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8"}
    print("dev: building the Debian packages")
    run(["dpkg-buildpackage", "--no-sign"], tree, env, log)
    changes = [str(path) for path in work.glob("*.changes")]
    print("dev: lintian")
    lintian = ["lintian", "--fail-on", "error", "--allow-root", "--tag-display-limit", "0", *changes]
    said = run(lintian, work, env, log)
    print("".join(f"  {line}\n" for line in said.splitlines()), end="")
    made = [path.replace(dist / path.name) for path in sorted(work.iterdir()) if path.is_file()]
    shutil.rmtree(work)
    return made


def python(checkout: Path, dist: Path, interpreter: Path) -> list[Path]:
    """Build the source distribution, and from it a wheel for this machine; return both. Raises DevError."""
    log = dist / "python.log"
    log.unlink(missing_ok=True)
    for old in (*dist.glob("*.whl"), *dist.glob("pyd2-*.tar.gz")):
        old.unlink()
    tree = dist / "python"
    shutil.rmtree(tree, ignore_errors=True)
    export(checkout, tree)
    folder = interpreter.parent
    env = {"PATH": f"{folder}:{SYSTEM_PATH}", "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8",
           "KEA_INCLUDE_DIR": "/nonexistent"}  # the bridge fits one build of Kea: it is in no wheel
    env |= passed_environment()
    print("dev: building the source distribution and the wheel")
    build = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    run([str(interpreter), "-c", build, str(dist)], tree, env, log)
    (source,) = dist.glob("pyd2-*.tar.gz")
    pip = [str(interpreter), "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir"]
    run([*pip, str(tree / "wheel"), str(source)], dist, env, log)
    (wheel,) = (tree / "wheel").glob("*.whl")
    # It names the oldest C library that the wheel works with, and would add what is not in every system.
    audit = [str(interpreter), "-m", "auditwheel", "repair", "--wheel-dir", str(dist), str(wheel)]
    run(audit, dist, env, log)
    shutil.rmtree(tree)
    (repaired,) = dist.glob("*.whl")
    added = [name for name in zipfile.ZipFile(repaired).namelist() if ".libs/" in name]
    if added:
        raise DevError(f"{repaired.name} would bring libraries of its own: {', '.join(added)}")
    return [source, repaired]


def carry_out(checkout: Path, interpreter: Path, install: Callable[[list[str]], None] | None) -> int:
    """Make all that can be made on this machine; ``install`` installs Debian packages. Raises DevError."""
    dist = checkout / "dist"
    dist.mkdir(exist_ok=True)
    made = [*debian(checkout, dist, install), *python(checkout, dist, interpreter)]
    for path in made:
        print(f"dev: made dist/{path.name} ({path.stat().st_size / 1024:.0f} kB)")
    for name in NOT_MADE:
        print(f"dev: NOT MADE here: {name}")
    return 0

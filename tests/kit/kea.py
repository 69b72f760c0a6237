"""The real Kea of a test run: the installed 2.6, or 3.0 in .kea/ (./dev kea). The option --kea chooses.

Tests that compare pyd2 with the real server, and those of the bridge, are written for either; a process can
load one Kea only. ``tests/test_kea_3_0.py`` runs them again with --kea 3.0.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.hooks import choice
from pyd2.hooks.kea import start
from pyd2.profiles.known import profile_of
from pyd2.profiles.release import KEA_2_6_3, release_of
from tests.kit.process import find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Chain
    from pyd2.hooks.kea.bridge import Shim
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log
    from pyd2.profiles.profile import Profile

ROOT: Final = Path(__file__).parents[2]
UNPACKED: Final = ROOT / ".kea"
COMPILED: Final = UNPACKED / "compiled"
"""What tests compile, by the hash of what it is made of; git ignores it."""


class Kea(NamedTuple):
    """A Kea that tests run and compile for."""

    release: str
    """Such as ``3.0.3``."""
    root: Path | None
    """Where it is unpacked; None: it is installed."""

    def profile(self) -> Profile:
        """Return what pyd2 does as this Kea."""
        return profile_of(release_of(self.release))

    @property
    def rules(self) -> HookRules:
        """What it demands of hook libraries."""
        return self.profile().hooks

    @property
    def series(self) -> str:
        """Such as ``3.0``."""
        return self.release.rpartition(".")[0]

    def program(self, name: str, package: str = "") -> str:
        """Return the path of one of its programs."""
        if self.root is None:
            return find_program(name, package or f"{name}-server")
        path = self.root / "bin" / name
        assert path.is_file(), f"{path} is not there: remove {UNPACKED}, then ./dev kea"
        return str(path)

    @property
    def include(self) -> Path:
        """Where its headers are."""
        if self.root is not None:
            return self.root / "usr/include/kea"
        return Path(os.environ.get("KEA_INCLUDE_DIR", "/usr/include/kea"))

    @property
    def libraries(self) -> Path:
        """Where its libraries are."""
        (found,) = (self.root or Path("/")).glob("usr/lib/*/libkea-hooks.so")
        return found.parent

    def compiler(self) -> list[str]:
        """Return the compiler with the options for a hook library, without those for warnings."""
        command = [os.environ.get("CXX", "c++"), "-std=c++17", "-fPIC", "-shared"]
        command += ["-isystem", str(self.include)]
        if self.root is not None:
            # The headers of 3.0 want config.h to be first. Its libraries are not where the linker looks.
            command += ["-include", "config.h", f"-L{self.libraries}", f"-Wl,-rpath-link,{self.libraries}"]
        return command


class _State:
    chosen: Kea | None = None


def installed() -> Kea:
    """Return Kea 2.6.3, which is installed."""
    return Kea(KEA_2_6_3.version, None)


def unpacked(wanted: str) -> Kea:
    """Return the newest Kea of a series, or a release, that was unpacked."""
    found = [path for path in UNPACKED.glob(f"{wanted}*") if (path / "bin").is_dir()]
    if not found:
        raise AssertionError(f"there is no Kea {wanted} in {UNPACKED}: ./dev kea brings it")
    root = max(found, key=lambda path: [int(number) for number in path.name.split(".")])
    return Kea(root.name, root)


def choose(wanted: str) -> None:
    """Choose the Kea of this run, by a series or a release."""
    is_installed = f"{KEA_2_6_3.version}.".startswith(f"{wanted}.")
    _State.chosen = installed() if is_installed else unpacked(wanted)


def chosen() -> Kea:
    """Return the Kea of this run."""
    if _State.chosen is None:
        _State.chosen = installed()
    return _State.chosen


# Hook libraries for it, in this process.

def load_chain(entries: Sequence[HookLibrary], log: Log, **keywords: Any) -> Chain:
    """Load libraries as the server does under the chosen Kea."""
    return choice.load_chain(entries, log, rules=chosen().rules, **keywords)


def check_libraries(entries: Sequence[HookLibrary], log: Log) -> list[str]:
    """Check libraries as the server does under the chosen Kea."""
    return choice.check_libraries(entries, log, chosen().rules)


def shim() -> Shim:
    """Return the bridge to the chosen Kea."""
    return start.shim(chosen().rules.version)


def once(name: str, digest: str, make: Callable[[Path], object]) -> Path:
    """Return a file that ``make`` makes at a path, unless it is there; another process may make the same."""
    directory = COMPILED / digest[:16]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = directory / name
        if not target.exists():
            fresh = directory / f"{name}.new"
            make(fresh)
            fresh.replace(target)
    return target


def compiled(source: Path, *options: str, also: Sequence[Path] = (), kea: Kea | None = None) -> Path:
    """Return a hook library for Kea, compiled unless that was done before.

    ``also`` are files that the source includes.
    """
    linked = [option for option in options if option.startswith("-l")]
    command = [*(kea or chosen()).compiler(), *(option for option in options if option not in linked)]
    digest = hashlib.sha256("\0".join([*command, *linked, source.name]).encode())
    for path in (source, *also, (kea or chosen()).include / "hooks/hooks.h"):
        digest.update(path.read_bytes())

    def compile_it(target: Path) -> None:
        subprocess.run([*command, str(source), "-o", str(target), *linked], check=True)

    return once(f"{source.stem}.so", digest.hexdigest(), compile_it)

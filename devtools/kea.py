"""Brings Kea 3.0 from Debian's backports and unpacks it beside the installed Kea, for the tests.

Nothing of the system changes: apt gets a list of sources and folders of its own, and the packages are
unpacked, not installed. apt checks them by the hashes of Debian's signed index. The libraries of Kea 3.0 have
other names than those of 2.6, so each program finds its own.

What it makes in the project's folder `.kea` (git ignores it; remove it to bring the newest release again):

    .kea/3.0.3/bin/NAME   a program: `.kea/3.0.3/bin/kea-dhcp-ddns -v`
    .kea/3.0.3/usr/       the packages' files: headers in include/kea, libraries in lib/<machine>

One thing in them is changed: Debian's libraries look for others in /usr/lib/<machine>, these beside
themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devtools import DevError
from devtools.machine import mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

SUITE: Final = "trixie-backports"
SERIES: Final = "3.0."
PACKAGES: Final = ("kea-common", "kea-dev", "kea-dhcp-ddns-server", "kea-dhcp4-server", "kea-dhcp6-server",
                   "kea-admin", "kea-ctrl-agent", "python3-kea-connector")
PROGRAMS: Final = ("kea-dhcp-ddns", "kea-dhcp4", "kea-dhcp6", "perfdhcp", "kea-ctrl-agent", "kea-shell")
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NOT_NEEDED: Final = ("usr/share/doc", "usr/share/man", "usr/share/lintian")
MINUTES: Final = 10
"""The longest that one command of apt may take."""

WRAPPER: Final = """\
#!/bin/sh
# Runs a program of Kea {release} with its own libraries. exec keeps the process.
root={root}
export LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export PYTHONPATH="$root/usr/lib/python3/dist-packages/kea${{PYTHONPATH:+:$PYTHONPATH}}"
exec "$root/{program}" "$@"
"""


def releases(folder: Path) -> list[str]:
    """Return the releases that are unpacked in a folder, the oldest first."""
    found = [path.name for path in folder.glob(f"{SERIES}*") if (path / "bin/kea-dhcp-ddns").is_file()]
    return sorted(found, key=_by_number)


def _by_number(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def bring(folder: Path) -> list[str]:
    """Bring all releases of Kea 3.0 that the suite has, unless there is one; return the releases.

    Raises DevError where that does not work, with the reason in one line.
    """
    there = releases(folder)
    if there:
        return there
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DevError(f"Kea 3.0 comes from Debian's {SUITE}, and there is no apt-get here")
    address = mirror()
    if address is None:
        raise DevError(f"Kea 3.0 comes from Debian's {SUITE}, and apt knows no mirror of Debian here")
    print(f"dev: bringing Kea 3.0 from {SUITE} into {folder.name}/")
    apt = Apt(folder / "apt", address)
    try:
        apt.run("apt-get", "update")
        for version, names in apt.versions().items():
            _unpack(apt.download(version, names), version.partition("-")[0], folder)
    finally:
        shutil.rmtree(folder / "apt", ignore_errors=True)
    there = releases(folder)
    if not there:
        raise DevError(f"{SUITE} has no Kea 3.0 for this machine")
    return there


class Apt:
    """apt with a list of sources and folders of its own."""

    def __init__(self, place: Path, address: str, kind: str = "deb") -> None:
        """``kind`` of packages: ``deb`` or ``deb-src``."""
        self._place = place
        for name in ("lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True, exist_ok=True)
        source = place / "sources.list"
        signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        source.write_text(f"{kind} {signed}{address} {SUITE} main\n")
        settings = {
            "Dir::Etc::SourceList": source, "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null", "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State::Lists": place / "lists", "Dir::Cache": place / "cache",
            "APT::Sandbox::User": "root", "Acquire::Retries": 2, "Acquire::http::Timeout": 30,
            "Acquire::https::Timeout": 30, "APT::Update::Error-Mode": "any", "Acquire::Languages": "none",
        }
        self._options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]

    def run(self, command: str, *arguments: str) -> str:
        """Run a command of apt in its own folder and return what it prints. Raises DevError."""
        try:
            done = subprocess.run([command, *self._options, *arguments], cwd=self._place, text=True,
                                  capture_output=True, check=False, timeout=60 * MINUTES,
                                  env=os.environ | {"LC_ALL": "C.UTF-8"})
        except subprocess.TimeoutExpired:
            raise DevError(f"Kea 3.0: {command} {arguments[0]}: not done after {MINUTES} minutes") from None
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            reason = errors[0] if errors else f"exit status {done.returncode}"
            raise DevError(f"Kea 3.0 cannot be had from {SUITE}: {command} {arguments[0]}: {reason}")
        return done.stdout

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of Kea 3.0 in the suite, of each release the last, with its packages."""
        found: dict[str, list[str]] = {}
        for line in self.run("apt-cache", "madison", *PACKAGES).splitlines():
            name, version, source = (part.strip() for part in line.split("|"))
            if version.startswith(SERIES) and source.endswith(" Packages"):
                found.setdefault(version, []).append(name)
        last = {version.partition("-")[0]: version for version in sorted(found, key=_by_number)}
        return {version: found[version] for version in last.values()}

    def download(self, version: str, names: Sequence[str]) -> list[Path]:
        """Download packages of one version. Raises DevError."""
        self.run("apt-get", "download", *(f"{name}={version}" for name in names))
        return sorted(self._place.glob("*.deb"))


def _unpack(packages: Sequence[Path], release: str, folder: Path) -> None:
    """Unpack the packages of a release into a folder named like it, and remove them."""
    root, new = folder / release, folder / f"{release}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, new], check=True)
        package.unlink()
    for name in NOT_NEEDED:
        shutil.rmtree(new / name, ignore_errors=True)
    (hooks,) = new.glob("usr/lib/*/libkea-hooks.so")
    libraries = root / hooks.parent.relative_to(new)
    _look_beside(hooks.parent, "/" + str(hooks.parent.relative_to(new)))
    (new / "bin").mkdir()
    for name in PROGRAMS:
        for found in (path for path in (new / "usr/sbin" / name, new / "usr/bin" / name) if path.is_file()):
            text = WRAPPER.format(release=release, root=root, libraries=libraries,
                                  program=found.relative_to(new))
            (new / "bin" / name).write_text(text)
            (new / "bin" / name).chmod(0o755)
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    said = _version(root / "bin/kea-dhcp-ddns")
    if said != release:
        shutil.rmtree(root)
        raise DevError(f"Kea {release} of {SUITE} does not run here: {said}")


def _look_beside(libraries: Path, looked_in: str) -> None:
    """Change where libraries look for others: beside themselves, those of hooks two folders above."""
    old = b"\0" + os.fsencode(looked_in) + b"\0"
    for pattern, place in (("libkea-*.so.*", b"$ORIGIN"), ("kea/hooks/*.so", b"$ORIGIN/../..")):
        for library in libraries.glob(pattern):
            if library.is_file() and not library.is_symlink():
                new = (b"\0" + place).ljust(len(old), b"\0")
                library.write_bytes(library.read_bytes().replace(old, new))


def _version(program: Path) -> str:
    """Return what a program prints with -v, or why it does not."""
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]

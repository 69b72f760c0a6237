"""Builds ISC's GSS-TSIG library for the installed Kea and for those in `.kea`, for tests and benchmarks.

ISC publishes it with Kea 3.0, and Debian builds Kea without Kerberos, which leaves it out. Its source is that
of Debian's source package of Kea 3.0, or of a folder with Kea's source, if there is another one:
`python -m devtools.gss_tsig FOLDER`. Compiled with the headers of Kea 2.6 it runs there, too. Nothing of the
system changes: what is needed of Kerberos' headers is unpacked, not installed.

    .kea/gss-tsig/source/                      the library's source
    .kea/gss-tsig/krb5/                        the headers of Kerberos
    .kea/gss-tsig/3.0.3/libddns_gss_tsig.so    the library for a Kea
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devtools import DevError
from devtools.kea import SUITE, Apt, releases
from devtools.machine import mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE: Final = "libddns_gss_tsig.so"
SOURCE_PACKAGE: Final = "isc-kea"
SOURCE: Final = "src/hooks/d2/gss_tsig"
"""The library's folder in Kea's source."""
HEADERS: Final = ("krb5-multidev", "comerr-dev")
"""Debian's packages of the headers."""
OPTIONS: Final = ("-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-DHAVE_GSS_STR_TO_OID", "-include",
                  "config.h")
KERBEROS: Final = ("-l:libgssapi_krb5.so.2", "-l:libkrb5.so.3")
"""Kea's own libraries are in the process that loads this one."""


def bring(folder: Path) -> dict[str, Path]:
    """Return the libraries by the releases of Kea, built where that was not done yet. ``folder`` is `.kea`.

    Raises DevError where it does not work, with the reason in one line.
    """
    place = folder / "gss-tsig"
    place.mkdir(parents=True, exist_ok=True)
    source = place / "source"
    if not source.is_dir():
        _bring_source(source, place / "apt")
    includes = _kerberos(place)
    built = {}
    for release, headers in _keas(folder).items():
        target = place / release / FILE
        _compile(sorted(source.glob("*.cc")), [source, *includes], headers, target)
        built[release] = target
    return built


def there(folder: Path) -> dict[str, Path]:
    """Return the libraries that were built, by the releases of Kea."""
    return {path.parent.name: path for path in sorted((folder / "gss-tsig").glob(f"*/{FILE}"))}


def _keas(folder: Path) -> dict[str, Path]:
    """Return the folders of headers, by the releases of Kea."""
    return _installed() | {release: folder / release / "usr/include/kea" for release in releases(folder)}


def _installed() -> dict[str, Path]:
    installed = shutil.which("kea-dhcp-ddns", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed is None or not Path("/usr/include/kea/config.h").is_file():
        return {}
    said = subprocess.run([installed, "-v"], capture_output=True, text=True, check=False)
    return {said.stdout.strip(): Path("/usr/include/kea")}


def copy_source(kea: Path, folder: Path) -> None:
    """Take the library's source from a folder with Kea's source. ``folder`` is `.kea`."""
    source = folder / "gss-tsig/source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for path in (kea / SOURCE).iterdir():
        if path.suffix in {".cc", ".h"}:
            shutil.copy(path, source)


def _bring_source(source: Path, place: Path) -> None:
    address = mirror()
    if address is None or shutil.which("apt-get") is None:
        raise DevError("ISC's GSS-TSIG library comes from Debian's source of Kea, and apt knows no mirror")
    print(f"dev: bringing the source of ISC's GSS-TSIG library from {SUITE}")
    apt = Apt(place, address, kind="deb-src")
    try:
        apt.run("apt-get", "update")
        apt.run("apt-get", "source", "--download-only", SOURCE_PACKAGE)
        archives = sorted(place.glob("*.orig.tar.*"))
        if not archives:
            raise DevError(f"{SUITE} has no source of {SOURCE_PACKAGE}")
        new = source.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                inside = Path(member.name)
                if inside.suffix in {".cc", ".h"} and str(inside.parent).endswith(SOURCE):
                    content = archive.extractfile(member)
                    assert content is not None
                    (new / inside.name).write_bytes(content.read())
        new.rename(source)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _kerberos(place: Path) -> list[Path]:
    """Return where Kerberos' headers are, unpacked if they are not installed."""
    if Path("/usr/include/gssapi/gssapi_krb5.h").is_file():
        return []
    target = place / "krb5"
    if not target.is_dir():
        new = target.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name in HEADERS:
            _run(["apt-get", "download", name], new)
        for package in sorted(new.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(new)], new)
            package.unlink()
        new.rename(target)
    return [target / "usr/include", target / "usr/include/mit-krb5"]


def _compile(sources: Sequence[Path], includes: Sequence[Path], headers: Path, target: Path) -> None:
    """Compile the library for one Kea, unless that was done from the same sources."""
    stamp = target.with_name("made-of")
    digest = hashlib.sha256(repr((OPTIONS, KERBEROS)).encode())
    for path in (*sources, headers / "config.h", headers / "kea_version.h"):
        digest.update(path.read_bytes())
    if target.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    print(f"dev: building ISC's GSS-TSIG library for Kea {target.parent.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = target.with_name("all.cc")
    whole.write_text("".join(f'#include "{source.name}"\n' for source in sources))
    found = [f"-I{include}" for include in includes]
    _run(["c++", *OPTIONS, *found, "-isystem", str(headers), str(whole), "-o", str(target), *KERBEROS],
         target.parent)
    stamp.write_text(digest.hexdigest())


def _run(command: Sequence[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "rror" in line] or ["no reason given"]
        raise DevError(f"ISC's GSS-TSIG library: {command[0]}: {errors[0]}")


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / ".kea"
    try:
        if sys.argv[1:]:
            copy_source(Path(sys.argv[1]), here)
        for release, library in bring(here).items():
            print(release, library)
    except DevError as error:
        sys.exit(f"dev: {error}")

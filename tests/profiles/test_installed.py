"""Which Kea pyd2 behaves like: the file, the installed libraries, the default."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.profiles.installed import (
    VersionFileError,
    installed,
    library_directories,
    library_version,
)
from pyd2.profiles.release import (
    DEFAULT,
    KEA_2_6_3,
    KEA_3_0_4,
    UnknownReleaseError,
    nearest,
    release_of,
)
from tests.kit.process import version_report

if TYPE_CHECKING:
    from pathlib import Path

REAL = "/usr/sbin/kea-dhcp-ddns"


def library(directory: Path, soname: int, version: str, before: bytes = b"") -> Path:
    """Make a file with the texts of Kea's process library that matter."""
    path = directory / f"libkea-process.so.{soname}.0.0"
    path.write_bytes(b"\x7fELF" + before + b"\0ip-address\x002.6\0" + version.encode() + b"\0stable\0")
    (directory / f"libkea-process.so.{soname}").symlink_to(path.name)
    return path


def chosen(tmp_path: Path, line: str | None = None) -> tuple[str, str]:
    """Return version and remark for the libraries in a directory and a file with this text, or none."""
    file = tmp_path / "kea-version"
    if line is not None:
        file.write_text(line)
    release, remark = installed(str(file), [str(tmp_path), str(tmp_path / "missing")])
    return release.version, remark


def test_without_file_and_libraries(tmp_path: Path) -> None:
    assert chosen(tmp_path) == (DEFAULT.version, "")


@pytest.mark.parametrize("line", ["3.0.3", "3.0.3\n", " 3.0.3 \nanything\n", "3.0.3\r\n"])
def test_the_line_in_the_file_counts_most(tmp_path: Path, line: str) -> None:
    library(tmp_path, 74, "2.6.3")
    assert chosen(tmp_path, line) == ("3.0.3", "")


@pytest.mark.parametrize(
    "line", ["", "\n3.0.3", "3.0", "3.0.x", "3.2.0", "2.7.5", "3.0.03", "3.0.-1", "2.6.3 3.0.3"]
)
def test_a_line_that_names_no_known_release(tmp_path: Path, line: str) -> None:
    with pytest.raises(VersionFileError) as caught:
        chosen(tmp_path, line)
    shown = line.split("\n", maxsplit=1)[0]
    example = "3.0.4" if shown.startswith("3.0") else "2.6.3"
    assert str(caught.value) == (
        f"{tmp_path}/kea-version:1: '{shown}' is no release that pyd2 knows (Kea 2.6.x and 3.0.x); write one "
        f"such as {example} in the first line, or remove the file"
    )


def test_what_is_shown_of_a_bad_line_is_short_and_harmless(tmp_path: Path) -> None:
    with pytest.raises(VersionFileError) as caught:
        chosen(tmp_path, "\x1b[2J" + "x" * 10_000)
    assert r"'\x1b[2Jxxx" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "kea-version").mkdir()
    with pytest.raises(VersionFileError, match=r"kea-version: Is a directory; make it readable"):
        chosen(tmp_path)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kea-version")
    with pytest.raises(VersionFileError, match="'' is no release"):
        chosen(tmp_path)


@pytest.mark.parametrize("version", ["2.6.3", "2.6.5", "3.0.0", "3.0.3", "3.0.4", "3.0.17"])
def test_the_installed_library_says_the_exact_release(tmp_path: Path, version: str) -> None:
    library(tmp_path, 74, version)
    assert chosen(tmp_path) == (version, "")


def test_the_newest_of_several_counts(tmp_path: Path) -> None:
    library(tmp_path, 91, "3.0.4")
    library(tmp_path, 92, "3.0.10")
    library(tmp_path, 74, "2.6.3")
    assert chosen(tmp_path) == ("3.0.10", "")


@pytest.mark.parametrize(
    ("version", "behaves"),
    [("3.2.0", KEA_3_0_4), ("4.0.1", KEA_3_0_4), ("2.7.5", KEA_2_6_3), ("2.4.1", KEA_2_6_3)],
)
def test_an_installed_kea_that_pyd2_does_not_know(tmp_path: Path, version: str, behaves: object) -> None:
    library(tmp_path, 99, version)
    release, remark = chosen(tmp_path)
    assert release_of(release) == behaves == nearest(version)
    assert remark.startswith(f"Kea {version} is installed, but pyd2 knows Kea 2.6.x and 3.0.x: it behaves")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\x002.6.3", b"\x0012.6.3\0", b"\x002.6.3.1\0", b"\x002..3\0", b"\x002.6.3-git\0",
     b"2.6.3\0"],
)
def test_a_library_without_version(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libkea-process.so.1"
    path.write_bytes(content)
    assert library_version(str(path), []) is None
    assert chosen(tmp_path) == (DEFAULT.version, "")


def test_special_files_and_dead_links_are_no_libraries(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "libkea-process.so.1")
    (tmp_path / "libkea-process.so.2").symlink_to("nowhere")
    (tmp_path / "libkea-process.so.3").mkdir()
    version, remark = chosen(tmp_path)
    assert version == DEFAULT.version
    faults, _, what_to_do = remark.removeprefix("cannot look for an installed Kea (").partition("): ")
    assert faults == f"{tmp_path}/libkea-process.so.3: Is a directory"
    assert what_to_do == (
        f"pyd2 behaves like Kea 2.6.3. To choose a release, write its version into {tmp_path}/kea-version"
    )


def test_a_directory_that_cannot_be_read_is_mentioned_unless_a_kea_is_found(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    release, remark = installed(str(tmp_path / "none"), [str(loop), str(tmp_path)])
    assert release.version == DEFAULT.version
    assert f"({loop}: Too many levels of symbolic links): " in remark
    library(tmp_path, 91, "3.0.3")
    release, remark = installed(str(tmp_path / "none"), [str(loop), str(tmp_path)])
    assert (release.version, remark) == ("3.0.3", "")


def test_a_huge_library_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "libkea-process.so.1"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert library_version(str(path), []) is None


@pytest.mark.parametrize("text", ["", "2.6", "2.6.", "2.6.3.1", "2.6.³", "2.6. 3", "2.60.1", "02.6.3"])
def test_no_version(text: str) -> None:
    with pytest.raises(UnknownReleaseError):
        release_of(text)


@pytest.mark.parametrize(("version", "number"), [("2.6.3", 20603), ("3.0.3", 30003), ("3.0.12", 30012)])
def test_the_hooks_version_follows(version: str, number: int) -> None:
    assert release_of(version).hooks_version == number


def test_a_kea_that_was_built_here_is_found() -> None:
    """Where meson, which builds Kea 3.0, installs libraries in Debian and in Fedora; Kea 2.6 is in lib."""
    triplet = getattr(sys.implementation, "_multiarch", "")
    assert {f"/usr/local/{name}" for name in (f"lib/{triplet}", "lib64", "lib")} <= {*library_directories()}


@pytest.mark.peers
def test_the_kea_of_this_machine(tmp_path: Path) -> None:
    assert shutil.which(REAL), "install the package kea-dhcp-ddns-server"
    release, remark = installed(str(tmp_path / "none"), library_directories())
    assert remark == ""
    assert version_report(REAL).startswith(release.version)

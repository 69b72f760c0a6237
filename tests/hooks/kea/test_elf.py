"""What a shared object says of itself, read without loading it; and files that say nonsense."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.hooks.kea import elf
from tests.kit import kea

from .conftest import COMPILE, SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER, SEGMENT = 64, 56


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A hook library that is linked with Kea and has more names than it needs."""
    made = kea.compiled(SOURCES / "probe.cc", *COMPILE, "-lkea-hooks", "-lkea-cc",
                        also=sorted(SOURCES.glob("*.h")))
    return made.read_bytes()


def read(content: bytes) -> elf.SharedObject | None:
    """Read a file in memory."""
    fd = os.memfd_create("library")
    try:
        os.write(fd, content)
        return elf.read(fd, with_version=True)
    finally:
        os.close(fd)


def segments(content: bytes, wanted: int) -> Iterator[int]:
    """Return where the program headers of a kind are."""
    for number in range(content[56]):
        place = HEADER + SEGMENT * number
        if int.from_bytes(content[place:place + 4], "little") == wanted:
            yield place


def test_what_a_library_needs_and_its_version(library: bytes) -> None:
    found = read(library)
    assert found is not None
    assert any(name.startswith("libkea-hooks.so.") for name in found.needed)
    assert "libc.so.6" in found.needed
    assert found.version == kea.chosen().rules.version


@pytest.mark.parametrize("options", [["-O0"], ["-O2"], ["-Os", "-fcf-protection=none"], ["-O0", "-g"]])
def test_the_version_as_compilers_write_it(tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "lib.cc"
    source.write_text('extern "C" { int version() { return 30003; } int some_version() { return 7; } }\n')
    command = ["c++", "-shared", "-fPIC", *options, "-Wl,-rpath,/one:/two"]
    subprocess.run([*command, source, "-o", tmp_path / "lib.so"], check=True)
    found = read((tmp_path / "lib.so").read_bytes())
    assert found is not None
    assert (found.version, found.search) == (30003, ("/one", "/two"))


@pytest.mark.parametrize("text", ["extern int other; int version() { return other; }", "int other;",
                                  "int version() { static volatile int n; return ++n; }"])
def test_a_version_that_only_running_it_would_show(tmp_path: Path, text: str) -> None:
    source = tmp_path / "lib.c"
    source.write_text(text)
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", tmp_path / "lib.so"], check=True)
    found = read((tmp_path / "lib.so").read_bytes())
    assert found is not None
    assert found.version is None


@pytest.mark.parametrize("code", [
    (62, bytes.fromhex("f30f1efa b833750000 c3"), 30003),
    (62, bytes.fromhex("554889e5 b833750000 5d c3"), 30003),
    (62, bytes.fromhex("b833750000"), None), (62, b"", None), (62, bytes.fromhex("31c0c3"), None),
    (183, struct.pack("<II", 0x52800000 | 30003 << 5, 0xD65F03C0), 30003),
    (183, struct.pack("<III", 0xD503245F, 0x52800000 | 30003 << 5, 0xD65F03C0), 30003),
    (183, struct.pack("<II", 0x52800001 | 30003 << 5, 0xD65F03C0), None),  # another register
    (40, b"\xb8\x33\x75\0\0\xc3", None),
])
def test_the_code_of_a_version(code: tuple[int, bytes, int | None]) -> None:
    machine, octets, number = code
    assert elf._returned(machine, octets) == number


@pytest.mark.parametrize("content", [
    b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"this is no library\n" * 10, b"\x7fELF\x01\x01" + bytes(100),
    b"\x7fELF\x02\x02" + bytes(100),
])
def test_what_is_no_library_of_this_machine_is_left_to_the_loader(content: bytes) -> None:
    assert read(content) is None


def test_a_file_that_was_copied_in_part(library: bytes) -> None:
    """The system's loader would map it, and reading behind its end would end the process."""
    for size in range(HEADER + SEGMENT, len(library), len(library) // 50):
        with suppress(elf.ElfError):
            assert read(library[:size]) is None or size > len(library) * 0.6, size
    with pytest.raises(elf.ElfError, match="file too short"):
        read(library[:len(library) // 2])


def test_absurd_numbers_are_refused(library: bytes) -> None:
    (dynamic,) = segments(library, 2)
    (load, *_) = segments(library, 1)
    faults = ((dynamic + 8, 1 << 63), (dynamic + 32, 1 << 40), (load + 32, 1 << 62), (32, 1 << 50))
    for place, value in faults:
        changed = bytearray(library)
        changed[place:place + 8] = struct.pack("<Q", value)
        with pytest.raises(elf.ElfError):
            read(bytes(changed))
    changed = bytearray(library)
    changed[56:58] = struct.pack("<H", 65535)
    with pytest.raises(elf.ElfError, match="65535 program headers"):
        read(bytes(changed))


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 40))
def test_mutated_files_are_read_or_refused(library: bytes, seed: int, changes: int) -> None:
    """Nothing else happens, and it takes no time: what is read is bounded."""
    chance = random.Random(seed)
    changed = bytearray(library)
    (dynamic,) = segments(library, 2)
    begin, size = (int.from_bytes(library[dynamic + at:dynamic + at + 8], "little") for at in (8, 32))
    places = [range(HEADER + SEGMENT * library[56]), range(begin, begin + size), range(len(library))]
    for _ in range(changes):
        where = chance.choice(places)
        place = where[chance.randrange(len(where))]
        value = chance.choice([chance.randbytes(1), b"\0\0\0\0\0\0\0\0", b"\xff" * 8, chance.randbytes(8)])
        changed[place:place + len(value)] = value
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed)):]
    with suppress(elf.ElfError):
        found = read(bytes(changed))
        assert found is None or all(len(name) <= elf.LONGEST_NAME for name in found.needed)

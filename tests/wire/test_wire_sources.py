"""The C files of the native back end: strictly compiled, and run under the sanitizers.

What they compute is tested against Python in tests/packets; the long form of the fuzzing is
``python -m tests.wire``.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.guided import kept
from tests.kit.c_libraries import other_compilers
from tests.wire.build import HERE, IO_SOURCES, SOURCES, STRICT, all_sources, build_replay, compile_c
from tests.wire.inputs import GENERATORS, make

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 4000
HEADERS = sorted([*SOURCES.glob("*.h"), *IO_SOURCES.glob("*.h")])
FILES = [*all_sources(), *HEADERS]


@pytest.mark.parametrize("compiler", ["cc", *other_compilers()])
@pytest.mark.parametrize("source", all_sources(), ids=lambda source: source.name)
def test_compiles_without_a_warning(source: Path, compiler: str, tmp_path: Path) -> None:
    compile_c(compiler, *STRICT, "-O2", "-I", SOURCES, "-c", source, "-o", tmp_path / "object.o")


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_a_header_needs_no_other_before_it(header: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header.name}"\n#include "{header.name}"\nint one = 1;\n')
    compile_c("cc", *STRICT, "-I", header.parent, "-I", SOURCES, "-c", source, "-o", tmp_path / "alone.o")


@pytest.mark.parametrize("name", GENERATORS)
def test_the_sanitizers_find_nothing(name: str, tmp_path: Path) -> None:
    inputs = [*make(name, COUNT, seed=7), *kept(name, HERE / "corpus")]
    data = b"".join(len(one).to_bytes(2, "big") + one for one in inputs)
    done = subprocess.run([build_replay(name, tmp_path)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert int(done.stdout) == len(inputs)


def test_c_neither_calls_back_nor_has_threads_locks_or_signals() -> None:
    """All is handed up in batches, on the caller's thread: nothing to deadlock, nothing to tear."""
    foreign = re.compile(r"pthread|<threads\.h>|<stdatomic\.h>|_Atomic|<signal\.h>|Python\.h")
    for path in FILES:
        text = path.read_text()
        assert not re.search(r"\(\s*\*\s*\w*\s*\)\s*\(", text), f"{path.name}: a pointer to a function"
        assert not foreign.search(text), path.name
    assert "extern \"Python\"" not in (SOURCES.parent / "build_wire.py").read_text()


def test_only_the_io_part_makes_system_calls() -> None:
    """The engine loads the codec's module, and so it could not do IO if it would."""
    calls = re.compile(r"<sys/(?!types)|<unistd\.h>|<stdio\.h>|<time\.h>|<fcntl\.h>|mmsg|\bsocket\(")
    kept = re.compile(r"#include <sys/socket\.h>")  # AF_INET6 of inet_ntop
    for path in [*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]:
        assert not calls.search(kept.sub("", path.read_text())), path.name


def test_every_harness_has_inputs() -> None:
    assert {path.stem for path in HERE.glob("fuzz_*.c")} == {f"fuzz_{name}" for name in GENERATORS}


def test_the_files_stay_small() -> None:
    for path in FILES:
        assert len(path.read_text().splitlines()) < 300, path

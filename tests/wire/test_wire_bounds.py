"""What the C code assumes of its callers and of the compiler is checked, and each check has teeth."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.wire.build import HERE, SANITIZERS, SOURCES, STRICT, compile_c, sources

if TYPE_CHECKING:
    from pathlib import Path

CASES = re.findall(r'\{"(\w+)", \w+\}', (HERE / "bounds.c").read_text())


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls that no caller makes, under the sanitizers."""
    program = tmp_path_factory.mktemp("bounds") / "bounds"
    compile_c(
        "cc", *STRICT, *SANITIZERS, "-fsanitize=address,undefined", "-I", SOURCES, "-I", HERE,
        *sources(), HERE / "bounds.c", "-o", program,
    )
    return program


@pytest.mark.parametrize("case", CASES)
def test_a_call_that_pyd2_never_makes_stays_within_bounds(bounds: Path, case: str) -> None:
    env = os.environ | {"ASAN_OPTIONS": "max_allocation_size_mb=1024:allocator_may_return_null=1"}
    done = subprocess.run([bounds, case], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


LAYOUTS = {
    "a member that moves": ("packed", "uint16_t dhcid_size;", "uint32_t dhcid_size;"),
    "members that change places": ("packed", "    uint8_t ways; ", "    uint8_t more;\n    uint8_t ways; "),
    "a request that grows": ("packed", "    uint8_t address[16];\n", "    uint8_t address[24];\n"),
    "an event that grows": ("tries", "    int32_t outcome;", "    int32_t outcome;\n    int32_t more;"),
    "an event of other numbers": ("tries", "    int32_t number;\n", "    int64_t number;\n"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_layout_that_python_does_not_know_does_not_compile(case: str, tmp_path: Path) -> None:
    """Python reads these structures as octets."""
    name, old, new = LAYOUTS[case]
    copy = tmp_path / "wire"
    shutil.copytree(SOURCES, copy)
    header = copy / f"{name}.h"
    assert header.read_text().count(old) == 1
    compile_c("cc", "-std=c11", "-I", copy, "-c", copy / f"{name}.c", "-o", tmp_path / "object.o")
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(AssertionError, match=r"static.assert"):
        compile_c("cc", "-std=c11", "-I", copy, "-c", copy / f"{name}.c", "-o", tmp_path / "object.o")

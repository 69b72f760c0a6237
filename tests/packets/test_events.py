"""The numbers of events are C's own: Python takes them from there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.kit.sanitized import compile_sanitized, sanitized_tests

ROOT = Path(__file__).parents[2]


def test_other_numbers_in_c_change_nothing(tmp_path: Path) -> None:
    """The engine's tests again, with a packet layer whose events have other numbers."""
    sources = tmp_path / "cbridge"
    shutil.copytree(ROOT / "cbridge", sources, ignore=shutil.ignore_patterns("__pycache__"))
    header = sources / "wire" / "tries.h"
    text, count = re.subn(r"(WIRE_TRY_\w+) = -(\d)", r"\1 = -1\2", header.read_text())
    assert count == 6
    header.write_text(text)
    make = 'make(extra_compile_args=["-std=c11", "-g", *flags], extra_link_args=flags)'
    layer = compile_sanitized("build_wire", tmp_path, make, sources)
    tests = ROOT / "tests" / "update" / "drive" / "test_batches.py"
    done = sanitized_tests("pyd2.packets.wire", layer, str(tests))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)

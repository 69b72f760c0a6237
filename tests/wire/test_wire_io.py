"""The system calls of the native back end, under the sanitizers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.kit.sanitized import ROOT, compile_sanitized, sanitized_tests

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("tests/net/test_datagrams.py", "tests/net/test_outbox.py")


def test_the_sanitizers_find_nothing(tmp_path: Path) -> None:
    make = 'make_io(extra_compile_args=["-std=c11", "-g", *flags], extra_link_args=flags)'
    made = compile_sanitized("build_wire", tmp_path, make)
    done = sanitized_tests("pyd2.net.wire_io", made, *(str(ROOT / file) for file in FILES))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)

"""The system calls of the native back end, under the sanitizers."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kit.sanitized import ROOT, compile_sanitized, sanitized_tests
from tests.wire.build import HERE, IO_SOURCES, SANITIZERS, SOURCES, STRICT, compile_c, sources

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("tests/net/test_datagrams.py", "tests/net/test_outbox.py")


def test_the_sanitizers_find_nothing(tmp_path: Path) -> None:
    make = 'make_io(extra_compile_args=["-std=c11", "-g", *flags], extra_link_args=flags)'
    made = compile_sanitized("build_wire", tmp_path, make)
    done = sanitized_tests("pyd2.net.wire_io", made, *(str(ROOT / file) for file in FILES))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def send_faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sending part with a scripted kernel, under the sanitizers."""
    program = tmp_path_factory.mktemp("send_faults") / "send_faults"
    compile_c(
        "cc", *STRICT, *SANITIZERS, "-fsanitize=address,undefined", "-I", SOURCES, "-I", IO_SOURCES,
        "-I", HERE, *sources(), IO_SOURCES / "order.c", HERE / "send_faults.c", "-o", program,
    )
    return program


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_kernel_does_each_message_goes_out_once_in_order(send_faults: Path, seed: int) -> None:
    done = subprocess.run([send_faults, str(seed)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr

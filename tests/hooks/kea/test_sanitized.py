"""The other tests of this directory again, with the shim under ASan and UBSan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.sanitized import compile_sanitized, sanitized_tests

HERE = Path(__file__).parent
MODULE = "pyd2.hooks.kea_shim"

# The plugin leaves out what compares two servers: that takes long, and shows the shim nothing new. Reloads in
# a daemon stay. What ASan holds back in quarantine would be growth to the tests of memory, and valgrind does
# not go with it.
SELECT = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items
                if ("d2_binary" not in item.fixturenames or "reload_while" in item.name)
                and "leave_nothing" not in item.name and "memcheck" not in item.name]
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled with the sanitizers."""
    make = 'make(flags=["-O1", "-g1", *flags], link_flags=flags)'
    compiled = compile_sanitized("build_kea", tmp_path_factory.mktemp("shim"), make)
    (compiled.parent / "selection.py").write_text(SELECT)
    return compiled


@pytest.mark.timeout(900)  # the compiler alone works for most of a minute
def test_nothing_is_read_or_written_that_should_not_be(shim: Path) -> None:
    others = {Path(__file__).name, "test_soak.py"}  # valgrind and ASan cannot watch one process
    files = [path for path in sorted(HERE.glob("test_*.py")) if path.name not in others]
    done = sanitized_tests(MODULE, shim, *map(str, files), "-p", "selection")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE)
    assert "runtime error" not in done.stderr


@pytest.mark.timeout(900)
def test_the_sanitizers_would_tell(shim: Path, tmp_path: Path) -> None:
    """A block that is shorter than its size says ends the process with a report."""
    test = tmp_path / "test_fault.py"
    test.write_text("""
from pyd2.hooks.kea.start import shim
from pyd2.hooks.kea.elements import encode
from pyd2.data.element import Element

def test_fault():
    whole = encode(Element("a text of many octets"))
    short = shim().ffi.new("uint8_t[]", whole[:-8])
    shim().lib.kb_element_read(short, len(whole))
""")
    done = sanitized_tests(MODULE, shim, str(test), "-s")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr, done.stdout

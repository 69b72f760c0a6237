"""The other tests of this directory again, with the shim under ASan and UBSan."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

import pytest

from pyd2.hooks.kea.bridge import module_of
from tests.kit import kea
from tests.kit.sanitized import ROOT, compile_sanitized, sanitized_tests

from .conftest import collect_ignore

HERE = Path(__file__).parent
BUILDER = ROOT / "cbridge" / "build_kea.py"
MODULE = module_of(kea.chosen().rules.version)

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
    """The shim, compiled with the sanitizers unless that was done before."""
    directory = tmp_path_factory.mktemp("shim")
    make = f'make(find({str(kea.chosen().root or "")!r}), flags=["-O1", "-g1", *flags], link_flags=flags)'
    sources = [BUILDER, *sorted(BUILDER.with_name("kea").iterdir()), kea.chosen().include / "hooks/hooks.h"]
    digest = hashlib.sha256(f"{sys.version} {make}".encode())
    for source in sources:
        digest.update(source.read_bytes())

    def compile_it(target: Path) -> None:
        shutil.copy(compile_sanitized("build_kea", directory, make), target)

    compiled = kea.once("kea_shim.so", digest.hexdigest(), compile_it)
    (directory / "selection.py").write_text(SELECT)
    return Path(shutil.copy(compiled, directory))


@pytest.mark.timeout(900)  # the compiler alone works for most of a minute
def test_nothing_is_read_or_written_that_should_not_be(shim: Path) -> None:
    # valgrind and ASan cannot watch one process; pytest collects what it ignores where it is named.
    others = {Path(__file__).name, "test_soak.py", *collect_ignore}
    files = [path for path in sorted(HERE.glob("test_*.py")) if path.name not in others]
    done = sanitized_tests(MODULE, shim, f"--kea={kea.chosen().release}", *map(str, files), "-p", "selection")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE)
    assert "runtime error" not in done.stderr


@pytest.mark.timeout(900)
def test_the_sanitizers_would_tell(shim: Path, tmp_path: Path) -> None:
    """A block that is shorter than its size says ends the process with a report."""
    test = tmp_path / "test_fault.py"
    test.write_text(f"from tests.kit import kea\nkea.choose({kea.chosen().release!r})\n" + """
from tests.kit.kea import shim
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

"""The other tests of this directory again, with the glue and the libraries under ASan and UBSan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.sanitized import SANITIZE, compile_sanitized, sanitized_tests

HERE = Path(__file__).parent
MODULE = "pyd2.hooks.c_abi"
FLAGS = " ".join(SANITIZE)
"""For the libraries that the tests compile."""


@pytest.fixture(scope="module")
def glue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The glue, compiled with the sanitizers."""
    make = 'make(extra_compile_args=["-std=gnu11", "-g", *flags], extra_link_args=flags)'
    return compile_sanitized("build_hook", tmp_path_factory.mktemp("glue"), make)


def test_nothing_is_read_or_written_that_should_not_be(glue: Path) -> None:
    # test_compatibility.py runs its own with the sanitizers.
    files = [path for path in sorted(HERE.glob("test_*.py"))
             if path.name not in {Path(__file__).name, "test_compatibility.py"}]
    done = sanitized_tests(MODULE, glue, *map(str, files), "-m", "not peers", HOOK_TEST_FLAGS=FLAGS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE)
    assert "runtime error" not in done.stderr


def test_the_sanitizers_would_tell(glue: Path, tmp_path: Path) -> None:
    """A library that reads behind its memory ends the process with a report."""
    test = tmp_path / "test_fault.py"
    test.write_text('''
from tests.hooks.c.conftest import write_c
from tests.hooks.conftest import clock, load, log

def test_fault(write_c, load):
    load(write_c("""
        static int start(void)
        {
            char *octets = calloc(8, 1);
            octets[0] = octets[8 + (size_t)parameter("absent")];
            free(octets);
            return 0;
        }
    """))
''')
    done = sanitized_tests(MODULE, glue, str(test), "-k", "python", "-s", HOOK_TEST_FLAGS=FLAGS)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr, done.stdout


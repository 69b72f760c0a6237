"""The other tests of this directory again, with the glue and the libraries under ASan and UBSan."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

BUILD = """
import sys
sys.path.insert(0, sys.argv[1])
from build_hook import make
flags = sys.argv[3:]
make(extra_compile_args=["-std=gnu11", "-g", *flags], extra_link_args=flags).compile(tmpdir=sys.argv[2])
"""

# The compiled part comes from another place; all else is imported as ever.
RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("pyd2.hooks.c_abi", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["pyd2.hooks.c_abi"] = module
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def runtime(name: str) -> str:
    """Return the path of a sanitizer's library, which has to be in the process before all others."""
    done = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def sanitized_tests(tmp_path: Path, *selection: str) -> subprocess.CompletedProcess[str]:
    """Build the glue with sanitizers and run tests on it in a process of their own."""
    subprocess.run([sys.executable, "-c", BUILD, ROOT / "cbridge", tmp_path, *SANITIZE], check=True,
                   capture_output=True)
    (glue,) = tmp_path.rglob("c_abi*.so")
    env = os.environ | {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:handle_segv=1",  # Python itself leaves much behind
        "HOOK_TEST_FLAGS": " ".join(SANITIZE),
        "PYTHONPATH": str(ROOT),
    }
    options = ("-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml")
    command = [sys.executable, "-c", RUN, glue, *options, *selection]
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=env, capture_output=True, text=True,
                          check=False)


def test_nothing_is_read_or_written_that_should_not_be(tmp_path: Path) -> None:
    files = [path for path in sorted(HERE.glob("test_*.py")) if path != Path(__file__)]
    done = sanitized_tests(tmp_path, *map(str, files), "-m", "not peers")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE)
    assert "runtime error" not in done.stderr


def test_the_sanitizers_would_tell(tmp_path: Path) -> None:
    """A library that reads behind its memory ends the process with a report."""
    test = tmp_path / "test_fault.py"
    test.write_text('''
from tests.hooks_c.conftest import clock, load, log, write_c

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
    done = sanitized_tests(tmp_path / "build", str(test), "-k", "python", "-s")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr, done.stdout


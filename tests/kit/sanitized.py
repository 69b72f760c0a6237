"""Tests in a process of their own, with one compiled module of pyd2 under ASan and UBSan."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

# Python imports this when it starts, that of a daemon too: the module comes from another place.
_AT_START = """
import importlib.util, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {file!r}) if name == {module!r} else None

sys.meta_path.insert(0, Finder)
"""


def compile_sanitized(
    builder: str, directory: Path, make: str, sources: Path = ROOT / "cbridge",
) -> Path:
    """Compile a module of cbridge/ or of a copy; ``make`` is the call for it, with ``flags`` in hand."""
    program = f"import sys; from {builder} import *; directory, *flags = sys.argv[1:]; "
    program += f"{make}.compile(tmpdir=directory)"
    command = [sys.executable, "-c", program, str(directory), *SANITIZE]
    env = os.environ | {"PYTHONPATH": str(sources)}
    subprocess.run(command, check=True, capture_output=True, env=env)
    (made,) = directory.rglob("*.so")
    return made


def _runtime(name: str) -> str:
    """Return the path of one of the compiler's libraries."""
    done = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def sanitized_tests(
    module: str, compiled: Path, *selection: str, **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run tests with the compiled module in place of the usual one, in an environment with more variables."""
    start = compiled.parent / "sitecustomize.py"
    start.write_text(_AT_START.format(file=str(compiled), module=module))
    # The sanitizers' libraries have to be there before all others; libstdc++ for its exceptions to be seen.
    first = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    env = os.environ | variables | {
        "LD_PRELOAD": " ".join(map(_runtime, first)),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:handle_segv=1",  # Python itself leaves much behind
        "PYTHONPATH": f"{start.parent}:{ROOT}",
    }
    options = ("-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"))
    return subprocess.run([sys.executable, "-m", "pytest", *options, *selection], cwd=ROOT, env=env,
                          capture_output=True, text=True, check=False)

"""Installing: the compiled parts are left out, with a word of it each, where there is no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_without_a_compiler(tmp_path: Path) -> None:
    """The metadata stays away: setuptools of before 2025 refuse it, and pip brings its own."""
    shutil.copytree(ROOT / "cbridge", tmp_path / "cbridge")
    shutil.copy(ROOT / "setup.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", "built"], cwd=tmp_path,
        env=os.environ | {"CC": "/bin/false", "CXX": "/bin/false"}, capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("pyd2: ")]
    assert "pyd2: pyd2.hooks.c_abi cannot be built here: hook libraries in C will not load" in lines
    assert not list(tmp_path.glob("built/**/*.so"))


def test_the_bridge_is_linked_with_the_libraries_of_the_kea_that_is_there(tmp_path: Path) -> None:
    """Kea 3.0 has other names for some."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import build_kea; print(*build_kea.libraries())"

    def libraries() -> set[str]:
        done = subprocess.run([sys.executable, "-c", program, str(ROOT / "cbridge")], text=True, check=True,
                              env=os.environ | {"KEA_INCLUDE_DIR": str(tmp_path)}, capture_output=True)
        return set(done.stdout.split())

    old = libraries()
    assert {"kea-hooks", "kea-cfgclient", "kea-dns++", "kea-process"} < old
    (tmp_path / "process" / "cfgrpt").mkdir(parents=True)
    (tmp_path / "process" / "cfgrpt" / "config_report.h").touch()
    new = libraries()
    assert old - new == {"kea-cfgclient", "kea-dns++"}
    assert new - old == {"kea-config", "kea-dns", "kea-cfgrpt"}

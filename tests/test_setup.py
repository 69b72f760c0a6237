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


def build_without_kea(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run setup.py where Kea's headers are not."""
    shutil.copytree(ROOT / "cbridge", tmp_path / "cbridge")
    shutil.copy(ROOT / "setup.py", tmp_path)
    return subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", "built"], cwd=tmp_path,
        env=os.environ | {"CC": "/bin/false", "KEA_INCLUDE_DIR": str(tmp_path)} | env, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )


def test_what_is_missing_for_the_bridge_is_said_last(tmp_path: Path) -> None:
    """Behind all that compilers say."""
    done = build_without_kea(tmp_path)
    assert done.returncode == 0, done.stdout
    *_, last = done.stdout.splitlines()
    assert last.startswith("pyd2: compiled Kea hook libraries will not load: missing ")
    assert "the headers of Kea (Debian: kea-dev)" in last
    assert last.endswith("; install that, then run pyd2ctl bridge build")


def test_the_bridge_can_be_required(tmp_path: Path) -> None:
    """Then the build fails at once, and pip shows the reason."""
    done = build_without_kea(tmp_path, PYD2_REQUIRE_BRIDGE="1")
    assert done.returncode == 1
    assert "the headers of Kea (Debian: kea-dev)" in done.stdout
    assert "will not load" in done.stdout
    assert not (tmp_path / "built").exists()


def test_the_bridge_is_linked_with_the_libraries_of_the_kea_that_is_there(tmp_path: Path) -> None:
    """Kea 3.0 has other names for some."""
    program = "import sys; sys.path[:0] = sys.argv[1:]; import build_kea; print(*build_kea.find().names())"

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
    assert new - old == {"kea-config", "kea-http", "kea-dns", "kea-cfgrpt"}

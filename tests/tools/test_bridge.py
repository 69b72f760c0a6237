"""What an operator does: installs a wheel made without Kea, builds the bridge later, updates Kea."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.hooks.kea import building
from pyd2.hooks.kea.bridge import module_of, versions
from pyd2.tools import bridge
from tests.hooks.kea.conftest import COMPILE, EXAMPLES
from tests.hooks.kea.rig import rig
from tests.kit import kea as kit
from tests.kit.c_libraries import compile_library
from tests.kit.d2 import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]
STATUS = (sys.executable, "-m", "pyd2.tools", "bridge", "status", "--kea", "2.6.3")
PARTS = ("cbridge", "pyd2", "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
KEY = {"name": "own.", "algorithm": "HMAC-SHA256", "secret": "MDEyMzQ1Njc4OWFiY2RlZg=="}
OTHER_KEA = """
#include <string>
namespace isc { namespace detail {
std::string getConfigReport() { return "Package:\\n  Version: 2.6.99\\n"; }
} }
"""


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True,
                          check=False)


LOG4CPLUS = "the headers of log4cplus (Debian: liblog4cplus-dev)"


def copy_sources(directory: Path) -> None:
    """Copy the sources alone: nothing that was built before."""
    directory.mkdir()
    built = shutil.ignore_patterns("*.so", "__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, directory / part, ignore=built)
        else:
            shutil.copy(ROOT / part, directory)


def hide_log4cplus(directory: Path) -> None:
    """Make the copied sources look for headers in a folder without those of log4cplus."""
    headers = directory / "headers"
    headers.mkdir()
    for name in ("kea", "boost"):
        (headers / name).symlink_to(Path("/usr/include", name))
    builder = directory / "cbridge" / "build_kea.py"
    text = builder.read_text()
    usual = 'USUAL = (Path("/usr/include"), Path("/usr/local/include"))'
    assert usual in text
    builder.write_text(text.replace(usual, f"USUAL = (Path({str(headers)!r}),)"))


def pip(action: str, directory: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pip on copied sources, with what this environment has."""
    command = (sys.executable, "-m", "pip", action, "--no-index", "--no-build-isolation", "--no-deps")
    return run(*command, *options, ".", cwd=directory, env=env)


def build_wheel(directory: Path, missing: str, **env: str) -> Path:
    """Build a wheel without the bridge; the last line says what is missing."""
    done = pip("wheel", directory, "-v", "-w", "made", **env)
    assert done.returncode == 0, done.stdout + done.stderr
    line = ("pyd2: compiled Kea hook libraries will not load: "
            f"missing {missing}; install that, then run pyd2ctl bridge build")
    printed = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    assert line in printed
    assert not any("gcc" in later for later in printed[printed.index(line) :])
    (wheel,) = directory.glob("made/pyd2-*.whl")
    return wheel


def install(wheel: Path, venv: Path) -> Path:
    """Install a wheel into a new environment, which finds pyd2's dependencies in this one; return its bin."""
    made = run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    assert made.returncode == 0, made.stderr
    command = (sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--no-index",
               "--no-deps", wheel)
    done = run(*command, cwd=venv.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


@pytest.fixture(scope="module")
def for_kea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library compiled for Kea."""
    library = tmp_path_factory.mktemp("compiled") / "maintenance.so"
    shutil.copy(kit.compiled(EXAMPLES / "maintenance.cc", *COMPILE), library)
    return library


def test_a_wheel_without_kea_and_the_bridge_built_later(tmp_path: Path, for_kea: Path) -> None:
    hidden = {"KEA_INCLUDE_DIR": str(tmp_path)}
    copy_sources(tmp_path / "source")
    wheel = build_wheel(tmp_path / "source", "the headers of Kea (Debian: kea-dev)", **hidden)
    programs = install(wheel, tmp_path / "venv")
    pyd2ctl_bridge = (programs / "pyd2ctl", "bridge")

    status = run(*pyd2ctl_bridge, "status", cwd=tmp_path)
    assert (status.returncode, status.stderr) == (1, "")
    assert status.stdout == (
        "bridge:  not built, so compiled Kea hook libraries do not load\n"
        "         nothing is missing here to build it: run pyd2ctl bridge build\n"
    )
    build = run(*pyd2ctl_bridge, "build", cwd=tmp_path, env=hidden)
    assert (build.returncode, build.stdout) == (1, "")
    assert build.stderr == "pyd2ctl: missing the headers of Kea (Debian: kea-dev)\n"

    # Python and plain C need no bridge; the header is found in the installation.
    include = run(*pyd2ctl_bridge, "include", cwd=tmp_path).stdout.strip()
    assert Path(include).is_relative_to(tmp_path / "venv")
    plain = compile_library(EXAMPLES / "key_per_server.c", tmp_path / "plain.so", f"-I{include}")
    with rig(str(programs / "pyd2"), [
        (EXAMPLES / "maintenance.py", {"servers": ["127.0.0.1"]}),
        (plain, {"keys": {"127.0.0.1": KEY}}),
    ]) as at:
        at.update(1)
        assert at.seen() == []
        at.d2.command("maintenance-set", {"servers": []})
        at.update(2)
        assert at.seen() == [("A", "own.", True)]
        assert at.d2.stop() == 0

    # A library for Kea is refused; then the bridge is built, and it runs.
    entry = {"hooks-libraries": [{"library": str(for_kea)}]}
    (tmp_path / "d2.json").write_text(json.dumps({"DhcpDdns": entry}))
    check = (programs / "pyd2", "-t", "d2.json")
    kea = environment(tmp_path, {"KEA_HOOKS_PATH": str(for_kea.parent)})
    refused = run(*check, cwd=tmp_path, env=kea)
    assert refused.returncode == 1
    assert (f"HOOKS_OPEN_ERROR failed to open hook library {for_kea}: {for_kea}: a compiled Kea hook library "
            "needs the bridge to Kea 2.6.3, which is not built: run pyd2ctl bridge build --kea 2.6.3\n"
            ) in refused.stdout
    build = run(*pyd2ctl_bridge, "build", cwd=tmp_path)
    assert build.returncode == 0, build.stdout + build.stderr
    assert "they match: compiled Kea hook libraries load" in build.stdout
    assert run(*check, cwd=tmp_path, env=kea).returncode == 0
    with rig(str(programs / "pyd2"), [(for_kea, {"servers": ["127.0.0.1"]})]) as at:
        at.update(1)
        assert at.seen() == []
        assert at.d2.command("maintenance-set", {"servers": []})["result"] == 0
        assert at.d2.stop() == 0


def test_kea_is_there_but_not_all_that_the_bridge_needs(tmp_path: Path, for_kea: Path) -> None:
    """With kea-dev and g++ alone: each step names the package that is missing."""
    source = tmp_path / "source"
    copy_sources(source)
    hide_log4cplus(source)
    refused = pip("wheel", source, "-w", "made", PYD2_REQUIRE_BRIDGE="1")  # without -v
    assert refused.returncode == 1
    assert f"missing {LOG4CPLUS}; install that" in refused.stdout + refused.stderr

    programs = install(build_wheel(source, LOG4CPLUS), tmp_path / "venv")
    pyd2ctl_bridge = (programs / "pyd2ctl", "bridge")
    status = run(*pyd2ctl_bridge, "status", cwd=tmp_path)
    assert (status.returncode, status.stderr) == (1, "")
    assert status.stdout == (
        "bridge:  not built, so compiled Kea hook libraries do not load\n"
        f"missing: {LOG4CPLUS}\n         install that, then run pyd2ctl bridge build\n"
    )
    build = run(*pyd2ctl_bridge, "build", cwd=tmp_path)
    assert (build.returncode, build.stderr) == (1, f"pyd2ctl: missing {LOG4CPLUS}\n")

    entry = {"hooks-libraries": [{"library": str(for_kea)}]}
    (tmp_path / "d2.json").write_text(json.dumps({"DhcpDdns": entry}))
    kea = environment(tmp_path, {"KEA_HOOKS_PATH": str(for_kea.parent)})
    for flag in ("-t", "-c"):
        started = run(programs / "pyd2", flag, "d2.json", cwd=tmp_path, env=kea)
        assert started.returncode == 1
        reason = (f"{for_kea}: a compiled Kea hook library needs the bridge to Kea 2.6.3, which is not "
                  f"built: missing {LOG4CPLUS}; install that, then run pyd2ctl bridge build --kea 2.6.3\n")
        assert reason in started.stdout + started.stderr


def test_a_package_without_the_sources_of_the_bridge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A distribution may leave them out."""
    monkeypatch.setattr(building, "PACKAGE", tmp_path / "pyd2")
    assert building.missing().startswith("the bridge's sources (")
    assert "which is not built: missing the bridge's sources (" in building.absent(20603)


class Builder:
    """Stands for build_kea where the compiler fails."""

    def __init__(self, missing: str) -> None:
        self._missing = missing

    def missing(self, _kea: str) -> str:
        return self._missing

    def find(self, _kea: str) -> object:
        return None

    def make(self, _kea: object) -> object:
        raise RuntimeError("command 'c++' failed with exit code 1")


@pytest.mark.parametrize(("missing", "writable", "reason"), [
    ("a C++ compiler (c++; Debian: g++)", True, "missing a C++ compiler (c++; Debian: g++)"),
    ("", False, "is not writable: run this as the user who installed pyd2"),
    ("", True, "the bridge does not compile: command 'c++' failed with exit code 1"),
])
def test_build_says_why_it_cannot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    missing: str, writable: bool, reason: str,
) -> None:
    monkeypatch.setattr(building, "builder", lambda: Builder(missing))
    monkeypatch.setattr("pyd2.tools.bridge.os.access", lambda *_: writable)
    assert bridge.build() == 1
    assert reason in capsys.readouterr().err


def test_what_building_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    builder = building.builder()
    monkeypatch.delenv("KEA_INCLUDE_DIR", raising=False)
    assert builder.missing() == ""
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    monkeypatch.setenv("KEA_INCLUDE_DIR", str(tmp_path))
    monkeypatch.setattr(builder, "USUAL", (tmp_path,))
    monkeypatch.setattr(builder.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(builder.importlib.util, "find_spec", lambda _: None)
    assert builder.missing() == (
        "a C++ compiler (no-such-compiler; Debian: g++), the headers of Kea (Debian: kea-dev), "
        "the headers of Boost (Debian: libboost-dev), the headers of log4cplus (Debian: liblog4cplus-dev), "
        "the headers of Python (Debian: python3-dev), "
        f"setuptools ({sys.executable} -m pip install setuptools)"
    )


@pytest.fixture(scope="module")
def other_kea(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment in which Kea's libraries say that they are of a later version."""
    directory = tmp_path_factory.mktemp("other")
    (directory / "kea.cc").write_text(OTHER_KEA)
    compile_library(directory / "kea.cc", directory / "kea.so")
    return {"LD_PRELOAD": str(directory / "kea.so")}


def test_after_an_update_of_kea_the_bridge_does_not_fit(
    tmp_path: Path, other_kea: Mapping[str, str], for_kea: Path,
) -> None:
    status = run(*STATUS, cwd=tmp_path, env=other_kea)
    assert status.returncode == 1
    built, _ = versions(kit.shim())
    assert f"built:   for Kea {built}\nloaded:  Kea 2.6.99\n         they do not match" in status.stdout
    entry = {"hooks-libraries": [{"library": str(for_kea)}]}
    (tmp_path / "d2.json").write_text(json.dumps({"DhcpDdns": entry}))
    kea = environment(tmp_path, {"KEA_HOOKS_PATH": str(for_kea.parent)})
    refused = run(sys.executable, "-m", "pyd2", "-t", "d2.json", cwd=tmp_path, env={**kea, **other_kea})
    assert refused.returncode == 1
    assert (f"{for_kea}: the bridge was built for Kea {built}, but Kea is 2.6.99: rebuild the bridge: "
            "pyd2ctl bridge build --kea 2.6.99\n") in refused.stdout


def test_kea_libraries_of_another_name(tmp_path: Path) -> None:
    """As after an update that changes the names of Kea's libraries: what the bridge needs is not there."""
    spec = importlib.util.find_spec(module_of(kit.installed().rules.version))
    assert spec is not None
    needed = run("readelf", "-d", spec.origin or "", cwd=tmp_path).stdout
    name = next(word.strip("[]") for word in needed.split() if word.startswith("[libkea-hooks.so."))
    (tmp_path / "empty.c").write_text("int pyd2_empty;\n")
    compile_library(tmp_path / "empty.c", tmp_path / name)
    status = run(*STATUS, cwd=tmp_path, env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert status.returncode == 1
    assert "the bridge does not fit the installed Kea (" in status.stdout
    assert "rebuild the bridge: pyd2ctl bridge build --kea 2.6.3" in status.stdout

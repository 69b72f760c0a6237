"""A library of another Kea's: opened, it ends the real servers; pyd2 refuses it before."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.errors import HookError
from pyd2.hooks.kea import other_kea
from pyd2.hooks.kea.building import release_of
from tests.kit import kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.kea import check_libraries, load_chain
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease

from .conftest import SOURCES
from .rig import rig

if TYPE_CHECKING:
    from pyd2.config.model import HookLibrary

    from .conftest import BridgeLog, Compile

OWN_VERSION = kea.chosen().rules.version


def other() -> kea.Kea:
    """Return the Kea that this run does not use."""
    return kea.unpacked("3.0") if kea.chosen().root is None else kea.installed()


def for_other(*libraries: str, source: str = "walker.cc") -> Path:
    """Return a library compiled for the other Kea, and linked with some of its libraries."""
    found = [f"-l{name}" for name in libraries]
    options = ["-O1", "-Wl,--no-as-needed", f"-Wl,-rpath,{other().libraries}", *found]
    return kea.compiled(SOURCES / source, *options, also=sorted(SOURCES.glob("*.h")), kea=other())


def outcome(binary: str, library: Path, flag: str) -> tuple[int, list[list[str]]]:
    """Return the exit status and the errors in the log."""
    with private_directory() as directory, PortLease() as lease:
        shutil.copy(library, directory / "other.so")
        entry = {"library": str(directory / "other.so")}
        (directory / "d2.json").write_text(json.dumps(config(lease.take(), {"hooks-libraries": [entry]})))
        d2 = D2(binary, directory, (flag, "d2.json"), env={"KEA_HOOKS_PATH": "@DIR@"})
        status = d2.process.wait_for_exit()
        return status, [entry for entry in log_entries(d2.process.output(), str(directory))
                        if entry[0] in {"ERROR", "FATAL"} and "HOOK" in entry[2]]


@pytest.mark.kea30
@pytest.mark.parametrize("flag", ["-t", "-c"])
def test_a_library_of_the_other_kea(d2_binary: str, flag: str) -> None:
    library = for_other("kea-hooks", "kea-cc", "kea-d2srv")
    status, _ = outcome(kea.chosen().program("kea-dhcp-ddns"), library, flag)
    assert status in {-signal.SIGSEGV, -signal.SIGABRT}
    status, lines = outcome(d2_binary, library, flag)
    assert status == 1
    assert [line[2] for line in lines] == ["HOOKS_INCORRECT_VERSION", "PYD2_HOOK_OTHER_KEA"]
    assert lines[0][3] == (
        f"hook library @DIR@/other.so is at version {other().rules.version}, require version {OWN_VERSION}")
    begin = "hooks library @DIR@/other.so was not opened: it was compiled for Kea"
    assert lines[1][3].startswith(f"{begin} {other().release} (it needs libkea-")
    assert lines[1][3].endswith(f": compile it for Kea {kea.chosen().release}")


@pytest.mark.kea30
def test_it_needs_the_other_kea_by_way_of_a_library_that_the_bridge_does_not_use(d2_binary: str) -> None:
    """pyd2 follows what Kea's libraries need."""
    library = for_other("kea-asiodns", source="faults.cc")
    status, lines = outcome(d2_binary, library, "-t")
    assert status == 1
    assert [line[2] for line in lines][-1:] == ["PYD2_HOOK_OTHER_KEA"]


@pytest.mark.kea30
def test_a_running_server_refuses_it_and_goes_on(d2_binary: str, compile_library: Compile) -> None:
    good = compile_library(SOURCES / "probe.cc")
    with rig(d2_binary, [(good, {"name": "A"})]) as at:
        shutil.copy(for_other("kea-hooks"), at.directory / "other.so")
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["hooks-libraries"].append({"library": str(at.directory / "other.so")})
        for command in ("config-test", "config-set"):
            assert at.d2.command(command, wanted)["result"] == 1
        # Replaced while the server runs: the reload checks it again.
        shutil.copy(for_other("kea-hooks"), at.directory / "new.so")
        (at.directory / "new.so").rename(at.directory / good.name)
        assert at.d2.command("config-reload")["result"] == 1
        at.update(1)
        assert at.d2.stop() == 0


# Without another Kea: what a library needs is made here.

@pytest.fixture
def linked(tmp_path: Path) -> HookLibrary:
    """A library that needs a libkea-hooks.so of another Kea, which is beside it; its version is hidden."""
    from pyd2.config.model import HookLibrary

    (tmp_path / "stub.c").write_text("int stub(void) { return 0; }\n")
    (tmp_path / "lib.c").write_text("int stub(void);\nint version(void) { return stub() + 1; }\n")
    make = ["cc", "-shared", "-fPIC", "-o"]
    subprocess.run([*make, tmp_path / "libkea-hooks.so.999", "-Wl,-soname,libkea-hooks.so.999",
                    tmp_path / "stub.c"], check=True)
    subprocess.run([*make, tmp_path / "lib.so", tmp_path / "lib.c", tmp_path / "libkea-hooks.so.999",
                    f"-Wl,-rpath,{tmp_path}"], check=True)
    return HookLibrary(str(tmp_path / "lib.so"), None)


def test_a_version_that_is_hidden(linked: HookLibrary, log: BridgeLog) -> None:
    name = linked.library
    loaded = next(Path(path).name for path in kea.shim().kea_libraries() if "libkea-hooks.so." in path)
    expected = [
        (f"HOOKS_OPEN_ERROR failed to open hook library {name}: {name}: it needs libkea-hooks.so.999, "
         "a library of another Kea"),
        (f"PYD2_HOOK_OTHER_KEA hooks library {name} was not opened: it was compiled for another Kea (it "
         f"needs libkea-hooks.so.999, and {loaded} is loaded), and two Keas in one process would end it: "
         f"compile it for Kea {release_of(OWN_VERSION)}"),
    ]
    assert check_libraries([linked], log) == [name]
    assert log.lines() == expected
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([linked], log)
    assert log.lines() == expected


def test_it_needs_the_other_kea_by_way_of_a_library_of_its_own(
    linked: HookLibrary, tmp_path: Path, log: BridgeLog,
) -> None:
    """The loader would bring both, wherever it finds them."""
    from pyd2.config.model import HookLibrary

    (tmp_path / "outer.c").write_text("int version(void);\nint other(void) { return version(); }\n")
    make = ["cc", "-shared", "-fPIC", "-o", "outer.so", "outer.c", "-L.", "-l:lib.so", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(make, cwd=tmp_path, check=True)
    name = str(tmp_path / "outer.so")
    assert check_libraries([HookLibrary(name, None)], log) == [name]
    assert [line.split()[0] for line in log.lines()] == ["HOOKS_OPEN_ERROR", "PYD2_HOOK_OTHER_KEA"]


def test_the_loader_finds_libraries_by_its_cache() -> None:
    """A name alone shares its text with a path there."""
    assert other_kea._find("libc.so.6", []) is not None
    assert other_kea._find("libc.so", [""]) is None
    assert other_kea._find("c.so.6", []) is None


def test_what_it_needs_is_not_there(linked: HookLibrary, log: BridgeLog) -> None:
    """Then the loader would refuse it, and so do we, in its words."""
    Path(linked.library).with_name("libkea-hooks.so.999").unlink()
    assert check_libraries([linked], log) == [linked.library]
    assert log.lines()[0] == (
        f"HOOKS_OPEN_ERROR failed to open hook library {linked.library}: libkea-hooks.so.999: "
        "cannot open shared object file: No such file or directory")


def test_a_library_that_was_copied_in_part(compile_library: Compile, tmp_path: Path, log: BridgeLog) -> None:
    """The system's loader would map it, and the process would end by SIGBUS."""
    from pyd2.config.model import HookLibrary

    content = compile_library(SOURCES / "probe.cc").read_bytes()
    cut = tmp_path / "cut.so"
    cut.write_bytes(content[:len(content) // 2])
    assert check_libraries([HookLibrary(str(cut), None)], log) == [str(cut)]
    (line,) = log.lines()
    begin = f"HOOKS_OPEN_ERROR failed to open hook library {cut}: {cut}: file too short: it has "
    assert line.startswith(begin)

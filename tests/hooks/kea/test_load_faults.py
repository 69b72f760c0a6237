"""Every fault of loading, in both servers: at the start and by a command, and its effects."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease

from .conftest import SOURCES, Compile
from .rig import rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[Path], tuple[str, dict[str, str] | None]]
    """Puts a library into a directory; returns what the configuration says of it."""

FAULTS = ("other version", "no version", "undefined symbol", "version throws", "another Kea", "no file",
          "elsewhere", "no ELF", "empty", "directory", "load fails", "load throws", "load throws a number")


@pytest.fixture(params=FAULTS)
def make(request: pytest.FixtureRequest, compile_library: Compile, tmp_path: Path) -> Make:
    fault = request.param
    if fault in FAULTS[:4]:
        lazy = ("-Wl,-z,lazy",) if fault == "undefined symbol" else ()
        library = compile_library(SOURCES / "faults.cc", f"-DFAULT={FAULTS.index(fault) + 1}", *lazy)
    elif fault == "another Kea":
        library = for_another_kea(tmp_path)
    elif fault.startswith("load"):
        library = compile_library(SOURCES / "probe.cc")

    def make(directory: Path) -> tuple[str, dict[str, str] | None]:
        target = directory / "faulty.so"
        parameters = None
        if fault == "no ELF":
            target.write_text("this is no library\n" * 100)
        elif fault == "empty":
            target.touch()
        elif fault == "directory":
            target.mkdir()
        elif fault == "elsewhere":
            return "/elsewhere/faulty.so", None
        elif fault != "no file":
            shutil.copy(library, target)
        if fault.startswith("load"):
            how = {"load fails": "error", "load throws": "throw"}.get(fault, "throw-int")
            parameters = {"name": "A", "load": how}
        return str(target), parameters

    return make


def for_another_kea(directory: Path) -> Path:
    """Compile a library that needs a libkea-hooks.so of a Kea that is not here."""
    (directory / "stub.cc").write_text("int stub() { return 0; }\n")
    version = kea.chosen().rules.version
    text = f'int stub();\nextern "C" int version() {{ return stub() + {version}; }}\n'
    (directory / "other.cc").write_text(text)
    compiler = ["c++", "-shared", "-fPIC", "-o"]
    subprocess.run([*compiler, directory / "libstub.so", "-Wl,-soname,libkea-hooks.so.999",
                    directory / "stub.cc"], check=True)
    subprocess.run([*compiler, directory / "other.so", directory / "other.cc", directory / "libstub.so"],
                   check=True)
    return directory / "other.so"


def binaries(d2_binary: str) -> tuple[str, str]:
    return kea.chosen().program("kea-dhcp-ddns"), d2_binary


def said(text: str, directory: Path) -> list[str]:
    """Return what a log says of libraries, warnings and errors."""
    return [" ".join(entry) for entry in log_entries(text, str(directory))
            if entry[0] not in {"DEBUG", "INFO"}
            and entry[2].startswith(("HOOKS_", "DHCP_DDNS_CONFIG", "DCTL_"))]


def entry_of(made: tuple[str, dict[str, str] | None]) -> list[dict[str, Any]]:
    library, parameters = made
    return [{"library": library} if parameters is None else {"library": library, "parameters": parameters}]


def test_at_the_start(d2_binary: str, make: Make) -> None:
    """The server does not start, and says why."""
    outcomes = []
    for binary in binaries(d2_binary):
        with private_directory() as directory, PortLease() as lease:
            made = config(lease.take(), {"hooks-libraries": entry_of(make(directory))})
            (directory / "d2.json").write_text(json.dumps(made))
            d2 = D2(binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
            status = d2.process.wait_for_exit()
            reason = d2.process.stderr().partition("Service failed: ")[2].replace(str(directory), "@DIR@")
            outcomes.append((status, reason, said(d2.process.stdout(), directory)))
    assert outcomes[1] == outcomes[0]
    assert outcomes[1][0] == 1
    assert outcomes[1][1]


def test_by_a_command(d2_binary: str, make: Make) -> None:
    """The configuration is refused with the same answer, and the server continues."""
    outcomes = []
    for binary in binaries(d2_binary):
        with rig(binary, []) as at:
            wanted = json.loads(json.dumps(at.made))
            wanted["DhcpDdns"]["hooks-libraries"] = entry_of(make(at.directory))
            answers = [at.d2.command(name, wanted) for name in ("config-test", "config-set")]
            at.update(1)
            text = json.dumps(answers).replace(str(at.directory), "@DIR@")
            assert at.d2.stop() == 0
            outcomes.append((text, at.seen(), said(at.d2.process.stdout(), at.directory)))
    assert outcomes[1] == outcomes[0]
    assert outcomes[1][1] == [("A", "config.", True)]

"""The guide to hook libraries: its library in each language, and its way to find a crash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.choice import load_chain
from tests.hooks.conftest import SERVER, RecordingLog
from tests.hooks.kea.conftest import COMPILE, BridgeLog
from tests.kit import kea
from tests.kit.c_libraries import PRELUDE, ROOT, compile_library, compile_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GUIDE = ROOT / "docs" / "hooks.md"
EXAMPLES = ROOT / "examples" / "hooks"
peers = pytest.mark.peers
CRASH_IN_C = PRELUDE + """
    static int select_key(pyd2_hook_callout *callout, void *user) { (void)callout; return *(char *)user; }
    static int start(void) { return api->register_callout(self, T("select_key"), select_key, NULL); }
"""
CRASH_IN_CPLUSPLUS = """
#include <hooks/hooks.h>
static volatile int* nowhere = nullptr;
extern "C" int version() { return KEA_HOOKS_VERSION; }
extern "C" int select_key(isc::hooks::CalloutHandle&) { return *nowhere; }
"""
SELECT = """
import sys
from ipaddress import ip_address
from pyd2.config.model import DnsServer, HookLibrary
from pyd2.hooks.choice import load_chain
from pyd2.observe.log import MessageLog
from pyd2.profiles.kea_2_6 import KEA_2_6
log = MessageLog(KEA_2_6.messages, KEA_2_6.log, {"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_SEVERITY": "ERROR"})
chain = load_chain([HookLibrary(sys.argv[1], None)], log)
chain.select_key(DnsServer(ip_address("192.0.2.1"), 53, "", None, None), None)
"""


def compile_for_kea(source: Path, target: Path) -> Path:
    subprocess.run([*kea.chosen().compiler(), *COMPILE, str(source), "-o", str(target)], check=True)
    return target


def in_python(directory: Path) -> Path:
    return EXAMPLES / "avoid.py"


def in_c(directory: Path) -> Path:
    return compile_library(EXAMPLES / "avoid.c", directory / "avoid.so")


def for_kea(directory: Path) -> Path:
    return compile_for_kea(EXAMPLES / "avoid.cc", directory / "avoid-kea.so")


@pytest.mark.parametrize("name", ["avoid.py", "avoid.c", "avoid.cc"])
def test_it_shows_the_examples_as_they_are(name: str) -> None:
    blocks = re.findall(r"^```(?:python|c|cpp)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert (EXAMPLES / name).read_text() in blocks


def test_it_lists_the_examples() -> None:
    assert set(re.findall(r"`(\w+\.(?:py|c|cc|cpp))`", GUIDE.read_text())) >= {
        path.name for path in EXAMPLES.iterdir() if path.is_file()
    }


@pytest.mark.parametrize(("make", "log", "reason"), [
    (in_python, RecordingLog, "the parameter servers is missing"),
    (in_c, RecordingLog, "there is no /servers"),
    pytest.param(for_kea, BridgeLog, "the parameter servers is missing", marks=peers),
])
def test_the_library_does_the_same_in_each_language(
    tmp_path: Path, make: Callable[[Path], Path], log: Callable[[], RecordingLog], reason: str,
) -> None:
    path, messages = str(make(tmp_path)), log()
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([HookLibrary(path, None)], messages)
    assert any(line.endswith(reason) for line in messages.lines())
    chain = load_chain([HookLibrary(path, from_plain({"servers": ["192.0.2.1", "2001:db8::1"]}))], messages)
    assert chain.select_key is not None
    skipped = [chain.select_key(SERVER._replace(address=ip_address(address)), None).skip
               for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1")]
    chain.unload()
    assert skipped == [True, False, True]


def run(library: Path, **environment: str) -> str:
    """Let a library crash; return what that leaves on stderr."""
    done = subprocess.run([sys.executable, "-c", SELECT, str(library)], env=os.environ | environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


def test_a_crash_in_c_shows_where_it_was(tmp_path: Path) -> None:
    library = compile_text(CRASH_IN_C, tmp_path / "crash.so")
    assert "c/library.py" in run(library, PYTHONFAULTHANDLER="1")


@peers
def test_a_crash_in_a_library_for_kea_shows_where_it_was(tmp_path: Path) -> None:
    source = tmp_path / "crash.cc"
    source.write_text(CRASH_IN_CPLUSPLUS)
    assert "kea/chain.py" in run(compile_for_kea(source, tmp_path / "crash.so"), PYTHONFAULTHANDLER="1")


def test_the_sanitizers_name_the_line(tmp_path: Path) -> None:
    library = compile_text(CRASH_IN_C, tmp_path / "crash.so", "-g", "-fsanitize=address,undefined")
    found = subprocess.run(
        'echo "$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)"',
        shell=True, capture_output=True, text=True, check=True,
    )
    said = run(library, LD_PRELOAD=found.stdout.strip(), ASAN_OPTIONS="detect_leaks=0")
    assert "crash.c:3:" in said
    assert "runtime error: load of null pointer" in said
    assert "#0 " in said

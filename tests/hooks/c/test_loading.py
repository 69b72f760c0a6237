"""Loading of libraries in C: every fault with Kea's words, and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.c.handles import JSON, KEYS
from pyd2.hooks.c.library import CALLOUTS, LIBRARIES
from pyd2.hooks.choice import check_libraries
from pyd2.hooks.opening import check_library
from tests.hooks.conftest import SERVER

from .conftest import with_counters

if TYPE_CHECKING:
    from tests.hooks.conftest import Load, RecordingLog, Write

    from .conftest import Counters, WriteC

HEADER = '#include "pyd2_hook.h"\n'
NOTHING = "static int start(void) { return 0; }\n"


def is_mapped(path: str) -> bool:
    """Say whether a file is in this process's memory."""
    with Path("/proc/self/maps").open() as maps:
        return any(line.rstrip().endswith(path) for line in maps)


def requirement(version: int, size: str) -> str:
    """Return the text of a pyd2_hook_version that asks for this."""
    return ("pyd2_hook_requirement pyd2_hook_version(void)"
            f" {{ pyd2_hook_requirement r = {{ {version}, {size} }}; return r; }}\n")


VERSIONS = {
    "no version": ("", "HOOKS_NO_VERSION no 'version' function found in hook library F"),
    "another version": (
        requirement(2, "sizeof(pyd2_hook_api)"),
        "HOOKS_INCORRECT_VERSION hook library F is at version 2, require version 1",
    ),
    "a larger table": (
        requirement(1, "sizeof(pyd2_hook_api) + 8"),
        ("HOOKS_INCORRECT_VERSION hook library F is at version 1 with a table of 328 octets, "
         "require version 1 with 320 at most"),
    ),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_a_wrong_version(write_c: WriteC, log: RecordingLog, case: str) -> None:
    """The library is closed again, and its load does not run."""
    version, expected = VERSIONS[case]
    load = ("\nint pyd2_hook_load(const pyd2_hook_api *a, pyd2_hook_library *l, void **s)"
            "\n{ *(volatile int *)0 = 1; (void)a; (void)l; (void)s; return 0; }\n")
    entry = write_c(version + load, prelude=HEADER)
    assert check_libraries([entry], log) == [entry.library]
    assert [line.replace(entry.library, "F") for line in log.lines()] == [
        expected, "HOOKS_LIBRARY_CLOSED hooks library F successfully closed",
    ]
    assert not is_mapped(entry.library)


def test_a_library_may_need_less_than_the_whole_table(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    entry = write_c(requirement(1, "offsetof(pyd2_hook_api, timer_cancel)"), prelude=HEADER)
    load(entry)
    assert ("HOOKS_LIBRARY_VERSION", (entry.library, "1")) in log.entries
    assert ("HOOKS_NO_LOAD", (entry.library,)) in log.entries


def test_what_cannot_be_opened(write_c: WriteC, tmp_path: Path, log: RecordingLog) -> None:
    """The reasons are the system's."""
    undefined = write_c("extern int nowhere(void); static int start(void) { return nowhere(); }")
    garbage = tmp_path / "garbage.so"
    garbage.write_bytes(b"\x7fELF" + bytes(60) + b"\0pyd2_hook_load\0")
    for path, reason in ((undefined.library, "undefined symbol: nowhere"), (str(garbage), "")):
        assert not check_library(path, log)
        (line,) = log.lines()
        assert line.startswith(f"HOOKS_OPEN_ERROR failed to open hook library {path}: {path}: {reason}")


def test_a_shared_object_that_is_no_library_for_pyd2(write_c: WriteC, log: RecordingLog) -> None:
    """It may be one for Kea, which this chain cannot load."""
    entry = write_c("int version(void); int version(void) { return 20603; }", prelude="")
    assert not check_library(entry.library, log)
    assert "through the bridge to Kea" in log.lines()[0]


def test_without_the_compiled_part(
    write_c: WriteC, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = write_c(NOTHING)
    for name in [name for name in sys.modules if name.startswith(("pyd2.hooks.c.", "pyd2.hooks.c_abi"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyd2.hooks.c_abi", None)
    assert not check_library(entry.library, log)
    assert log.lines()[0] == (
        f"HOOKS_OPEN_ERROR failed to open hook library {entry.library}: {entry.library}: a hook library in C "
        "needs pyd2's compiled part, which this installation does not have"
    )


def test_a_load_that_fails(write_c: WriteC, write: Write, load: Load, log: RecordingLog) -> None:
    """Its own unload runs, then the libraries before it are unloaded, the last first."""
    good = write_c(NOTHING + "int pyd2_hook_unload(void *state) { (void)state; return 8; }", name="good.so")
    python = write("def select_key(handle): pass\ndef unload(): return 7")
    bad = write_c("""
        static int start(void) { api->log(self, PYD2_HOOK_ERROR, T("the file is missing")); return 3; }
        int pyd2_hook_unload(void *state) { (void)state; return 9; }
    """)
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load(good, python, bad)
    names = {good.library: "GOOD", python.library: "PYTHON", bad.library: "BAD"}
    lines = log.lines()
    for path, short in names.items():
        lines = [line.replace(path, short) for line in lines]
    assert lines == [
        "HOOKS_LIBRARY_LOADED hooks library GOOD successfully loaded",
        "HOOKS_LIBRARY_LOADED hooks library PYTHON successfully loaded",
        "PYD2_HOOK_MESSAGE_ERROR hooks library BAD: the file is missing",
        "HOOKS_LOAD_ERROR 'load' function in hook library BAD returned error 3",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library BAD returned error 9",
        "HOOKS_LIBRARY_CLOSED hooks library BAD successfully closed",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library PYTHON returned error 7",
        "HOOKS_LIBRARY_CLOSED hooks library PYTHON successfully closed",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library GOOD returned error 8",
        "HOOKS_LIBRARY_CLOSED hooks library GOOD successfully closed",
    ]
    assert not any(is_mapped(path) for path in names)


def test_the_state_goes_from_load_to_unload(
    write_c: WriteC, load: Load, log: RecordingLog, counters: Counters,
) -> None:
    """Two entries of one file share its static variables; each has its own state, name, index, parameters."""
    text = """
        #include "pyd2_hook.h"
        PYD2_HOOK_DEFINE_VERSION
        static int loads;
        int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state)
        {
            const pyd2_hook_json *parameters;
            int64_t address, number;
            pyd2_hook_text name;
            uint32_t index;
            if (*state != NULL || api->parameters(library, &parameters) != PYD2_HOOK_OK)
                return 1;
            if (api->json_integer(parameters, pyd2_hook_string("/counters"), &address) != PYD2_HOOK_OK
                || api->json_integer(parameters, pyd2_hook_string("/number"), &number) != PYD2_HOOK_OK
                || api->library_index(library, &index) != PYD2_HOOK_OK || index != (uint32_t)number
                || api->library_name(library, &name) != PYD2_HOOK_OK)
                return 2;
            *state = (int *)(intptr_t)address + number;
            *(int *)*state = 10 * ++loads;
            return api->log(library, PYD2_HOOK_INFO, name);
        }
        int pyd2_hook_unload(void *state) { ++*(int *)state; return 0; }
    """
    first = write_c(text, with_counters(counters, number=1), prelude="")
    second = HookLibrary(first.library, from_plain(with_counters(counters, number=2)))
    chain = load(first, second)
    assert log.said() == [first.library] * 2
    assert counters[1:3] == [10, 20]
    chain.unload()
    assert counters[1:3] == [11, 21]
    assert not is_mapped(first.library)


def test_registration(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    """Only hook points that exist, only functions, only while load runs."""
    chain = load(write_c("""
        static int again(pyd2_hook_callout *handle, void *user)
        {
            (void)handle; (void)user;
            outcome("late", api->register_callout(self, T("select_key"), again, NULL));
            outcome("late", api->register_command(self, T("x"), again, NULL));
            return 0;
        }
        static int start(void)
        {
            pyd2_hook_text broken = { NULL, 3 };
            outcome("unknown", api->register_callout(self, T("no_such_hook"), again, NULL));
            outcome("empty", api->register_callout(self, T(""), again, NULL));
            outcome("null", api->register_callout(self, T("select_key"), NULL, NULL));
            outcome("broken", api->register_callout(self, broken, again, NULL));
            outcome("command", api->register_command(self, T(""), again, NULL));
            outcome("no library", api->register_callout(NULL, T("select_key"), again, NULL));
            outcome("good", api->register_callout(self, T("select_key"), again, NULL));
            outcome("severity", api->log(self, 7, T("x")));
            return 0;
        }
    """))
    assert log.said() == [
        "unknown -4 hook name no_such_hook is not recognized",
        "empty -4 hook name  is not recognized",
        "null -1 function is a null pointer",
        "broken -1 hook has a length but no data",
        "command -1 '' is no command name",
        "no library -2 there is no such library: it has ended, or it never was one",
        "good 0 ",
        "severity -1 7 is no severity",
    ]
    assert chain.select_key is not None
    chain.select_key(SERVER, None)
    assert log.said() == [
        "late -6 callouts are attached while pyd2_hook_load runs",
        "late -6 callouts are attached while pyd2_hook_load runs",
    ]


def test_each_severity(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    load(write_c("""
        static int start(void)
        {
            pyd2_hook_text text = { "caf\\xe9\\0!", 6 };
            return api->log(self, PYD2_HOOK_DEBUG, text) | api->log(self, PYD2_HOOK_INFO, text)
                 | api->log(self, PYD2_HOOK_WARN, text) | api->log(self, PYD2_HOOK_ERROR, text);
        }
    """))
    said = [(message, text) for message, (*_, text) in log.entries if message.startswith("PYD2_")]
    assert said == [
        (f"PYD2_HOOK_MESSAGE_{severity}", "caf\udce9\0!") for severity in ("DEBUG", "INFO", "WARN", "ERROR")
    ]


def test_reload_cycles_leave_nothing(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    entry = write_c("""
        static int callout(pyd2_hook_callout *handle, void *user) { (void)handle; (void)user; return 0; }
        static int start(void)
        {
            pyd2_hook_key *key;
            return api->register_callout(self, T("select_key"), callout, NULL)
                 | api->key_new(self, T("k."), T("HMAC-SHA256"), T("MTIzNDU2Nzg="), 0, &key);
        }
    """)
    tables = (CALLOUTS, JSON, KEYS, LIBRARIES)
    before = [len(table.objects) for table in tables]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(200):
        load(entry).unload()
        log.entries.clear()
    assert [len(table.objects) for table in tables] == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert not is_mapped(entry.library)

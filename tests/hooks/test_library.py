"""Opening, checking and loading libraries: each fault with Kea's words, and nothing left behind."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.errors import HookError
from pyd2.hooks.choice import check_libraries, load_chain
from pyd2.hooks.describe import explain, place_of
from pyd2.hooks.opening import check_library, open_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Load, RecordingLog, Write


@pytest.fixture(autouse=True)
def nothing_stays_in_sys_modules() -> Iterator[None]:
    before = {name for name in sys.modules if "pyd2_hook_" in name}
    yield
    assert {name for name in sys.modules if "pyd2_hook_" in name} == before


CANNOT_OPEN = {
    "absent.py": (None, "F: cannot open shared object file: No such file or directory"),
    "libabsent.so": (None, "F: cannot open shared object file: No such file or directory"),
    "short.so": (b"not a library", "F: file too short"),
    "short.txt": (b"", "F: file too short"),
    "long.txt": (b"x" * 64, "F: invalid ELF header"),
    "compiled.so": (
        b"\x7fELF" + bytes(60),
        "F: a compiled Kea hook library runs through the bridge to Kea only",
    ),
    "syntax.py": (b"x = = 1\n", "SyntaxError: invalid syntax (F:1)"),
    "latin.py": (
        b"x = '\xe9'\n",
        # Python's own words.
        ("SyntaxError: Non-UTF-8 code starting with '\\xe9' on line 1, but no encoding declared; "
         "see https://peps.python.org/pep-0263/ for details (F:1)") if sys.version_info >= (3, 14) else
        ("SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xe9 in position 0: "
         "unexpected end of data (F:1)"),
    ),
}
CANNOT_RUN = {
    "raises.py": (b"\nraise ValueError('never')\n", "ValueError: never (F:2)"),
    "calls.py": (b"import ipaddress\nipaddress.ip_address('')\n",
                 "ValueError: '' does not appear to be an IPv4 or IPv6 address (F:2)"),
    "exits.py": (b"import sys; sys.exit(3)\n", "SystemExit: 3 (F:1)"),
    "interrupts.py": (b"raise KeyboardInterrupt\n", "KeyboardInterrupt (F:1)"),
    "imports.py": (b"import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' (F:1)"),
}


@pytest.mark.parametrize("name", CANNOT_OPEN)
def test_what_cannot_be_opened(tmp_path: Path, log: RecordingLog, name: str) -> None:
    content, reason = CANNOT_OPEN[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert not check_library(str(path), log)
    (line,) = log.lines()
    assert line.replace(str(path), "F") == f"HOOKS_OPEN_ERROR failed to open hook library F: {reason}"


@pytest.mark.parametrize("name", CANNOT_RUN)
def test_what_cannot_run_is_found_when_it_is_loaded(tmp_path: Path, log: RecordingLog, name: str) -> None:
    """The check runs nothing of it, so it finds nothing."""
    content, reason = CANNOT_RUN[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert check_library(str(path), log)
    with pytest.raises(HookError):
        load_chain([HookLibrary(str(path), None)], log)
    assert [line.replace(str(path), "F") for line in log.lines()] == [
        f"HOOKS_OPEN_ERROR failed to open hook library F: {reason}",
    ]


@pytest.mark.parametrize("name", ["library.py", "library.so", "__init__.py"])
def test_what_is_no_file_never_blocks(tmp_path: Path, log: RecordingLog, name: str) -> None:
    """A FIFO that nothing writes to would hold the check, and with it the control channel, for ever."""
    path = tmp_path / name
    os.mkfifo(path)
    reason = f"{path}: cannot read file data: it is not a regular file"
    assert check_libraries([HookLibrary(str(path), None)], log) == [str(path)]
    with pytest.raises(HookError):
        load_chain([HookLibrary(str(path), None)], log)
    assert log.lines() == [f"HOOKS_OPEN_ERROR failed to open hook library {path}: {reason}"] * 2


def test_a_device_is_no_library(log: RecordingLog) -> None:
    assert not check_library("/dev/zero", log)
    assert "it is not a regular file" in log.lines()[0]


def test_a_directory_cannot_be_opened(tmp_path: Path, log: RecordingLog) -> None:
    assert not check_library(str(tmp_path), log)
    (line,) = log.lines()
    assert line.endswith(f"library {tmp_path}: {tmp_path}: cannot read file data: Is a directory")


def test_a_name_that_no_file_can_have(log: RecordingLog) -> None:
    assert not check_library("a\0.py", log)
    assert log.lines()[0].startswith("HOOKS_OPEN_ERROR failed to open hook library a\0.py: ")


def test_a_path_that_leads_nowhere(tmp_path: Path, log: RecordingLog) -> None:
    """The system's reason is given, whichever it is."""
    path = tmp_path / "loop.py"
    path.symlink_to(path)
    assert not check_library(str(path), log)
    assert log.lines()[0].endswith("cannot open shared object file: Too many levels of symbolic links")


RAISES = "HOOKS_VERSION_EXCEPTION 'version' function in hook library F threw an exception"
VERSIONS = {
    "": "HOOKS_NO_VERSION no 'version' function found in hook library F",
    "version = 20603": "HOOKS_NO_VERSION no 'version' function found in hook library F",
    "def version(): return 1":
        "HOOKS_INCORRECT_VERSION hook library F is at version 1, require version 20603",
    "def version(): return 20602":
        "HOOKS_INCORRECT_VERSION hook library F is at version 20602, require version 20603",
    "def version(): pass":
        "HOOKS_INCORRECT_VERSION hook library F is at version NoneType, require version 20603",
    "def version(): return 20603.0":
        "HOOKS_INCORRECT_VERSION hook library F is at version 20603.0, require version 20603",
    "def version(): return '20603'":
        "HOOKS_INCORRECT_VERSION hook library F is at version str, require version 20603",
    "def __getattr__(name): raise ValueError":
        "HOOKS_NO_VERSION no 'version' function found in hook library F",
    "def version(): raise ValueError": RAISES,
    "def version(): raise SystemExit": RAISES,
    "def version(): raise KeyboardInterrupt": RAISES,
    "def version(x): return 20603": RAISES,
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_version(write: Write, log: RecordingLog, version: str) -> None:
    """It is found when the library is loaded, and the library is closed again."""
    entry = write("", version=version)
    assert check_libraries([entry], log) == []
    assert log.lines() == []
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([entry], log)
    lines = [line.replace(entry.library, "F") for line in log.lines()]
    assert lines[0] == VERSIONS[version]
    assert lines[-1] == "HOOKS_LIBRARY_CLOSED hooks library F successfully closed"
    assert len(lines) == 3 if "EXCEPTION" in lines[0] else 2


@pytest.mark.parametrize("version", [
    "def version(): return 20603", "from pyd2.hooks import VERSION\ndef version(): return VERSION",
    "version = lambda: 20603",
])
def test_a_right_version(write: Write, log: RecordingLog, version: str) -> None:
    entry = write("def select_key(handle): pass", version=f"{version}\n")
    load_chain([entry, entry], log).unload()
    name = entry.library
    assert log.lines() == [
        *[f"HOOKS_LIBRARY_LOADED hooks library {name} successfully loaded"] * 2,
        *[f"HOOKS_LIBRARY_CLOSED hooks library {name} successfully closed"] * 2,
    ]


def test_all_libraries_are_checked_and_those_in_error_named_in_order(
    write: Write, log: RecordingLog, tmp_path: Path,
) -> None:
    """The check reads and parses; nothing of a library in Python runs."""
    mark = tmp_path / "it ran"
    good = write(f"open({str(mark)!r}, 'w')\ndef load(handle): raise ValueError")
    bad = write("def", version="")
    absent = HookLibrary(str(tmp_path / "absent.py"), None)
    assert check_libraries([absent, good, bad, good], log) == [absent.library, bad.library]
    assert [line.split()[0] for line in log.lines()] == ["HOOKS_OPEN_ERROR", "HOOKS_OPEN_ERROR"]
    assert not mark.exists()


FRAMEWORK = "HOOKS_LOAD_FRAMEWORK_EXCEPTION 'load' function in hook library F threw an exception"
LOADS = {
    "return 3": ["HOOKS_LOAD_ERROR 'load' function in hook library F returned error 3"],
    "return True": ["HOOKS_LOAD_ERROR 'load' function in hook library F returned error True"],
    "return handle": ["HOOKS_LOAD_ERROR 'load' function in hook library F returned error LibraryHandle"],
    "raise ValueError('no')": [
        "HOOKS_LOAD_EXCEPTION 'load' function in hook library F threw an exception",
        "PYD2_HOOK_EXCEPTION hooks library F: ValueError: no (F:6)",
    ],
    "raise SystemExit(0)": [
        "HOOKS_LOAD_EXCEPTION 'load' function in hook library F threw an exception",
        "PYD2_HOOK_EXCEPTION hooks library F: SystemExit: 0 (F:6)",
    ],
    "raise KeyboardInterrupt": [
        "HOOKS_LOAD_EXCEPTION 'load' function in hook library F threw an exception",
        "PYD2_HOOK_EXCEPTION hooks library F: KeyboardInterrupt (F:6)",
    ],
    **{
        call: [f"{FRAMEWORK}: reason {reason}"]
        for call, reason in {
            "raise HookError('the file is missing')": "the file is missing",
            "handle.register_callout('no_such_hook', load)": "hook name no_such_hook is not recognized",
            "handle.register_callout('$x', load)": "hook name $x is not recognized",
            "handle.register_callout(None, load)": "hook name None is not recognized",
            "handle.deregister_callout('nope', load)": "hook name nope is not recognized",
            "handle.deregister_all_callouts('nope')": "hook name nope is not recognized",
            "handle.register_command('', load)": "'' is no command name",
            "handle.register_command(7, load)": "7 is no command name",
            "handle.register_callout('select_key', 7)": "a callout must be callable, not int",
            "handle.register_callout('select_key', a)":
                "callout F:3 on hook select_key cannot be async or a generator",
            "handle.register_command('a', g)": "callout F:4 on hook $a cannot be async or a generator",
        }.items()
    },
}


@pytest.mark.parametrize("body", LOADS)
def test_a_load_that_fails(
    load: Load, write: Write, log: RecordingLog, tmp_path: Path, body: str,
) -> None:
    """Its own unload runs, then the libraries before it are unloaded, the last first; none stays."""
    prelude = "async def a(handle): pass\ndef g(handle): yield\n"
    version = "def version():\n    return 20603\n" + prelude
    unload = "def unload():\n    return 9\ndef select_key(handle): pass\n"
    load_function = f"def load(handle):\n    from pyd2.hooks import HookError; {body}\n"
    failing = write(load_function + unload, version=version, name="f.py")
    text = "def select_key(handle): pass\ndef unload(): return 8"
    earlier = [write(text, name=name) for name in ("a.py", "b.py")]
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load(*earlier, failing, earlier[0])
    assert [line.replace(failing.library, "F").replace(f"{tmp_path}/", "") for line in log.lines()] == [
        "HOOKS_LIBRARY_LOADED hooks library a.py successfully loaded",
        "HOOKS_LIBRARY_LOADED hooks library b.py successfully loaded",
        *LOADS[body],
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library F returned error 9",
        "HOOKS_LIBRARY_CLOSED hooks library F successfully closed",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library b.py returned error 8",
        "HOOKS_LIBRARY_CLOSED hooks library b.py successfully closed",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library a.py returned error 8",
        "HOOKS_LIBRARY_CLOSED hooks library a.py successfully closed",
    ]


def test_a_standard_callout_that_is_async_fails_the_load(load: Load, write: Write, log: RecordingLog) -> None:
    with pytest.raises(HookError):
        load(write("async def select_key(handle): pass"))
    assert "cannot be async" in log.lines()[0]


def test_a_library_that_vanished_after_the_check(load: Load, tmp_path: Path, log: RecordingLog) -> None:
    with pytest.raises(HookError):
        load(HookLibrary(str(tmp_path / "gone.py"), None))
    assert log.entries[0][0] == "HOOKS_LIBRARY_LOADING"
    assert [line.split()[0] for line in log.lines()] == ["HOOKS_OPEN_ERROR"]


# What the source may be.

def test_a_file_may_use_what_python_looks_up_by_module_name(load: Load, write: Write) -> None:
    load(write("""
        def version(): return 20603
        import dataclasses, pickle, sys, typing

        @dataclasses.dataclass
        class Thing:
            other: typing.ClassVar[int]
            field: Thing | None = None

        def load(handle):
            assert typing.get_type_hints(Thing)
            assert [field.name for field in dataclasses.fields(Thing)] == ["field"]
            assert pickle.loads(pickle.dumps(Thing())) == Thing()
            assert __file__.endswith(".py") and __name__ in sys.modules and not __package__
    """, version="from __future__ import annotations\n"))


def test_a_source_may_have_an_encoding(tmp_path: Path, load: Load, log: RecordingLog) -> None:
    path = tmp_path / "latin-1.x.py"
    path.write_bytes(b"# coding: latin-1\ndef version(): return 20603\ndef load(h): h.log.info('caf\xe9')\n")
    load(HookLibrary(str(path), None))
    assert log.said() == ["caf\u00e9"]


def test_two_entries_of_one_file_share_nothing(load: Load, write: Write, log: RecordingLog) -> None:
    entry = write("""
        loads = []
        def load(handle):
            loads.append(1)
            handle.log.info(len(loads))
    """)
    load(entry, entry)
    assert log.said() == ["1", "1"]


# Helpers.

def test_the_place_of_a_callout() -> None:
    def function() -> None: ...

    class Thing:
        def method(self) -> None: ...

        def __call__(self) -> None: ...

    line = function.__code__.co_firstlineno
    assert place_of(function) == f"{__file__}:{line}"
    assert place_of(Thing().method) == f"{__file__}:{line + 3}"
    assert place_of(Thing()) == f"{__name__}.{Thing.__qualname__}"
    assert place_of(print) == "builtins.builtin_function_or_method"


def test_exceptions_that_resist() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    assert explain(SyntaxError()) == "SyntaxError: None"
    assert explain(SilentError()) == "SilentError: its text cannot be had"
    assert explain(HookError("two\nlines")) == "two lines"
    assert explain(ValueError()) == "ValueError"


def test_functions_are_found_by_name(write: Write) -> None:
    library = open_library(write("number = 7\ndef f(): return number").library)
    function = library.function("f")
    assert function is not None
    assert function() == 7
    assert library.function("number") is None
    assert library.function("g") is None
    library.close()
    assert function() == 7

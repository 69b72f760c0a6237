"""Loading, using, unloading and loading again: the order of messages, and that nothing is left over."""

from __future__ import annotations

import gc
import os
import re
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from pyd2.data.element import from_plain
from pyd2.dns.tsig import HmacKey
from pyd2.errors import HookError
from pyd2.hooks.choice import check_libraries
from pyd2.hooks.python_chain import PythonChain

from .conftest import SERVER, config, only_these_libraries

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from .conftest import Load, RecordingLog, Write

LIBRARY = """
    def load(handle):
        handle.register_command("py-hello_x", hello)
    def hello(handle): handle.set_argument("response", {"result": 0})
    def unload(): pass
    def context_create(handle): pass
    def context_destroy(handle): pass
    def command_processed(handle): return 4
    def d2_srv_configured(handle): pass
"""


def shorten(log: RecordingLog) -> list[str]:
    """All messages with their arguments, without directories, line numbers and durations; forget them."""
    entries, log.entries = log.entries, []
    lines = [" ".join(map(str, (message_id, *arguments))) for message_id, arguments in entries]
    return [re.sub(r"(:\d+)? \d+\.\d{3} ms|:\d+$", "", re.sub(r"/\S*/", "", line)).rstrip() for line in lines]


@only_these_libraries
def test_the_whole_life_of_libraries_in_messages(load: Load, write: Write, log: RecordingLog) -> None:
    """The messages in their order, as the real server wrote them for two libraries of the same make."""
    entries = [write(LIBRARY, name="a.py"), write(LIBRARY, name="b.py")]
    assert check_libraries(entries, log) == []
    assert shorten(log) == []  # of the check, which runs nothing
    chain = load(*entries)
    standard = ("command_processed", "context_create", "context_destroy", "d2_srv_configured")
    assert shorten(log) == [
        line
        for index, name in ((1, "a.py"), (2, "b.py"))
        for line in (
            f"HOOKS_LIBRARY_LOADING {name}",
            f"HOOKS_LIBRARY_VERSION {name} 20603",
            *(
                registered
                for hook in standard
                for registered in (
                    f"HOOKS_CALLOUT_REGISTRATION {index} {hook}",
                    f"HOOKS_STD_CALLOUT_REGISTERED {name} {hook} {name}",
                )
            ),
            f"HOOKS_CALLOUT_REGISTRATION {index} $py_hello_x",
            f"HOOKS_LOAD_SUCCESS {name}",
            f"HOOKS_LIBRARY_LOADED {name}",
        )
    ]

    def called(hook: str) -> list[str]:
        return [
            f"HOOKS_CALLOUTS_BEGIN {hook}",
            f"HOOKS_CALLOUT_CALLED 1 {hook} a.py",
            f"HOOKS_CALLOUT_CALLED 2 {hook} b.py",
            f"HOOKS_CALLOUTS_COMPLETE {hook}",
        ]

    chain.configured(config(), from_plain({}))
    assert shorten(log) == [
        *called("context_create"), *called("d2_srv_configured"), *called("context_destroy"),
    ]
    chain.run_command("py-hello-x", from_plain({"command": "py-hello-x"}))
    # Kea's CommandMgr says so once in the life of a process.
    assert [line for line in shorten(log) if line != "COMMAND_REGISTERED list-commands"] == [
        *called("context_create"), *called("$py_hello_x"), *called("context_destroy"),
    ]
    chain.command_processed("x", None, from_plain({}))
    assert shorten(log) == [
        *called("context_create"),
        "HOOKS_CALLOUTS_BEGIN command_processed",
        "HOOKS_CALLOUT_ERROR command_processed 1 a.py",
        "HOOKS_CALLOUT_ERROR command_processed 2 b.py",
        "HOOKS_CALLOUTS_COMPLETE command_processed",
        *called("context_destroy"),
    ]
    chain.unload()
    assert shorten(log) == [
        *(
            line
            for index, name in ((2, "b.py"), (1, "a.py"))
            for line in (
                f"HOOKS_UNLOAD_SUCCESS {name}",
                *(
                    removed
                    for hook in ("$py_hello_x", *standard)
                    for removed in (
                        f"HOOKS_ALL_CALLOUTS_DEREGISTERED {index} {hook}",
                        f"HOOKS_CALLOUTS_REMOVED {hook} {name}",
                    )
                ),
            )
        ),
        "HOOKS_LIBRARY_CLOSED b.py", "HOOKS_LIBRARY_CLOSED a.py",
    ]


@only_these_libraries
def test_load_and_unload_are_optional(load: Load, write: Write, log: RecordingLog) -> None:
    load(write("", name="a.py")).unload()
    assert shorten(log) == [
        "HOOKS_LIBRARY_LOADING a.py", "HOOKS_LIBRARY_VERSION a.py 20603", "HOOKS_NO_LOAD a.py",
        "PYD2_HOOK_NO_CALLOUTS a.py", "HOOKS_LIBRARY_LOADED a.py", "HOOKS_NO_UNLOAD a.py",
        "HOOKS_LIBRARY_CLOSED a.py",
    ]


@only_these_libraries
@pytest.mark.parametrize(("text", "hint"), [
    ("def select_keys(handle): pass", "; is its function select_keys meant for hook select_key?"),
    ("def load(handle): pass\ndef d2_server_configured(handle): pass",
     "; is its function d2_server_configured meant for hook d2_srv_configured?"),
    ("from os import getpid as select_keys\nselect_ = 7", ""),
    ("", ""),
])
def test_a_library_that_is_never_called_is_warned_of(
    load: Load, write: Write, log: RecordingLog, text: str, hint: str,
) -> None:
    """A misspelt callout would do nothing without a word."""
    entry = write(text)
    load(entry)
    warning = f"PYD2_HOOK_NO_CALLOUTS hooks library {entry.library} has neither a callout nor a command: "
    assert log.lines()[0] == f"{warning}the server never calls it{hint}"


def test_an_import_of_another_thread_does_not_disturb_an_unload(
    write: Write, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Meanwhile(str):
        """The name of a module; when it is looked at, another module comes."""

        __slots__ = ()

        def startswith(self, *_: object) -> bool:
            monkeypatch.setitem(sys.modules, "another", sys)
            return False

    chain = PythonChain([write("def select_key(handle): pass")], log)
    monkeypatch.setitem(sys.modules, Meanwhile("looked at"), sys)
    chain.unload()
    assert "another" in sys.modules


def test_looking_for_a_misspelt_callout_runs_nothing(write: Write, log: RecordingLog) -> None:
    """A proxy of a web framework, say, raises at each use outside of a request."""
    entry = write("""
        class Proxy:
            def __call__(self): pass
            def __getattribute__(self, name): raise RuntimeError(name)
        proxy = Proxy()
        def select_keys(handle): pass
    """)
    PythonChain([entry], log).unload()
    hint = "; is its function select_keys meant for hook select_key?"
    assert any(line.endswith(hint) for line in log.lines())



@only_these_libraries
@pytest.mark.parametrize("text", [
    "def select_key(handle): pass\ndef select_keys(handle): pass",
    "def load(handle): handle.register_command('x', load)",
    "def load(handle): handle.register_callout('select_key', load)",
])
def test_a_library_that_is_called_is_not(load: Load, write: Write, log: RecordingLog, text: str) -> None:
    load(write(text))
    assert [line.split()[0] for line in log.lines()] == ["HOOKS_LIBRARY_LOADED"]


COUNTER = """
    seen = []
    def load(handle):
        global log
        log = handle.log
        log.info(f"load {handle.get_parameter('n')}")
        if handle.get_parameter("fail"):
            raise ValueError
    def unload():
        log.info("unload")
    def select_key(handle):
        seen.append(1)
        log.info(len(seen))
"""


def test_each_load_is_fresh(load: Load, write: Write, log: RecordingLog) -> None:
    """Also when nothing has changed: a reconfiguration always unloads and loads (contract, section 7)."""
    entry = write(COUNTER, {"n": 1})
    for _ in range(2):
        chain = load(entry)
        for _ in range(2):
            assert chain.select_key is not None
            chain.select_key(SERVER, None)
        chain.unload()
        assert log.said() == ["load 1", "1", "2", "unload"]


def test_a_changed_file_counts_even_within_its_time_stamp(
    load: Load, write: Write, log: RecordingLog, tmp_path: Path,
) -> None:
    text = "def load(handle): handle.log.info('VALUE')"
    first = write(text, name="same.py")
    before = (tmp_path / "same.py").stat()
    load(first).unload()
    second = write(text.replace("VALUE", "OTHER"), name="same.py")
    os.utime(second.library, ns=(before.st_atime_ns, before.st_mtime_ns))
    load(second)
    assert log.said() == ["VALUE", "OTHER"]
    assert list(tmp_path.iterdir()) == [tmp_path / "same.py"]


def test_after_a_failed_reload_the_old_set_loads_again(load: Load, write: Write, log: RecordingLog) -> None:
    """As the daemon does when a new set fails (docs/differences.md, 18), with the old set's parameters."""
    old = [write(COUNTER, {"n": 1}), write(COUNTER, {"n": 2})]
    new = [write(COUNTER, {"n": 3}), write(COUNTER, {"n": 4, "fail": True})]
    chain = load(*old)
    chain.unload()
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load(*new)
    chain = load(*old)
    assert chain.select_key is not None
    chain.select_key(SERVER, None)
    chain.unload()
    assert log.said() == [
        "load 1", "load 2", "unload", "unload",
        "load 3", "load 4", "unload", "unload",
        "load 1", "load 2", "1", "1", "unload", "unload",
    ]


def test_a_key_outlives_its_library(load: Load, write: Write) -> None:
    """A transaction under way continues to sign and verify with its key."""
    chain = load(write("""
        from pyd2.hooks import TsigKey
        class Key:
            def __init__(self): self.inner = TsigKey("own.", "HMAC-SHA256", b"0123456789")
            name = property(lambda self: self.inner.name)
            algorithm = property(lambda self: self.inner.algorithm)
            def create_context(self): return made(self)
        def made(key): return key.inner.create_context()
        def select_key(handle): handle.set_argument("tsig_key", Key())
    """))
    assert chain.select_key is not None
    key = chain.select_key(SERVER, None).key
    chain.unload()
    gc.collect()
    assert key is not None
    twin = HmacKey("own.", "HMAC-SHA256", b"0123456789")
    assert key.create_context().sign(bytes(12), 1, 2) == twin.create_context().sign(bytes(12), 1, 2)


def test_a_thousand_reloads_leave_nothing_behind(write: Write, log: RecordingLog) -> None:
    """Neither in sys.modules nor in memory, whether the load succeeds or fails."""
    text = """
        def load(handle):
            handle.register_command("c", lambda handle: None)
            if handle.get_parameter("fail"):
                raise ValueError
        def select_key(handle): pass
    """
    good, bad = write(text), write(text, {"fail": True})
    modules = set(sys.modules)
    dead: list[weakref.ref[ModuleType]] = []
    for _ in range(500):
        chain = PythonChain([good, good], log)
        dead.extend(weakref.ref(sys.modules[name]) for name in set(sys.modules) - modules)
        chain.unload()
        with pytest.raises(HookError):
            PythonChain([good, bad], log)
        log.entries.clear()
    del chain
    gc.collect()
    assert set(sys.modules) == modules
    assert len(dead) == 1000
    assert [reference for reference in dead if reference() is not None] == []

"""Libraries in Python are freed when they are unloaded, without the collector, unless they are in use."""

from __future__ import annotations

import gc
import sys
import textwrap
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pyd2.errors import HookError
from pyd2.hooks import release
from pyd2.hooks.choice import load_chain
from pyd2.hooks.python_chain import PythonChain

from .conftest import SERVER, only_these_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Load, RecordingLog, Write

LIBRARY = """
    import asyncio, dataclasses, enum, functools, json, logging, re
    from pyd2.hooks import CalloutHandle, HookError, TsigKey
    pattern = re.compile("x")
    logger = logging.getLogger("x")

    class HeldValue:
        def __init__(self): self.me, self.inner = self, {"me": self}
        @functools.cached_property
        def size(self): return len(self.inner)

    @dataclasses.dataclass
    class HeldRecord:
        data: HeldValue

    class Colour(enum.Enum):
        RED = 1

    table = [HeldValue() for _ in range(100)]
    records = {number: HeldRecord(data) for number, data in enumerate(table)}
    on_all = functools.partial(print, table)
    def closure():
        return lambda: (table, closure)
    kept = closure()
    def load(handle):
        global saved
        saved = handle
        handle.register_command("c", lambda handle: None)
        if handle.get_parameter("fail"):
            raise ValueError(table)
    def select_key(handle): handle.set_context("x", table)
"""


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()
    release.free_closed()
    release.free_closed()
    assert release._closed == release._kept == []


def living(kind: str) -> int:
    return sum(type(value).__name__ == kind for value in gc.get_objects())


@only_these_libraries
@pytest.mark.parametrize("fail", [False, True])
def test_fifty_reloads_leave_nothing_behind(
    load: Load, write: Write, log: RecordingLog, fail: bool,
) -> None:
    """Neither variables nor instances, whether the load succeeds or fails; the collector has not run."""
    entry = write(LIBRARY, {"fail": fail})
    for _ in range(50):
        if fail:
            with pytest.raises(HookError):
                load(entry)
        else:
            chain = load(entry)
            assert chain.select_key is not None
            chain.select_key(SERVER, None)
            chain.unload()
        log.entries.clear()
    assert living("HeldValue") == 0
    assert living("HeldRecord") == 0


def test_a_source_that_fails_is_freed(write: Write, log: RecordingLog) -> None:
    entry = write(LIBRARY + "    raise ValueError(table)\n")
    for _ in range(3):
        with pytest.raises(HookError):
            PythonChain([entry], log)
    assert living("HeldValue") == 0


def test_what_is_in_use_stays_whole_until_its_last_use_ends(write: Write, log: RecordingLog) -> None:
    """A key of an update that is under way needs its module; it is freed at the next unload after it."""
    entry = write("""
        class Key:
            name, algorithm = "own.", "x"
            def create_context(self): return len(table)
        class HeldValue: pass
        table = [HeldValue(), HeldValue()]
        for one in table: one.me = one
        key = Key()
        def select_key(handle): handle.set_argument("tsig_key", key)
    """)
    chain = PythonChain([entry], log)
    assert chain.select_key is not None
    selection = chain.select_key(SERVER, None)
    chain.unload()
    assert selection.key is not None
    assert selection.key.create_context() == 2  # type: ignore[comparison-overlap]
    del selection
    load_chain([], log).unload()
    assert living("HeldValue") == 0


def test_a_thread_of_the_library_keeps_it(write: Write, log: RecordingLog) -> None:
    """Its variables are there as long as it runs."""
    entry = write("""
        import threading
        class HeldValue: pass
        table, gate = [HeldValue()], threading.Event()
        def work():
            gate.wait()
            assert len(table) == 1
        thread = threading.Thread(target=work, name="of the library")
        thread.gate = gate
        def load(handle): thread.start()
        def select_key(handle): pass
    """)
    PythonChain([entry], log).unload()
    (thread,) = [one for one in threading.enumerate() if one.name == "of the library"]
    vars(thread)["gate"].set()
    thread.join()
    del thread
    load_chain([], log).unload()
    assert living("HeldValue") == 0


@pytest.mark.parametrize("text", [
    ("class HeldValue:\n    def __del__(self): said.append(len(said))\n"
     "said, data = [], HeldValue()\ndata.me = data\n"),
    ("class HeldValue: pass\ndef paused():\n    try: yield data\n    finally: said.append(1)\n"
     "said, data = [], HeldValue()\nrunning = paused()\nnext(running)\n"),
])
def test_what_ends_with_code_of_its_own_is_left_to_the_collector(
    write: Write, log: RecordingLog, text: str,
) -> None:
    """Its code finds its variables."""
    entry = write("", version=f"def version(): return 20603\ndef select_key(handle): pass\n{text}")
    PythonChain([entry], log).unload()
    assert living("HeldValue") == 1
    gc.collect()
    assert living("HeldValue") == 0


def test_a_library_with_very_much_is_left_to_the_collector(
    write: Write, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "MOST", 50)
    PythonChain([write(LIBRARY)], log).unload()
    assert living("HeldValue") == 100
    gc.collect()
    assert living("HeldValue") == 0


def test_what_others_hold_of_a_library_stays(write: Write, log: RecordingLog) -> None:
    """A list that another module took from it, say: it is the library's no more."""
    taken: list[object] = []
    entry = write("""
        import gc
        data = [1, {"a": 2}]
        def select_key(handle): pass
    """)
    chain = PythonChain([entry], log)
    taken.extend(value for value in gc.get_objects() if type(value) is list and len(value) == 2
                 and value[0] == 1 and value[1] == {"a": 2})
    chain.unload()
    assert taken
    assert all(value == [1, {"a": 2}] for value in taken)


def test_weak_references_end(write: Write, log: RecordingLog) -> None:
    chain = PythonChain([write(LIBRARY)], log)
    (table,) = [value for value in gc.get_objects()
                if isinstance(value, list) and len(value) == 100 and type(value[0]).__name__ == "HeldValue"]
    reference = weakref.ref(table[0])
    del table
    chain.unload()
    assert reference() is None


SAID: list[object] = []
"""What the libraries below add to when code of theirs runs."""

ODD = {
    "class property": """
        class HeldValue:
            @property
            def __class__(self): said.append("ran"); raise RuntimeError
        """,
    "class dict": """
        class HeldValue:
            @property
            def __dict__(self): said.append("ran"); raise RuntimeError
        """,
    "metaclass": """
        class Meta(type):
            def __getattribute__(cls, name):
                said.append("ran"); return type.__getattribute__(cls, name)
            def __eq__(cls, other): said.append("ran"); return True
            def __hash__(cls): said.append("ran"); return 1
        class HeldValue(metaclass=Meta): pass
        """,
    "no module": """
        HeldValue = type("HeldValue", (), {})
        HeldValue.__module__ = ["a list"]
        """,
    "no name": "del __name__\nclass HeldValue: pass",
    "ctypes": """
        import ctypes
        class HeldValue(ctypes.Structure): _fields_ = [("a", ctypes.c_int)]
        """,
    "not a module": """
        import sys
        class HeldValue: __slots__ = ("me",)
        sys.modules[__name__] = HeldValue()
        """,
    "input and output": """
        import io
        class HeldValue(io.RawIOBase):
            def close(self): said.append(len(table)); super().close()
        """,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_classes_neither_fail_the_unload_nor_run(write: Write, log: RecordingLog, name: str) -> None:
    """Those of ctypes are not odd at all; the others are met in proxies and mocks."""
    text = textwrap.dedent(ODD[name])
    entry = write("", version=f"import sys\nsaid = sys.modules['{__name__}'].SAID\n{text}\n"
                  "def version(): return 20603\ndef select_key(handle): pass\n"
                  "table, value = [1], HeldValue()\nvalue.me = value\n")
    chain = PythonChain([entry], log)
    SAID.clear()
    chain.unload()
    assert SAID == []
    gc.collect()
    assert len(SAID) == (name == "input and output")
    assert living("HeldValue") == 0


def test_what_a_thread_takes_meanwhile_stays_whole(
    write: Write, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread of the library takes its next piece of work between the counting and the comparing."""
    entry = write("""
        class HeldValue: pass
        def make():
            value = HeldValue()
            value.me = value
            return value
        table = [make()]
        def select_key(handle): pass
    """)
    chain = PythonChain([entry], log)
    (table,) = [one for one in gc.get_objects() if type(one) is list and len(one) == 1
                and type(one[0]).__name__ == "HeldValue"]
    taken: list[object] = []

    def count(value: object) -> int:
        taken.extend(table.pop() for _ in table[:1])
        return sys.getrefcount(value)

    monkeypatch.setattr(release, "sys", SimpleNamespace(getrefcount=count))
    chain.unload()
    assert [*vars(taken.pop())] == ["me"]

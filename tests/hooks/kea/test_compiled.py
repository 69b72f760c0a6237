"""Compiled Kea libraries in a chain, alone and between libraries in Python (contract, section 7)."""

from __future__ import annotations

import gc
import textwrap
from threading import Thread, get_ident
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from pyd2.dns.tsig import HmacKey
from pyd2.errors import HookError, ReplyError
from pyd2.hooks.hook_thread import hook_thread
from pyd2.update.drive.server_choice import Selection
from tests.kit import kea
from tests.kit.kea import check_libraries, load_chain

from .conftest import KEY, SERVERS, SOURCES, BridgeLog, Compile, Load, configure, state, two_servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.interface import Chain

    Probe = Callable[..., HookLibrary]

HMAC = HmacKey(KEY.name, KEY.algorithm, KEY.secret)


def ask(chain: Chain, key: SigningKey | None = HMAC, index: int = 0) -> Selection:
    select_key = chain.select_key
    assert select_key is not None
    return select_key(two.forward_domains[0].servers[index], key)


def use(chain: Chain, hook: str) -> None:
    """Use a hook point whose callouts change nothing."""
    if hook == "select_key":
        assert ask(chain) == Selection(HMAC)
    elif hook == "command_processed":
        answer = from_plain({"result": 0})
        assert chain.command_processed("x", None, answer) == answer
    else:
        assert configure(chain) == (True, "")


two = two_servers()


def said(log: BridgeLog, *kinds: str) -> list[str]:
    """The texts that probes and Python libraries logged at some points, without what comes before them."""
    lines = [line.split(" says ", 1)[1] if " says " in line else line.rpartition(": ")[2]
             for line in log.lines() if line.startswith(("PROBE_SAY", "PYD2_HOOK_MESSAGE"))]
    return [line for line in lines if line.startswith(kinds)]


# Loading.

def test_the_life_of_a_library_in_messages(load: Load, probe: Probe, log: BridgeLog) -> None:
    entry = probe("A")
    assert check_libraries([entry], log) == []
    assert log.lines() == [f"HOOKS_LIBRARY_CLOSED hooks library {entry.library} successfully closed"]
    chain = load(entry)
    assert log.lines() == [
        "PROBE_SAYA A says load",
        f"HOOKS_LIBRARY_LOADED hooks library {entry.library} successfully loaded",
    ]
    chain.unload()
    assert log.lines() == [
        "PROBE_SAYA A says unload", f"HOOKS_LIBRARY_CLOSED hooks library {entry.library} successfully closed",
    ]


LOAD_THREW = "HOOKS_LOAD_FRAMEWORK_EXCEPTION 'load' function in hook library {0} threw an exception"
UNLOAD_THREW = "HOOKS_UNLOAD_FRAMEWORK_EXCEPTION 'unload' function in hook library {0} threw an exception"
FAULTS = {
    1: "HOOKS_INCORRECT_VERSION hook library {0} is at version 20602, require version {1}",
    2: "HOOKS_NO_VERSION no 'version' function found in hook library {0}",
    3: "HOOKS_OPEN_ERROR failed to open hook library {0}: {0}: undefined symbol: nowhere",
    4: "HOOKS_VERSION_EXCEPTION 'version' function in hook library {0} threw an exception",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_library_that_does_not_fit(log: BridgeLog, compile_library: Compile, fault: int) -> None:
    """Found by the check and by the load, in Kea's words; the daemon continues."""
    options = (f"-DFAULT={fault}", *(("-Wl,-z,lazy",) if fault == 3 else ()))
    entry = HookLibrary(str(compile_library(SOURCES / "faults.cc", *options)), None)
    expected = FAULTS[fault].format(entry.library, kea.chosen().rules.version)
    assert check_libraries([entry], log) == [entry.library]
    assert log.lines()[0].replace("'version' function: ", "") == expected
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([entry], log)
    assert log.lines()[0] == expected


@pytest.mark.parametrize(("how", "line"), [
    ("error", "HOOKS_LOAD_ERROR 'load' function in hook library {0} returned error 3"),
    ("throw", LOAD_THREW + ": reason no wish to load"),
    ("throw-int", "HOOKS_LOAD_EXCEPTION 'load' function in hook library {0} threw an exception"),
])
def test_a_load_that_fails_unloads_those_before_it(
    probe: Probe, log: BridgeLog, tmp_path: Path, how: str, line: str,
) -> None:
    python = python_library(tmp_path, "def unload(): LOG.info('bye')")
    bad = probe("B", load=how)
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([probe("A"), python, bad, probe("C")], log)
    lines = log.lines()
    assert line.format(bad.library) in lines
    assert [text for text in lines if "says" in text or "bye" in text] == [
        "PROBE_SAYA A says load", "PROBE_SAYB B says unload",
        f"PYD2_HOOK_MESSAGE_INFO hooks library {python.library}: bye", "PROBE_SAYA A says unload",
    ]


@pytest.mark.parametrize(("how", "line"), [
    ("error", "HOOKS_UNLOAD_ERROR 'unload' function in hook library {0} returned error 4"),
    ("throw", UNLOAD_THREW + ", reason no wish to unload"),
])
def test_a_fault_in_unload_stops_nothing(
    probe: Probe, log: BridgeLog, how: str, line: str,
) -> None:
    entry = probe("B", unload=how)
    chain = load_chain([probe("A"), entry], log)
    log.lines()
    chain.unload()
    lines = log.lines()
    assert line.format(entry.library) in lines
    assert "PROBE_SAYA A says unload" in lines


def test_a_python_library_that_fails_to_load_ends_the_chain(
    probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    bad = python_library(tmp_path, "from pyd2.hooks import HookError", load="raise HookError('not today')")
    with pytest.raises(HookError):
        load_chain([probe("A"), bad], log)
    lines = [line for line in log.lines() if "HOOKS" in line]
    assert lines[1:-1] == [
        f"{LOAD_THREW.format(bad.library)}: reason not today",
        f"HOOKS_LIBRARY_CLOSED hooks library {bad.library} successfully closed",
    ]


# Order, sharing, privacy.

def python_library(directory: Path, text: str, *, load: str = "pass", name: str = "lib.py") -> HookLibrary:
    path = directory / name
    path.write_text(
        f"def version(): return {kea.chosen().rules.version}\n"
        f"def load(handle):\n    global LOG\n    LOG = handle.log\n    {load}\n"
        + textwrap.dedent(text) + "\n",
    )
    return HookLibrary(str(path), None)


TRACER = """
    def trace(handle):
        shared = handle.get_argument("trace") if "trace" in handle.argument_names() else ""
        count = handle.get_context("count") if "count" in handle.context_names() else 0
        handle.set_context("count", count + 1)
        LOG.info(f"{handle.hook_name} {handle.library_index} '{shared}' {count} status {int(handle.status)}")
        leave(handle, shared)
    context_create = context_destroy = select_key = d2_srv_configured = command_processed = trace
    def leave(handle, shared): pass
"""


@pytest.mark.parametrize("hook", ["select_key", "d2_srv_configured", "command_processed"])
def test_order_and_privacy_in_a_chain_of_four(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path, hook: str,
) -> None:
    """Kea, Python, Python, Kea: in the order of the list; contexts are private and live for one use."""
    first = python_library(tmp_path, TRACER, name="first.py")
    second = python_library(tmp_path, TRACER, name="second.py")
    chain = load(probe("A"), first, second, probe("B"))
    configure(chain)
    for _ in range(2):
        log.lines()
        use(chain, hook)
        points = (("context_create", 0, ""), (hook, 1, "AB"), ("context_destroy", 2, "ABAB"))
        assert said(log, hook, "context_") == [
            f"{point} {index} '{shared}' {count} status 0"
            for point, count, before in points
            for index, shared in ((1, before), (2, before + "A"), (3, before + "A"), (4, before + "A"))
        ]


def test_a_text_that_python_shares_is_a_value_of_python_s(load: Load, probe: Probe, tmp_path: Path) -> None:
    """Between libraries in Python anything can be shared; C++ finds another type than it asks for."""
    text = "def select_key(handle): handle.set_argument('x', {'a': 1})"
    writer = python_library(tmp_path, text, name="w.py")
    reader = python_library(
        tmp_path, "def select_key(handle): assert handle.get_argument('x') == {'a': 1}", name="r.py",
    )
    assert ask(load(probe("A"), writer, reader)) == Selection(HMAC)


# select_key.

@pytest.mark.parametrize(("action", "skip"), [
    ("", False), ("skip", True), ("drop", True), ("park", True), ("throw", True), ("throw-int", True),
    ("error", False),
])
def test_what_a_callout_does_to_the_selection(
    load: Load, probe: Probe, log: BridgeLog, action: str, skip: bool,
) -> None:
    chain = load(probe("A", select=action))
    configure(chain)
    log.lines()
    assert ask(chain).skip is skip
    faults = [line for line in log.lines() if line.startswith("HOOKS_CALLOUT_E")]
    reasons = {"throw": "the probe was asked to throw", "throw-int": "Unspecified exception"}
    assert len(faults) == (action in {"throw", "throw-int", "error"})
    if action in reasons:
        assert f"): {reasons[action]} (" in faults[0]


def test_the_server_and_the_key_are_the_configuration_s(load: Load, probe: Probe, log: BridgeLog) -> None:
    chain = load(probe("A"))
    configure(chain)
    ask(chain)
    ask(chain, None, 1)
    assert said(log, "server") == [
        "server 192.0.2.1 port:53 key config.key. 16", "server 2001:db8::2 port:5353 key none ",
    ]


def test_a_server_of_the_previous_configuration(load: Load, probe: Probe, log: BridgeLog) -> None:
    """Requests under way keep their servers and keys."""
    chain = load(probe("A"))
    configure(chain)
    assert chain.select_key is not None
    assert chain.select_key(SERVERS[0], HMAC) == Selection(HMAC)
    assert said(log, "server") == ["server 192.0.2.1 port:53 key config.key. 16"]


def test_a_null_key_means_unsigned(load: Load, probe: Probe) -> None:
    chain = load(probe("A", select="null-key"))
    assert ask(chain) == Selection(None)


def test_a_plain_key_signs_in_python(load: Load, probe: Probe) -> None:
    chain = load(probe("A", select="key=Other.Key.:bm90IHNlY3JldCE=:hmac-sha512:256"))
    key = ask(chain).key
    twin = HmacKey("other.key.", "hmac-sha512", b"not secret!", 256)
    assert isinstance(key, HmacKey)
    assert key.create_context().sign(bytes(12), 7, 8) == twin.create_context().sign(bytes(12), 7, 8)


def test_a_key_of_the_library_s_own_class_signs_and_verifies(load: Load, probe: Probe) -> None:
    chain = load(probe("A", select="own-key"))
    configure(chain)
    before = state(chain)
    key = ask(chain).key
    assert key is not None
    assert (key.name, key.algorithm) == ("own.", "hmac-sha256.")
    assert ask(chain).key is key
    message = bytes.fromhex("0000 2800 0000 0000 0000 0000")
    context = key.create_context()
    signed = context.sign(message, 0x1234, 0)
    assert signed[:12] == bytes.fromhex("1234 2800 0000 0000 0000 0001")
    assert len(signed) - len(message) <= context.length
    with pytest.raises(ReplyError, match="TSIG verification failed: FORMERR"):
        context.verify(bytes.fromhex("1234 a800 0000 0000 0000 0000"), None, 0)
    seen = state(chain)
    assert (seen["signs"], seen["verifies"]) == (before["signs"] + 1, before["verifies"] + 1)


def test_a_key_in_use_outlives_its_library(probe: Probe, log: BridgeLog) -> None:
    """The real server crashes here."""
    chain = load_chain([probe("A", select="own-key")], log)
    key = ask(chain).key
    assert key is not None
    context = key.create_context()
    chain.unload()
    del chain
    gc.collect()
    assert len(context.sign(bytes(12), 1, 0)) > 12
    assert len(key.create_context().sign(bytes(12), 1, 0)) > 12


@pytest.mark.parametrize("names", [("key", "context"), ("context", "key")])
def test_the_garbage_collector_takes_keys_and_contexts_in_any_order(
    probe: Probe, log: BridgeLog, names: tuple[str, str],
) -> None:
    """In a cycle it chooses the order; the library leaves memory after the last of them."""
    chain = load_chain([probe("A", select="own-key")], log)
    key = ask(chain).key
    assert key is not None
    context = key.create_context()
    context.sign(bytes(12), 1, 0)
    found = {"key": key, "context": context}
    cycle: list[object] = [found[name] for name in names]
    cycle.append(cycle)
    chain.unload()
    del chain, key, context, found, cycle
    gc.collect()


def test_what_another_thread_drops_is_freed_by_the_loop_s() -> None:
    shim = kea.shim()
    freed: list[int] = []

    def free(raw: object) -> None:
        freed.append(get_ident())
        shim.lib.kb_element_free(raw)

    held = [shim.own(shim.give(from_plain({"a": 1})), free)]
    thread = Thread(target=held.clear)
    thread.start()
    thread.join()
    assert freed == []
    hook_thread.run_posted()
    assert freed == [get_ident()]


# Keys across languages.

OTHER = """
    from pyd2.hooks import TsigKey
    key = TsigKey("python.key", "HMAC-SHA256", b"0123456789abcdef")
    def select_key(handle): handle.set_argument("tsig_key", key)
"""


def test_a_compiled_library_signs_with_a_python_key(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    chain = load(python_library(tmp_path, OTHER), probe("A", select="sign"))
    assert getattr(ask(chain).key, "name", None) == "python.key."
    lines = said(log, "server", "signed", "verified")
    assert lines[0] == "server 192.0.2.1 port:53 key python.key. 16"
    assert lines[1].startswith("signed python.key. 0 ANY TSIG hmac-sha256. ")
    assert lines[2].startswith("verified FORMERR length ")


OWN = """
    from pyd2.hooks import TsigKey
    inner = TsigKey("mine.", "HMAC-SHA256", b"0123456789abcdef")
    class Key:
        name, algorithm = inner.name, inner.algorithm
        def create_context(self): return inner.create_context()
    key = Key()
    def select_key(handle): handle.set_argument("tsig_key", key)
"""


def test_a_compiled_library_signs_with_python_code(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    chain = load(python_library(tmp_path, OWN), probe("A", select="sign"))
    first = ask(chain).key
    assert first is ask(chain).key
    lines = said(log, "server", "signed", "verified")
    assert lines[0] == "server 192.0.2.1 port:53 key mine. 0"
    assert lines[1].startswith("signed mine. 0 ANY TSIG hmac-sha256. ")
    assert lines[2].startswith("verified FORMERR length ")


def test_python_reads_and_keeps_a_compiled_library_s_key(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    reader = python_library(tmp_path, """
        kept = []
        def select_key(handle):
            key = handle.get_argument("tsig_key")
            kept.append(key)
            LOG.info(f"key {key.name} {key.algorithm} {key is kept[0]}")
            handle.set_argument("tsig_key", kept[0])
    """)
    chain = load(probe("A", select="own-key"), reader, probe("B"))
    before = state(chain)["signs"]
    for _ in range(2):
        key = ask(chain).key
        assert key is not None
        assert len(key.create_context().sign(bytes(12), 1, 0)) > 12
    assert said(log, "key") == ["key own. hmac-sha256. True"] * 2
    assert state(chain)["signs"] == before + 2


# d2_srv_configured.

def test_the_configuration_is_seen_in_kea_s_objects(load: Load, probe: Probe) -> None:
    entry = probe("A")
    what = two_servers()
    chain = load(entry)
    assert configure(chain, what._replace(hooks_libraries=(entry,))) == (True, "")
    seen = state(chain)
    assert (seen["servers"], seen["keys"], seen["port"]) == (2, 1, 53001)
    assert seen["libraries"] == [{"library": entry.library, "parameters": {"name": "A"}}]
    assert seen["command"] == {"command": "A-state", "arguments": {}}


def test_a_library_refuses_a_configuration(load: Load, probe: Probe, log: BridgeLog) -> None:
    chain = load(probe("A", configured="refuse"))
    assert configure(chain) == (False, "A refuses")
    assert ("DHCP_DDNS_CONFIGURED_CALLOUT_DROP", ("A refuses",)) in log.entries


def test_work_that_was_put_off_may_fail(load: Load, probe: Probe) -> None:
    chain = load(probe("A", configured="post-throw"))
    assert configure(chain) == (False, "Error initializing hooks: not ready after all")


# Commands.

def test_commands_of_compiled_and_python_libraries_are_listed(
    load: Load, probe: Probe, tmp_path: Path,
) -> None:
    python = python_library(tmp_path, "def own(handle): pass", load="handle.register_command('own-one', own)")
    chain = load(probe("B"), python, probe("A"))
    assert chain.commands() == ["A-state", "B-state", "own-one"]
    assert chain.has_command("A_state")
    assert not chain.has_command("C-state")
    chain.unload()
    assert chain.commands() == []


def test_command_processed_may_change_the_answer_in_place(load: Load, probe: Probe) -> None:
    answer = from_plain({"result": 0})
    chain = load(probe("A", command="change"))
    changed = chain.command_processed("x", None, answer)
    assert changed is not None
    assert changed.plain() == {"result": 0, "by": "A"}
    assert chain.command_processed("x", None, None) is None
    chain.unload()
    chain = load(probe("A", command="silence"))
    assert chain.command_processed("x", None, answer) is None

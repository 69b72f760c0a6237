"""What every chain of hook libraries does (contract, section 7)."""

from __future__ import annotations

import sys
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from pyd2.data.element import Element, from_plain
from pyd2.dns.tsig import HmacKey
from pyd2.hooks.hook_thread import hook_thread
from pyd2.messages import Severity
from pyd2.update.drive.server_choice import Selection

from .conftest import KEY, SERVER, ask, config, only_these_libraries, use

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Clock, Load, RecordingLog, Write

# Writes one line in each of its callouts: two standard ones' worth on every hook, one more from load.
TRACER = """
    me = log = None

    def load(handle):
        global me, log
        me, log = handle.get_parameter("name"), handle.log
        for hook in ("command_processed", "context_create", "context_destroy", "d2_srv_configured",
                     "select_key"):
            handle.register_callout(hook, lambda h: say(h, "second"))
        handle.register_command("trace-it", lambda h: say(h, "first"))
        handle.register_command("trace-it", lambda h: say(h, "second"))

    def say(handle, which):
        if which == "second":
            seen = handle.get_context("mine")
            assert handle.context_names() == ["mine"]
            handle.set_context("mine", seen + 1)
        else:
            handle.set_context("mine", len(handle.context_names()))
        shared = handle.get_argument("shared") if "shared" in handle.argument_names() else ""
        handle.set_argument("shared", shared + me)
        log.info(f"{handle.hook_name} {which} {handle.library_index} {shared} {handle.get_context('mine')}")

    def command_processed(handle): say(handle, "first")
    def context_create(handle): say(handle, "first")
    def context_destroy(handle): say(handle, "first")
    def d2_srv_configured(handle): say(handle, "first")
    def select_key(handle): say(handle, "first")
"""


@pytest.mark.parametrize("hook", ["select_key", "command_processed", "d2_srv_configured", "$trace_it"])
def test_order_sharing_and_privacy_hold_on_every_hook_point(
    load: Load, write: Write, log: RecordingLog, hook: str,
) -> None:
    """Library order, then order of registration; arguments are shared, contexts are each library's own."""
    chain = load(*(write(TRACER, {"name": name}) for name in "ABC"))
    log.said()
    use(chain, hook)
    shared, expected = "", []
    # Each first callout stores the number of values that its library has, each second one adds 1. The values
    # live from context_create to context_destroy: none in the beginning, one later on.
    for point, begins in (("context_create", 0), (hook, 1), ("context_destroy", 1)):
        if point == "$trace_it":
            shared = ""  # a command's use loses the arguments that context_create's callouts made up
        for index, name in enumerate("ABC", start=1):
            for which, seen in (("first", begins), ("second", begins + 1)):
                expected.append(f"{point} {which} {index} {shared} {seen}")
                shared += name
    assert log.said() == expected


def test_a_use_leaves_nothing_for_the_next(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def select_key(handle):
            assert handle.status == 0
            assert handle.context_names() == []
            assert handle.argument_names() == ["current_server", "tsig_key"]
            handle.set_context("seen", True)
            handle.set_argument("extra", True)
            handle.status = 2
    """))
    for _ in range(2):
        assert ask(chain).skip
    assert not [line for line in log.lines() if "HOOKS_CALLOUT" in line]


def test_without_callouts_nothing_is_asked(load: Load, write: Write) -> None:
    """Unused hook points cost the engine nothing, and context_create does not run for them."""
    chain = load(write("""
        def context_create(handle): raise RuntimeError
    """))
    answer, arguments = Element(1), Element({})
    assert chain.select_key is None
    assert chain.command_processed("x", arguments, answer) is answer
    assert chain.configured(config(), from_plain({})) == (True, "")
    assert chain.commands() == []
    assert not chain.has_command("x")


# Status and faults.

@pytest.mark.parametrize(
    ("status", "skip"), [("CONTINUE", False), ("SKIP", True), ("DROP", True), ("PARK", True)],
)
def test_each_status_of_select_key(load: Load, write: Write, status: str, skip: bool) -> None:
    chain = load(write(f"""
        from pyd2.hooks import Status
        def select_key(handle):
            handle.status = Status.{status}
    """))
    assert ask(chain).skip is skip


FAULTS = {
    "raise ValueError('no\\nluck')": "ValueError: no luck",
    "raise KeyError": "KeyError",
    "raise SystemExit(3)": "SystemExit: 3",
    "import asyncio; raise asyncio.CancelledError": "CancelledError",
    "handle.get_argument('nope')": "unable to find argument with name nope",
    "handle.get_context('nope')":
        "unable to find callout context item nope in the context associated with current library",
    "handle.status = 7": "7 is no status",
    "handle.set_argument('tsig_key', 'secret')":
        "unable to set argument tsig_key: a signing key or None is expected, not str",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_callout_that_raises_drops_and_the_next_still_run(
    load: Load, write: Write, log: RecordingLog, fault: str,
) -> None:
    bad = write(f"""
        def select_key(handle):
            {fault}
    """)
    line = 5
    after = write("""
        def load(handle):
            global log
            log = handle.log
        def select_key(handle):
            log.info(handle.status.name)
    """)
    chain = load(bad, after)
    log.lines()
    assert ask(chain).skip
    raised, said = log.lines()
    of_the_handle = FAULTS[fault].startswith("unable") or "status" in FAULTS[fault]
    place = "" if of_the_handle else f" ({bad.library}:{line})"
    assert raised == (
        "HOOKS_CALLOUT_EXCEPTION exception thrown by callout on hook select_key registered by library with "
        f"index 1 (callout address {bad.library}:{line - 1}): {FAULTS[fault]}{place} "
        "(callout duration: 0.000 ms)"
    )
    assert said.endswith(": DROP")


def test_a_later_callout_may_undo_the_drop_of_an_exception(load: Load, write: Write) -> None:
    chain = load(
        write("def select_key(handle): raise ValueError"),
        write("def select_key(handle): handle.status = 0"),
    )
    assert ask(chain) == Selection(KEY)


@pytest.mark.parametrize("fault", ["KeyboardInterrupt", "SystemExit(7)"])
def test_what_is_no_exception_is_treated_as_one(
    load: Load, write: Write, log: RecordingLog, fault: str,
) -> None:
    """Signals come by the loop: a library that raises these means nothing by it."""
    chain = load(write(f"""
        def load(handle): handle.register_command("c", select_key)
        def select_key(handle): raise {fault}
        d2_srv_configured = command_processed = context_create = context_destroy = select_key
        def unload(): raise {fault}
    """))
    assert ask(chain).skip
    assert chain.configured(config(), from_plain({})) == (False, "")
    assert chain.run_command("c", from_plain({"command": "c"})) is None
    assert chain.command_processed("c", None, None) is None
    chain.unload()
    ids = [line.split()[0] for line in log.lines(Severity.WARN)]
    # Each of the four uses: context_create, the point, context_destroy.
    assert ids.count("HOOKS_CALLOUT_EXCEPTION") == 12
    assert ids.count("HOOKS_UNLOAD_EXCEPTION") == 1


@pytest.mark.parametrize("value", ["1", "-1", "'0'", "True", "object()", "handle"])
def test_a_callout_that_returns_an_error_changes_nothing(
    load: Load, write: Write, log: RecordingLog, value: str,
) -> None:
    entry = write(f"""
        def select_key(handle):
            return {value}
    """)
    chain = load(entry)
    log.lines()
    assert not ask(chain).skip
    (line,) = log.lines()
    assert line == (
        "HOOKS_CALLOUT_ERROR error returned by callout on hook select_key registered by library with index 1 "
        f"(callout address {entry.library}:4) (callout duration 0.000 ms)"
    )


@pytest.mark.parametrize("value", ["0", "None", "False"])
def test_a_callout_that_returns_nothing_or_zero_is_good(
    load: Load, write: Write, log: RecordingLog, value: str,
) -> None:
    chain = load(write(f"def select_key(handle): return {value}"))
    log.lines()
    ask(chain)
    assert log.lines() == []


def test_a_fault_in_the_context_callouts_does_not_reach_the_point(
    load: Load, write: Write, log: RecordingLog,
) -> None:
    chain = load(write("""
        def context_create(handle): raise ValueError
        def context_destroy(handle): raise ValueError
        def select_key(handle): pass
    """))
    log.lines()
    assert not ask(chain).skip
    assert [line.split(" registered")[0] for line in log.lines()] == [
        "HOOKS_CALLOUT_EXCEPTION exception thrown by callout on hook context_create",
        "HOOKS_CALLOUT_EXCEPTION exception thrown by callout on hook context_destroy",
    ]


@only_these_libraries
def test_a_slow_callout_is_reported(load: Load, write: Write, log: RecordingLog, clock: Clock) -> None:
    entry = write("def select_key(handle): pass")
    chain = load(entry)
    log.lines()
    clock.steps = iter([0, 10_000_000])
    ask(chain)
    assert log.lines() == []
    clock.steps = iter([0, 1_254_000_000])
    ask(chain)
    (called,) = [arguments for name, arguments in log.entries if name == "HOOKS_CALLOUT_CALLED"]
    assert called == ("1", "select_key", f"{entry.library}:3", "1.25 s")
    (line,) = log.lines()
    assert line == (
        f"PYD2_HOOK_SLOW hooks library {entry.library} took 1254 ms in hook select_key; "
        "commands and other callouts waited meanwhile"
    )


# Handles.

def test_a_handle_ends_with_its_callout(load: Load, write: Write, log: RecordingLog) -> None:
    """Neither the library itself nor a later callout can use it."""
    chain = load(write("""
        kept = []

        def load(handle):
            global log
            log = handle.log
            handle.register_callout("select_key", second)

        def select_key(handle):
            kept.append(handle)

        def second(handle):
            for what in (lambda: kept[0].status, lambda: kept[0].get_argument("tsig_key"),
                         lambda: kept[0].set_argument("tsig_key", None),
                         lambda: setattr(kept[0], "status", 2),
                         lambda: kept[0].set_context("a", 1), lambda: kept[0].context_names(),
                         lambda: kept[0].argument_names(), lambda: kept[0].delete_context("a"),
                         lambda: kept[0].get_context("a")):
                try:
                    what()
                except Exception as error:
                    log.info(f"{type(error).__name__} {error}")
    """))
    log.said()
    assert not ask(chain).skip
    assert log.said() == [
        "HookError the handle of a callout on select_key was used after the callout ended",
    ] * 9


def test_a_library_may_forget_its_context(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def select_key(handle):
            handle.set_context("b", 1)
            handle.set_context("a", 2)
            assert handle.context_names() == ["a", "b"]
            handle.delete_context("a")
            handle.delete_context("never")
            assert handle.context_names() == ["b"]
    """))
    assert not ask(chain).skip


# select_key.

def test_select_key_sees_the_server_and_the_key(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def load(handle):
            global log
            log = handle.log
        def select_key(handle):
            server, key = handle.get_argument("current_server"), handle.get_argument("tsig_key")
            log.info(f"{server.address} {server.port} {key and key.name} {key and key.algorithm}")
    """))
    log.said()
    assert ask(chain).key is KEY
    assert ask(chain, None).key is None
    assert log.said() == ["192.0.2.1 53 config. hmac-sha256.", "192.0.2.1 53 None None"]


def test_a_key_that_one_library_sets_is_seen_by_the_next(load: Load, write: Write) -> None:
    chain = load(
        write("""
            from pyd2.hooks import TsigKey
            key = TsigKey("Other.Key", "hmac-sha512", "bm90IHNlY3JldCE=", 256)
            def select_key(handle): handle.set_argument("tsig_key", key)
        """),
        write("""
            def select_key(handle):
                assert handle.get_argument("tsig_key").name == "other.key."
                handle.set_argument("seen", 1)
        """),
    )
    selection = ask(chain)
    assert not selection.skip
    assert selection.key is not None
    assert (selection.key.name, selection.key.algorithm) == ("other.key.", "hmac-sha512.")
    own = HmacKey("other.key.", "hmac-sha512", b"not secret!", 256).create_context()
    message = bytes(12)
    assert selection.key.create_context().sign(message, 7, 1000) == own.sign(message, 7, 1000)


def test_null_key_means_unsigned(load: Load, write: Write) -> None:
    chain = load(write("def select_key(handle): handle.set_argument('tsig_key', None)"))
    assert ask(chain) == Selection(None)


def test_a_library_may_bring_its_own_signing(load: Load, write: Write) -> None:
    chain = load(write("""
        class Key:
            name, algorithm = "own.", "gss-tsig."
            def create_context(self): return None
        def select_key(handle): handle.set_argument("tsig_key", Key())
    """))
    selection = ask(chain)
    assert selection.key is not None
    assert selection.key.algorithm == "gss-tsig."


# d2_srv_configured.

def test_d2_srv_configured_gets_its_four_arguments(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def load(handle):
            global log
            log = handle.log
        def d2_srv_configured(handle):
            log.info(str([handle.get_argument(name) for name in ("io_context", "json_config", "error")]))
            log.info(str(handle.argument_names()))
            handle.get_argument("json_config")["port"] = 7
            log.info(str(handle.get_argument("json_config")))
            log.info(str(handle.get_argument("server_config").forward_domains[0].servers[0].address))
            handle.set_argument("error", "ignored without DROP")
    """))
    log.said()
    assert chain.configured(config(SERVER), from_plain({"port": 53001}), io_context="the loop") == (True, "")
    assert log.said() == [
        "['the loop', {'port': 53001}, '']",
        "['error', 'io_context', 'json_config', 'server_config']",
        "{'port': 53001}",
        "192.0.2.1",
    ]


@pytest.mark.parametrize("status", ["CONTINUE", "SKIP", "PARK"])
def test_other_statuses_refuse_no_configuration(load: Load, write: Write, status: str) -> None:
    chain = load(write(f"""
        from pyd2.hooks import Status
        def d2_srv_configured(handle):
            handle.set_argument("error", "no")
            handle.status = Status.{status}
    """))
    assert chain.configured(config(), from_plain({})) == (True, "")


@pytest.mark.parametrize(("body", "error"), [
    ("handle.set_argument('error', 'not today'); handle.status = 2", "not today"),
    ("handle.status = 2", ""),
    ("handle.set_argument('error', 'set before'); raise ValueError", "set before"),
    ("raise ValueError", ""),
])
def test_drop_refuses_a_configuration(
    load: Load, write: Write, log: RecordingLog, body: str, error: str,
) -> None:
    """The text is what was set, even by a callout that raised later; it may be empty."""
    chain = load(write(f"""
        def d2_srv_configured(handle):
            {body}
    """))
    log.lines()
    assert chain.configured(config(), from_plain({})) == (False, error)
    assert log.lines()[-1].startswith("DHCP_DDNS_CONFIGURED_CALLOUT_DROP ")
    assert log.lines() == []


def test_the_refusal_is_logged_with_its_text(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def d2_srv_configured(handle):
            handle.set_argument("error", "not today")
            handle.status = 2
    """))
    log.lines()
    chain.configured(config(), from_plain({}))
    assert ("DHCP_DDNS_CONFIGURED_CALLOUT_DROP", ("not today",)) in log.entries


# Commands.

HELLO = """
    def load(handle):
        handle.register_command("say-hello", hello)
    def hello(handle):
        assert handle.hook_name == "$say_hello"
        name = handle.get_argument("command")["arguments"]["name"]
        handle.set_argument("response", {"result": 0, "text": "hello " + name, "more": [1, 2.5, None, True]})
"""


def test_a_library_answers_its_command(load: Load, write: Write) -> None:
    chain = load(write(HELLO))
    assert chain.commands() == ["say-hello"]
    for name in ("say-hello", "say_hello"):
        assert chain.has_command(name)
        response = chain.run_command(name, from_plain({"command": name, "arguments": {"name": "Kea"}}))
        assert response is not None
        assert response.plain() == {"result": 0, "text": "hello Kea", "more": [1, 2.5, None, True]}
    assert not chain.has_command("say-hell")
    assert not chain.has_command("config-get")


def test_commands_are_listed_once_and_sorted(load: Load, write: Write) -> None:
    several = """
        def load(handle):
            for name in handle.get_parameters():
                handle.register_command(name, lambda handle: None)
    """
    chain = load(write(several, ["version-get", "b_c", "a"]), write(several, ["b-c", "z"]))
    assert chain.commands() == ["a", "b-c", "version-get", "z"]


def test_all_libraries_of_a_command_run_in_order(load: Load, write: Write) -> None:
    text = """
        def load(handle):
            global me
            me = handle.index
            handle.register_command("count", count)
        def count(handle):
            handle.set_argument("response", [*(handle.get_argument("response") or []), me])
    """
    response = load(write(text), write(text)).run_command("count", from_plain({"command": "count"}))
    assert response is not None
    assert response.plain() == [1, 2]


@pytest.mark.parametrize("body", [
    "pass", "handle.set_argument('response', {}); handle.set_argument('response', None)", "raise ValueError",
    "handle.set_argument('response', object())", "handle.set_argument('response', float('nan'))",
])
def test_a_command_without_response_has_no_answer(load: Load, write: Write, body: str) -> None:
    chain = load(write(f"""
        def load(handle):
            handle.register_command("quiet", quiet)
        def quiet(handle):
            {body}
    """))
    assert chain.run_command("quiet", from_plain({"command": "quiet"})) is None


def test_a_response_stays_when_the_callout_raises_later(load: Load, write: Write) -> None:
    chain = load(write("""
        def load(handle):
            handle.register_command("c", c)
        def c(handle):
            handle.set_argument("response", {"result": 0})
            handle.status = 2
            raise ValueError
    """))
    response = chain.run_command("c", from_plain({"command": "c"}))
    assert response is not None
    assert response.plain() == {"result": 0}


def test_command_processed_sees_and_replaces_the_answer(load: Load, write: Write, log: RecordingLog) -> None:
    chain = load(write("""
        def load(handle):
            global log
            log = handle.log
        def command_processed(handle):
            log.info(" ".join(str(handle.get_argument(name)) for name in ("name", "arguments", "response")))
            handle.set_argument("response", {"result": 0, "text": "changed"})
            handle.status = 2
    """))
    log.said()
    for arguments in (None, from_plain({"a": 1})):
        response = chain.command_processed("make-coffee", arguments, from_plain({"result": 2}))
        assert response is not None
        assert response.plain() == {"result": 0, "text": "changed"}
    assert chain.command_processed("x", None, None) == from_plain({"result": 0, "text": "changed"})
    assert log.said() == [
        "make-coffee None {'result': 2}", "make-coffee {'a': 1} {'result': 2}", "x None None",
    ]


def test_command_processed_leaves_an_answer_alone(load: Load, write: Write) -> None:
    """Positions and all."""
    chain = load(write("def command_processed(handle): handle.get_argument('response')['x'] = 1"))
    answer = from_plain({"result": 0})
    assert chain.command_processed("x", None, answer) == answer
    assert answer.plain() == {"result": 0}


# Registration.

@pytest.mark.parametrize("call", [
    "handle.register_callout('select_key', f)", "handle.register_command('c', f)",
    "handle.deregister_callout('select_key', f)", "handle.deregister_all_callouts('select_key')",
])
def test_registration_ends_with_load(load: Load, write: Write, log: RecordingLog, call: str) -> None:
    chain = load(write(f"""
        def load(h):
            global handle
            handle = h
        def f(handle): pass
        def select_key(unused):
            {call}
    """))
    log.lines()
    assert ask(chain).skip
    assert "callouts can be registered and deregistered only while load runs" in log.lines()[0]


def test_load_may_deregister(load: Load, write: Write, log: RecordingLog) -> None:
    entry = write("""
        def load(handle):
            assert handle.deregister_callout("select_key", select_key)
            assert not handle.deregister_callout("select_key", select_key)
            for _ in range(2):
                handle.register_callout("context_create", select_key)
            assert handle.deregister_all_callouts("context_create")
            assert not handle.deregister_all_callouts("context_create")
            handle.register_callout("select_key", good)
        def select_key(handle): raise ValueError
        def good(handle): pass
    """)
    chain = load(write("def select_key(handle): pass"), entry)
    assert ("HOOKS_CALLOUT_DEREGISTERED", ("2", "select_key")) in log.entries
    assert ("HOOKS_ALL_CALLOUTS_DEREGISTERED", ("2", "context_create")) in log.entries
    assert not ask(chain).skip


def test_parameters(load: Load, write: Write, log: RecordingLog) -> None:
    text = """
        def load(handle):
            handle.log.info(f"{handle.index} {handle.get_parameters()} {handle.parameter_names()} "
                            f"{handle.get_parameter('a')} {handle.get_parameter('x', 5)}")
            if handle.get_parameters():
                handle.get_parameters()["a"] = 7
                assert handle.get_parameter("a") == {"b": 1}
    """
    load(write(text, {"z": None, "a": {"b": 1}}), write(text, {}), write(text))
    assert log.said() == [
        "1 {'z': None, 'a': {'b': 1}} ['a', 'z'] {'b': 1} 5", "2 {} [] None 5", "3 None [] None 5",
    ]


def test_the_library_writes_into_the_servers_log(load: Load, write: Write, log: RecordingLog) -> None:
    entry = write("""
        def load(handle):
            for level in ("error", "warn", "info", "debug"):
                getattr(handle.log, level)("at " + level)
        def context_create(handle): pass
    """)
    load(entry)
    lines = [line for line in log.lines() if "PYD2" in line]
    assert lines == [
        f"PYD2_HOOK_MESSAGE_{level.upper()} hooks library {entry.library}: at {level}"
        for level in ("error", "warn", "info")
    ]


@only_these_libraries
def test_a_text_of_several_lines_is_one_line_of_the_log(load: Load, write: Write, log: RecordingLog) -> None:
    """What follows a line break would look like a message of its own."""
    chain = load(write("""
        text = "one\\ntwo\\r\\n2026-11-28 FATAL three"
        def load(handle): handle.log.warn(text)
        def select_key(handle): raise ValueError(text)
        def unload(): raise ValueError(text)
    """))
    ask(chain)
    chain.unload()
    lines = [line for line in log.lines(Severity.WARN) if "three" in line]
    assert [line.split()[0] for line in lines] == [
        "PYD2_HOOK_MESSAGE_WARN", "HOOKS_CALLOUT_EXCEPTION", "PYD2_HOOK_EXCEPTION",
    ]
    assert all("one two 2026-11-28 FATAL three" in line for line in lines)


@pytest.mark.parametrize("load", ["python"], indirect=True)
def test_a_reason_of_several_lines_is_one_line(load: Load, write: Write, log: RecordingLog) -> None:
    """Byte for byte it goes only where a library compiled for Kea is in the list."""
    chain = load(write("""
        def d2_srv_configured(handle):
            handle.set_argument("error", "one\\ntwo")
            handle.status = 2
    """))
    assert chain.configured(config(), from_plain({})) == (False, "one two")
    assert log.lines()[-1].endswith(": one two")


def test_a_callable_object_may_resist_questions(load: Load, write: Write, log: RecordingLog) -> None:
    """What a message needs to know of a callout is asked once, while the library loads."""
    chain = load(write("""
        class Callout:
            asked = 0
            def __call__(self, handle): raise ValueError("no")
            def __getattr__(self, name):
                if loaded: raise SystemExit
                raise AttributeError
        loaded = False
        select_key = Callout()
        def load(handle):
            global loaded
            loaded = True
    """))
    log.lines()
    assert ask(chain).skip
    assert "Callout): ValueError: no" in log.lines()[0]


# Unloading.

def test_unloading_empties_the_chain(load: Load, write: Write) -> None:
    chain = load(write(TRACER, {"name": "A"}))
    select_key = chain.select_key
    assert select_key is not None
    chain.unload()
    assert chain.select_key is None
    assert chain.commands() == []
    assert not chain.has_command("trace-it")
    assert select_key(SERVER, KEY) == Selection(KEY)
    chain.unload()


@only_these_libraries
def test_unload_runs_in_reverse_and_faults_do_not_stop_it(
    load: Load, write: Write, log: RecordingLog, tmp_path: Path,
) -> None:
    text = """
        from pyd2.hooks import HookError
        def unload():
            ENDING
    """
    chain = load(*(write(text.replace("ENDING", ending)) for ending in (
        "return 0", "return 3", "raise ValueError('no')", "raise HookError('never')", "raise SystemExit(1)",
    )))
    log.lines()
    chain.unload()
    assert [line.replace(f"{tmp_path}/", "") for line in log.lines()] == [
        "HOOKS_UNLOAD_EXCEPTION 'unload' function in hook library lib5.py threw an exception",
        "PYD2_HOOK_EXCEPTION hooks library lib5.py: SystemExit: 1 (lib5.py:6)",
        ("HOOKS_UNLOAD_FRAMEWORK_EXCEPTION 'unload' function in hook library lib4.py threw an exception, "
         "reason never"),
        "HOOKS_UNLOAD_EXCEPTION 'unload' function in hook library lib3.py threw an exception",
        "PYD2_HOOK_EXCEPTION hooks library lib3.py: ValueError: no (lib3.py:6)",
        "HOOKS_UNLOAD_ERROR 'unload' function in hook library lib2.py returned error 3",
        *(f"HOOKS_LIBRARY_CLOSED hooks library lib{n}.py successfully closed" for n in (5, 4, 3, 2, 1)),
    ]


def test_what_another_thread_has_dropped_ends_before_its_library_goes(
    load: Load, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(sys, "ends", ends, raising=False)
    chain = load(write("import sys\ndef unload(): sys.ends.append('unload')"))
    dropping = Thread(target=hook_thread.run, args=(ends.append, "dropped"))
    dropping.start()
    dropping.join()
    assert ends == []
    chain.unload()
    assert ends == ["dropped", "unload"]

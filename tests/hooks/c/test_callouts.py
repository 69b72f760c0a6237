"""What callouts in C see and do, alone and between callouts in Python; on every chain."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import TsigKey
from pyd2.data.element import Element, Plain, from_plain
from pyd2.hooks.c import api, handles
from pyd2.hooks.c.handles import RefusedError, calls
from pyd2.update.drive.server_choice import Selection
from tests.hooks.conftest import KEY, SERVER, ask, config, only_these_libraries, use

from .conftest import with_counters

if TYPE_CHECKING:

    from tests.hooks.conftest import Clock, Load, RecordingLog, Write

    from .conftest import Counters, WriteC

SECRET = b"0123456789abcdef"
CONFIGURED = TsigKey("config.", "HMAC-SHA256", 0, SECRET, None, None, None)


# The same library twice: two callouts on every hook, which pass a text on and count in the library's context.

TRACER_PY = """
    me = log = None

    def load(handle):
        global me, log
        me, log = handle.get_parameter("name"), handle.log
        for hook in ("command_processed", "context_create", "context_destroy", "d2_srv_configured",
                     "select_key"):
            handle.register_callout(hook, lambda h: say(h, "first"))
            handle.register_callout(hook, lambda h: say(h, "second"))
        handle.register_command("trace-it", lambda h: say(h, "first"))
        handle.register_command("trace-it", lambda h: say(h, "second"))

    def say(handle, which):
        shared = handle.get_argument("shared") if "shared" in handle.argument_names() else ""
        handle.set_argument("shared", shared + me)
        seen = handle.get_context("mine") + 1 if "mine" in handle.context_names() else 1
        handle.set_context("mine", seen)
        log.info(f"{handle.hook_name} {which} {me} {shared} {seen}")
"""

TRACER_C = """
    struct tracer { pyd2_hook_library *library; char name[8]; int *counters; };

    static void forget(void *value) { --**(int **)value; free(value); }

    static int trace(pyd2_hook_callout *callout, struct tracer *me, const char *which)
    {
        pyd2_hook_text shared = { "", 0 }, hook;
        struct { int *alive; int seen; } *mine;
        void *kept;
        char line[256], more[256];
        api->argument_text(callout, T("shared"), &shared);
        snprintf(more, sizeof more, "%.*s%s", TEXT_ARGUMENTS(shared), me->name);
        if (api->context(callout, T("mine"), &kept) == PYD2_HOOK_OK)
            mine = kept;
        else {
            mine = malloc(sizeof *mine);
            mine->alive = me->counters;
            mine->seen = 0;
            ++*mine->alive;
            if (api->set_context(callout, T("mine"), mine, forget) != PYD2_HOOK_OK)
                return 1;
        }
        ++mine->seen;
        if (api->hook_name(callout, &hook) != PYD2_HOOK_OK)
            return 2;
        snprintf(line, sizeof line, "%.*s %s %s %.*s %d", TEXT_ARGUMENTS(hook), which, me->name,
                 TEXT_ARGUMENTS(shared), mine->seen);
        api->log(me->library, PYD2_HOOK_INFO, T(line));
        return api->set_argument_text(callout, T("shared"), T(more));
    }

    static int first(pyd2_hook_callout *callout, void *me) { return trace(callout, me, "first"); }
    static int second(pyd2_hook_callout *callout, void *me) { return trace(callout, me, "second"); }

    static int start(void)
    {
        static const char *const hooks[] = {
            "command_processed", "context_create", "context_destroy", "d2_srv_configured", "select_key" };
        const pyd2_hook_json *parameters;
        pyd2_hook_text name;
        struct tracer *me = malloc(sizeof *me);  /* for as long as the process lives */
        size_t i;
        api->parameters(self, &parameters);
        api->json_text(parameters, T("/name"), &name);
        memcpy(me->name, name.data, name.length + 1);
        me->library = self;
        me->counters = counters();
        for (i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
            if (api->register_callout(self, T(hooks[i]), first, me) != PYD2_HOOK_OK
                || api->register_callout(self, T(hooks[i]), second, me) != PYD2_HOOK_OK)
                return 1;
        return api->register_command(self, T("trace-it"), first, me)
             | api->register_command(self, T("trace-it"), second, me);
    }
"""


@pytest.mark.parametrize("hook", ["select_key", "command_processed", "d2_srv_configured", "$trace_it"])
def test_order_sharing_and_privacy_in_a_mixed_chain(
    load: Load, write: Write, write_c: WriteC, log: RecordingLog, counters: Counters, hook: str,
) -> None:
    """C, Python, C, Python, C: library order, then order of registration; values are each library's own.

    The values in C are destroyed with the use, each once.
    """
    make = {"c": lambda name: write_c(TRACER_C, with_counters(counters, name=name)),
            "py": lambda name: write(TRACER_PY, {"name": name})}
    chain = load(*(make[kind](name) for kind, name in zip(("c", "py", "c", "py", "c"), "ABCDE", strict=True)))
    log.said()
    for _ in range(2):
        use(chain, hook)
        shared, expected = "", []
        for number, point in enumerate(("context_create", hook, "context_destroy")):
            if point.startswith("$"):
                shared = ""  # Kea begins the arguments of a command afresh
            for name in "ABCDE":
                for seen, which in enumerate(("first", "second"), start=1):
                    expected.append(f"{point} {which} {name} {shared} {2 * number + seen}")
                    shared += name
        assert log.said() == expected
        assert counters[0] == 0


# Status.


@pytest.mark.parametrize("status", range(4))
def test_the_status_goes_through_the_chain(
    load: Load, write: Write, write_c: WriteC, log: RecordingLog, status: int,
) -> None:
    """From Python to C and back; each sees what the one before has left."""
    chain = load(
        write(f"def select_key(handle): handle.status = {status}"),
        write_c("""
            static int callout(pyd2_hook_callout *callout, void *user)
            {
                int status = 77;
                (void)user;
                outcome("read", api->status(callout, &status));
                say("was %d", status);
                outcome("above", api->set_status(callout, 4));
                outcome("below", api->set_status(callout, -1));
                return api->set_status(callout, 3 - status);
            }
            static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
        """),
        write("""
            def load(handle):
                global log
                log = handle.log
            def select_key(handle): log.info(int(handle.status))
        """),
    )
    log.said()
    assert ask(chain).skip is (status != 3)
    assert log.said() == [
        "read 0 ", f"was {status}", "above -1 that is no status", "below -1 that is no status",
        str(3 - status),
    ]


def test_a_callout_that_returns_an_error_changes_nothing(
    load: Load, write_c: WriteC, log: RecordingLog,
) -> None:
    entry = write_c("""
        PYD2_HOOK_EXPORT int visible_callout(pyd2_hook_callout *callout, void *user);
        int visible_callout(pyd2_hook_callout *callout, void *user) { (void)callout; (void)user; return -3; }
        static int start(void)
        {
            return api->register_callout(self, T("select_key"), visible_callout, NULL);
        }
    """)
    chain = load(entry)
    log.lines()
    assert ask(chain) == Selection(KEY)
    (line,) = log.lines()
    assert line == (
        "HOOKS_CALLOUT_ERROR error returned by callout on hook select_key registered by library with index 1 "
        f"(callout address {entry.library}:visible_callout) (callout duration 0.000 ms)"
    )


@only_these_libraries
def test_a_slow_callout_is_reported(load: Load, write_c: WriteC, log: RecordingLog, clock: Clock) -> None:
    entry = write_c("""
        static int callout(pyd2_hook_callout *callout, void *user) { (void)callout; (void)user; return 0; }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """)
    chain = load(entry)
    log.lines()
    clock.steps = iter([0, 25_000_000])
    ask(chain)
    assert log.lines() == [
        (f"PYD2_HOOK_SLOW hooks library {entry.library} took 25 ms in hook select_key; "
         "commands and other callouts waited meanwhile"),
    ]


# Handles.


STALE = """
    static pyd2_hook_callout *old_callout;
    static const pyd2_hook_server *old_server;
    static const pyd2_hook_key *old_key;
    static const pyd2_hook_json *old_json;
    static int callout(pyd2_hook_callout *callout, void *user)
    {
        pyd2_hook_text text = { "unchanged", 9 };
        const pyd2_hook_server *server = NULL;
        const pyd2_hook_key *key = NULL;
        uint16_t port = 7;
        int status = 7;
        void *value;
        (void)user;
        if (old_callout != NULL) {
            outcome("hook_name", api->hook_name(old_callout, &text));
            outcome("status", api->status(old_callout, &status));
            outcome("set_status", api->set_status(old_callout, 1));
            outcome("argument_json", api->argument_json(old_callout, T("a"), &old_json));
            outcome("argument_text", api->argument_text(old_callout, T("a"), &text));
            outcome("set_argument_json", api->set_argument_json(old_callout, T("a"), T("1")));
            outcome("set_argument_text", api->set_argument_text(old_callout, T("a"), T("1")));
            outcome("current_server", api->current_server(old_callout, &server));
            outcome("tsig_key", api->tsig_key(old_callout, &key));
            outcome("set_tsig_key", api->set_tsig_key(old_callout, NULL));
            outcome("set_context", api->set_context(old_callout, T("a"), &status, free));
            outcome("context", api->context(old_callout, T("a"), &value));
            outcome("delete_context", api->delete_context(old_callout, T("a")));
            outcome("server_address", api->server_address(old_server, &text));
            outcome("server_port", api->server_port(old_server, &port));
            outcome("server_key_name", api->server_key_name(old_server, &text));
            outcome("key_name", api->key_name(old_key, &text));
            outcome("key_algorithm", api->key_algorithm(old_key, &text));
            outcome("the key", api->set_tsig_key(callout, old_key));
            outcome("another kind", api->key_name((const pyd2_hook_key *)callout, &text));
            outcome("an address", api->status((pyd2_hook_callout *)(void *)&status, &status));
            outcome("not its own", api->key_release(self, (pyd2_hook_key *)(uintptr_t)old_key));
            outcome("a timer", api->timer_cancel(self, (pyd2_hook_timer *)callout));
            say("%s %d %d", text.data, status, (int)port);
        }
        old_callout = callout;
        return api->current_server(callout, &old_server) | api->tsig_key(callout, &old_key)
             | api->key_name(old_key, &text);
    }
    static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
"""


def test_what_is_used_after_its_end_is_an_error_and_nothing_else(
    load: Load, write_c: WriteC, log: RecordingLog,
) -> None:
    chain = load(write_c(STALE))
    log.lines()
    assert ask(chain) == Selection(KEY)
    assert log.lines() == []
    assert ask(chain) == Selection(KEY)
    said = log.said()
    over = "it has ended, or it never was one"
    assert said[:13] == [f"{name} -2 there is no such callout: {over}" for name in (
        "hook_name", "status", "set_status", "argument_json", "argument_text", "set_argument_json",
        "set_argument_text", "current_server", "tsig_key", "set_tsig_key", "set_context", "context",
        "delete_context",
    )]
    assert said[13:16] == [
        f"{name} -2 there is no such server: its callout has ended, or it never was one"
        for name in ("server_address", "server_port", "server_key_name")
    ]
    assert said[16:] == [
        f"key_name -2 there is no such key: {over}", f"key_algorithm -2 there is no such key: {over}",
        f"the key -2 there is no such key: {over}", f"another kind -2 there is no such key: {over}",
        f"an address -2 there is no such callout: {over}",
        "not its own -2 this library has no such key, or released it",
        "a timer -2 this library has no such timer, or it has ended",
        "unchanged 7 7",
    ]


def test_null_pointers_are_errors(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            pyd2_hook_text broken = { NULL, 1 }, empty = { NULL, 0 }, text;
            const pyd2_hook_json *json;
            void *value;
            (void)user;
            outcome("out", api->hook_name(callout, NULL));
            outcome("out", api->status(callout, NULL));
            outcome("out", api->current_server(callout, NULL));
            outcome("out", api->tsig_key(callout, NULL));
            outcome("out", api->context(callout, T("a"), NULL));
            outcome("out", api->argument_json(callout, T("a"), NULL));
            outcome("out", api->json_quote(T("a"), NULL));
            outcome("name", api->argument_text(callout, broken, &text));
            outcome("text", api->set_argument_text(callout, T("a"), broken));
            outcome("json", api->set_argument_json(callout, T("a"), empty));
            outcome("handle", api->hook_name(NULL, &text));
            outcome("handle", api->json_print(NULL, empty, &text));
            outcome("empty", api->argument_json(callout, empty, &json));
            outcome("empty", api->context(callout, empty, &value));
            return api->set_context(callout, empty, NULL, NULL) | api->context(callout, T(""), &value)
                 | api->delete_context(callout, T(NULL));
        }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """))
    log.said()
    ask(chain)
    assert log.said() == [
        "out -1 name is a null pointer", "out -1 status is a null pointer", "out -1 server is a null pointer",
        "out -1 key is a null pointer", "out -1 value is a null pointer", "out -1 json is a null pointer",
        "out -1 quoted is a null pointer", "name -1 name has a length but no data",
        "text -1 text has a length but no data", "json -1 nothing read",
        "handle -2 there is no such callout: it has ended, or it never was one",
        "handle -2 there is no such JSON value: it has ended, or it never was one",
        "empty -4 unable to find argument with name ",
        ("empty -4 unable to find callout context item  in the context associated with current library"),
    ]
    assert not [message for message, _ in log.entries if message == "HOOKS_CALLOUT_ERROR"]


def test_other_threads_are_sent_away(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    """While the server waits for them in the callout, too."""
    chain = load(write_c("""
        #include <pthread.h>
        static char text[128];
        static int codes[4];
        static void *elsewhere(void *callout)
        {
            pyd2_hook_text name;
            int status;
            codes[0] = api->log(self, PYD2_HOOK_INFO, T("never"));
            codes[1] = api->status(callout, &status);
            codes[2] = api->hook_name(callout, &name);
            codes[3] = api->set_tsig_key(callout, NULL);
            snprintf(text, sizeof text, "%s", api->last_error());
            return NULL;
        }
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            pthread_t thread;
            (void)user;
            api->set_status(callout, 9);
            if (pthread_create(&thread, NULL, elsewhere, callout) != 0 || pthread_join(thread, NULL) != 0)
                return 1;
            say("%d %d %d %d %s", codes[0], codes[1], codes[2], codes[3], text);
            say("%s", api->last_error());
            return 0;
        }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """))
    log.said()
    assert ask(chain) == Selection(KEY)
    assert log.said() == [
        "-3 -3 -3 -3 pyd2's functions may be called on the hook thread only", "that is no status",
    ]


def test_outside_of_a_call_nothing_is_lent() -> None:
    """A fault of pyd2's own code: the object would stay for ever."""
    for lend in (lambda: handles.JSON.lend(Element(1)), lambda: calls.lend_text(None, "text")):
        with pytest.raises(RefusedError, match="nothing can be lent outside of a call"):
            lend()
    assert Element(1) not in handles.JSON.objects.values()


# Values that are kept in a use.


def test_values_are_destroyed_once(
    load: Load, write_c: WriteC, log: RecordingLog, counters: Counters,
) -> None:
    """When replaced, when deleted, when the use ends; also if a callout after it raises."""
    chain = load(write_c("""
        static void count(void *counter) { ++*(int *)counter; }
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            int *n = counters(), i;
            void *value;
            (void)user;
            for (i = 0; i < 3; i++)
                if (api->set_context(callout, T("a"), n + i, count) != PYD2_HOOK_OK)
                    return 1;
            if (api->context(callout, T("a"), &value) != PYD2_HOOK_OK || value != n + 2)
                return 2;
            say("%d %d %d", n[0], n[1], n[2]);
            if (api->set_context(callout, T("b"), n + 3, count) != PYD2_HOOK_OK
                || api->delete_context(callout, T("b")) != PYD2_HOOK_OK)
                return 3;
            say("%d", n[3]);
            outcome("again", api->delete_context(callout, T("b")));
            return 0;
        }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """, with_counters(counters)))
    log.said()
    ask(chain)
    assert log.said() == [
        "1 1 0", "1",
        "again -4 unable to find callout context item b in the context associated with current library",
    ]
    assert counters[:4] == [1, 1, 1, 1]


def test_a_callout_that_raises_does_not_keep_values_alive(
    load: Load, write: Write, write_c: WriteC, counters: Counters,
) -> None:
    chain = load(
        write_c("""
            static void count(void *counter) { ++*(int *)counter; }
            static int callout(pyd2_hook_callout *callout, void *user)
            {
                (void)user;
                return api->set_context(callout, T("a"), counters(), count);
            }
            static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
        """, with_counters(counters)),
        write("def select_key(handle): raise ValueError"),
    )
    for times in range(1, 4):
        ask(chain)
        assert counters[0] == times


# Servers.


def test_the_server(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            const pyd2_hook_server *server;
            pyd2_hook_text address, key;
            uint16_t port;
            (void)user;
            if (api->current_server(callout, &server) != PYD2_HOOK_OK
                || api->server_address(server, &address) != PYD2_HOOK_OK
                || api->server_port(server, &port) != PYD2_HOOK_OK
                || api->server_key_name(server, &key) != PYD2_HOOK_OK)
                return 1;
            say("%s %d '%s' %d", address.data, port, key.data, pyd2_hook_equal(address, "192.0.2.1"));
            return 0;
        }
        static int elsewhere(pyd2_hook_callout *callout, void *user)
        {
            const pyd2_hook_server *server;
            const pyd2_hook_key *key;
            (void)user;
            outcome("server", api->current_server(callout, &server));
            outcome("key", api->tsig_key(callout, &key));
            outcome("set", api->set_tsig_key(callout, NULL));
            return 0;
        }
        static int start(void)
        {
            return api->register_callout(self, T("select_key"), callout, NULL)
                 | api->register_callout(self, T("command_processed"), elsewhere, NULL);
        }
    """))
    log.said()
    servers = [SERVER, SERVER._replace(address=ip_address("2001:db8::1"), port=5353, key=CONFIGURED)]
    chain.configured(config(*servers), from_plain({}))
    assert chain.select_key is not None
    for server in (*servers, *servers):
        chain.select_key(server, None)
    assert log.said() == ["192.0.2.1 53 '' 1", "2001:db8::1 5353 'config.' 0"] * 2
    chain.command_processed("x", None, Element(1))
    assert log.said() == [
        "server -4 this hook point has no current_server", "key -4 this hook point has no tsig_key",
        "set -4 this hook point has no tsig_key",
    ]


# Arguments and JSON.

READER = """
    static int callout(pyd2_hook_callout *callout, void *user)
    {
        static const char *const pointers[] = {
            "", "/arguments", "/arguments/list/0", "/arguments/list/3", "/arguments/list/01",
            "/arguments/list/-1", "/arguments/a~1b~0c", "/arguments/text", "/arguments/real",
            "/arguments/flag", "/arguments/big",
            "/arguments/none", "/nope", "arguments", "/~2", "/arguments/text/x" };
        const pyd2_hook_json *json;
        pyd2_hook_text text;
        int64_t integer;
        double real;
        int type, flag;
        size_t i, count;
        (void)user;
        if (api->argument_json(callout, T("command"), &json) != PYD2_HOOK_OK)
            return 1;
        for (i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
            pyd2_hook_text pointer = T(pointers[i]);
            int code = api->json_type(json, pointer, &type);
            char line[512];
            if (code != PYD2_HOOK_OK) {
                say("%s: %d %s", pointers[i], code, api->last_error());
                continue;
            }
            snprintf(line, sizeof line, "%s: type %d", pointers[i], type);
            if (api->json_text(json, pointer, &text) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " text %zu", text.length);
            if (api->json_integer(json, pointer, &integer) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " integer %" PRId64, integer);
            if (api->json_real(json, pointer, &real) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " real %g", real);
            if (api->json_boolean(json, pointer, &flag) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " flag %d", flag);
            if (api->json_count(json, pointer, &count) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " count %zu", count);
            if (api->json_name(json, pointer, 1, &text) == PYD2_HOOK_OK)
                snprintf(line + strlen(line), 100, " second %s", text.data);
            say("%s", line);
        }
        outcome("type", api->json_integer(json, T("/arguments/text"), &integer));
        outcome("member", api->json_name(json, T("/arguments/list"), 0, &text));
        outcome("member", api->json_name(json, T("/arguments"), 99, &text));
        if (api->json_print(json, T("/arguments/list"), &text) != PYD2_HOOK_OK)
            return 2;
        say("%s", text.data);
        return api->set_argument_json(callout, T("response"), text);
    }
    static int start(void) { return api->register_command(self, T("read-it"), callout, NULL); }
"""


def test_json_is_read_by_pointers(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    chain = load(write_c(READER))
    log.said()
    arguments: Plain = {"list": [-5, True, "x"], "a/b~c": 1, "text": "caf\udce9\0", "real": 2.5, "flag": True,
                        "big": 10**30, "none": None}
    response = chain.run_command("read-it", from_plain({"command": "read-it", "arguments": arguments}))
    assert log.said() == [
        ": type 6 count 2 second command",
        "/arguments: type 6 count 7 second big",
        "/arguments/list/0: type 2 integer -5 real -5",
        "/arguments/list/3: -4 there is no /arguments/list/3",
        "/arguments/list/01: -4 there is no /arguments/list/01",
        "/arguments/list/-1: -4 there is no /arguments/list/-1",
        "/arguments/a~1b~0c: type 2 integer 1 real 1",
        "/arguments/text: type 4 text 5",
        "/arguments/real: type 3 real 2.5",
        "/arguments/flag: type 1 flag 1",
        "/arguments/big: type 2 real 1e+30",
        "/arguments/none: type 0",
        "/nope: -4 there is no /nope",
        "arguments: -1 arguments is no JSON pointer",
        "/~2: -1 /~2 is no JSON pointer",
        "/arguments/text/x: -4 there is no /arguments/text/x",
        "type -5 integer is expected, not string",
        "member -5 map is expected, not list",
        "member -4 the map has 7 members",
        '[ -5, true, "x" ]',
    ]
    assert response is not None
    assert response.plain() == [-5, True, "x"]


def test_arguments_of_every_form(load: Load, write: Write, write_c: WriteC, log: RecordingLog) -> None:
    """C to Python and Python to C; each form in its own kind, names that callouts made up in any."""
    chain = load(
        write("""
            def command_processed(handle):
                handle.set_argument("number", 7)
                handle.set_argument("text", "from Python")
                handle.set_argument("object", object())
        """),
        write_c("""
            static int callout(pyd2_hook_callout *callout, void *user)
            {
                const pyd2_hook_json *json;
                pyd2_hook_text text, odd = { "a\\0b", 3 };
                int64_t number = 0;
                (void)user;
                outcome("name", api->argument_text(callout, T("name"), &text));
                say("%s", text.data);
                outcome("name as JSON", api->argument_json(callout, T("name"), &json));
                outcome("arguments as text", api->argument_text(callout, T("arguments"), &text));
                outcome("arguments", api->argument_json(callout, T("arguments"), &json));
                outcome("print", api->json_print(json, T(""), &text));
                say("%s", text.data);
                outcome("number", api->argument_json(callout, T("number"), &json));
                outcome("integer", api->json_integer(json, T(""), &number));
                outcome("text", api->argument_text(callout, T("text"), &text));
                say("%s %d", text.data, (int)number);
                outcome("object", api->argument_json(callout, T("object"), &json));
                outcome("absent", api->argument_json(callout, T("absent"), &json));
                outcome("response", api->set_argument_json(callout, T("response"), T("{\\"result\\": 0}")));
                outcome("response", api->set_argument_json(callout, T("response"), T("{\\"result\\": ")));
                outcome("name", api->set_argument_json(callout, T("name"), T("[1]")));
                outcome("quote", api->json_quote(odd, &text));
                say("%s", text.data);
                return api->set_argument_text(callout, T("shared"), odd)
                     | api->set_argument_json(callout, T("tree"), T("{\\"a\\": [1]}"));
            }
            static int start(void)
            {
                return api->register_callout(self, T("command_processed"), callout, NULL);
            }
        """),
        write("""
            def load(handle):
                global log
                log = handle.log
            def command_processed(handle):
                log.info([handle.get_argument(name) for name in ("shared", "tree", "response")])
        """),
    )
    log.said()
    response = chain.command_processed("x-y", None, Element("old"))
    said = log.said()
    assert said[:13] == [
        "name 0 ", "x-y",
        "name as JSON -5 argument name is no JSON value but str",
        said[3], "arguments 0 ", "print 0 ", "null",
        "number 0 ", "integer 0 ", "text 0 ", "from Python 7",
        "object -5 argument object is no JSON value but object",
        said[12],
    ]
    assert said[3].startswith("arguments as text -5 argument arguments is no text but ")
    assert said[12].startswith("absent -4 ")
    assert said[13:] == [
        "response 0 ", said[14], "name -5 unable to set argument name: a str is expected, not list",
        "quote 0 ", '"a\\u0000b"', "['a\\x00b', {'a': [1]}, {'result': 0}]",
    ]
    assert said[14].startswith("response -1 ")
    assert response is not None
    assert response.plain() == {"result": 0}


def test_a_command_without_a_response(load: Load, write_c: WriteC) -> None:
    """JSON's null is none: no answer is sent."""
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            (void)user;
            return api->set_argument_json(callout, T("response"), T("{}"))
                 | api->set_argument_json(callout, T("response"), T("null"));
        }
        static int start(void) { return api->register_command(self, T("be-silent"), callout, NULL); }
    """))
    assert chain.commands() == ["be-silent"]
    assert chain.run_command("be_silent", from_plain({"command": "be-silent"})) is None


def test_a_library_refuses_a_configuration(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            const pyd2_hook_json *json;
            pyd2_hook_text text;
            (void)user;
            if (api->argument_json(callout, T("json_config"), &json) != PYD2_HOOK_OK
                || api->json_print(json, T("/port"), &text) != PYD2_HOOK_OK)
                return 1;
            say("port %s", text.data);
            outcome("object", api->argument_json(callout, T("server_config"), &json));
            return api->set_argument_text(callout, T("error"), T("not on that port"))
                 | api->set_status(callout, PYD2_HOOK_DROP);
        }
        static int start(void)
        {
            return api->register_callout(self, T("d2_srv_configured"), callout, NULL);
        }
    """))
    log.said()
    assert chain.configured(config(SERVER), from_plain({"port": 53001})) == (False, "not on that port")
    assert log.said() == ["port 53001", "object -5 argument server_config is no JSON value but Config"]


def test_a_fault_of_the_server_passes_through_a_library(
    load: Load, write_c: WriteC, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C sees an error code; the exception of Python continues behind it. So does a fault of pyd2's own."""
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            pyd2_hook_text quoted;
            (void)callout; (void)user;
            return api->json_quote(T("x"), &quoted) == PYD2_HOOK_E_INTERNAL ? 0 : 1;
        }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """))
    log.lines()

    def fail(error: BaseException) -> None:
        def to_text(_element: object) -> str:
            raise error
        monkeypatch.setattr(api, "to_text", to_text)

    for error in (ZeroDivisionError("a fault"), KeyboardInterrupt("a fault")):
        fail(error)
        assert ask(chain).skip
        assert f"{type(error).__name__}: a fault" in log.lines()[0]

"""The hook points http_auth and http_response, in the chain that needs no Kea."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Element, Plain, from_plain
from pyd2.errors import HookError
from pyd2.hooks.python_chain import PythonChain
from pyd2.hooks.testing import callout_handle, http_request
from tests.kit.c_libraries import PRELUDE, ROOT, compile_text

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import RecordingLog, Write

REQUEST: dict[str, Plain] = {
    "method": "POST",
    "path": "/",
    "version": "1.1",
    "headers": {"host": "localhost"},
    "body": {"command": "config-get", "remote-address": "192.0.2.7"},
    "remote-address": "192.0.2.7",
    "user": "admin",
    "tls": True,
}
REFUSAL: dict[str, Plain] = {
    "status": 401,
    "headers": {"WWW-Authenticate": "Basic"},
    "body": {"result": 401, "text": "Unauthorized"},
}
ANSWER: dict[str, Plain] = {"status": 200, "headers": {}, "body": [{"result": 0}]}


def element(value: Plain) -> Element:
    return from_plain(value)


def chain_of(log: RecordingLog, *entries: HookLibrary) -> PythonChain:
    return PythonChain(entries, log)


def exchange(
    chain: PythonChain, refusal: Plain = None, request: dict[str, Plain] = REQUEST
) -> tuple[Plain, Plain, Plain]:
    """Return the request and the response after http_auth, and the response after http_response."""
    use = chain.http_use()
    assert use is not None
    given: Element | None = None if refusal is None else element(refusal)
    seen, response = use.auth(element(request), given)
    answer = use.response(seen, element(ANSWER))
    use.end()
    return seen.plain(), None if response is None else response.plain(), answer.plain()


def test_without_a_callout_there_is_nothing_to_do(log: RecordingLog, write: Write) -> None:
    assert chain_of(log, write("def context_create(handle): raise RuntimeError")).http_use() is None


TRACER = """
    def load(handle):
        global log
        log = handle.log
    def say(handle):
        seen = {name: handle.get_argument(name) for name in handle.argument_names()}
        mine = handle.context_names()
        handle.set_context(handle.hook_name, 1)
        log.info(f"{handle.hook_name} {seen} {mine} {handle.status.name}")
    def context_create(handle): say(handle)
    def context_destroy(handle): say(handle)
    def http_auth(handle):
        say(handle)
        handle.set_argument("made-up", 5)
        handle.status = handle.status.__class__(%d)
    def http_response(handle): say(handle)
"""


@pytest.mark.parametrize("status", [0, 1])
def test_one_use_serves_both_points_unless_a_callout_ends_it(
    log: RecordingLog, write: Write, status: int
) -> None:
    """What http_auth makes up as an argument does not stay; what a library keeps for itself does."""
    chain = chain_of(log, write(TRACER % status))
    assert exchange(chain, REFUSAL) == (REQUEST, REFUSAL, ANSWER)
    both = ["context_create", "http_auth"]
    between = (
        []
        if status == 0
        else [
            f"context_destroy {{}} {both} SKIP",
            "context_create {} [] CONTINUE",
        ]
    )
    kept = both if status == 0 else ["context_create"]
    first = {"request": REQUEST, "response": REFUSAL}
    second = {"request": REQUEST, "response": ANSWER}
    said = log.said()
    assert [line.split(" {")[0] for line in said] == [
        "context_create",
        "http_auth",
        *(line.split(" ")[0] for line in between),
        "http_response",
        "context_destroy",
    ]
    assert said[1].startswith("http_auth {'request': {'method': 'POST', ")
    assert said[1] == f"http_auth {first} ['context_create'] CONTINUE"
    assert said[-2] == f"http_response {second} {kept} CONTINUE"
    assert said[-1] == f"context_destroy {{}} {sorted([*kept, 'http_response'])} CONTINUE"


def test_a_callout_may_refuse_let_in_and_change(log: RecordingLog, write: Write) -> None:
    chain = chain_of(
        log,
        write("""
        def http_auth(handle):
            request = handle.get_argument("request")
            if handle.get_argument("response") is None:
                handle.set_argument("response", {"status": 403, "body": "no"})
            else:
                handle.set_argument("response", None)
            request["body"]["command"] = "version-get"
            handle.set_argument("request", request)
        def http_response(handle):
            response = handle.get_argument("response")
            response["headers"]["X-Seen"] = "yes"
            response["body"][0]["text"] = handle.get_argument("request")["body"]["command"]
            handle.set_argument("response", response)
    """),
    )
    request, response, answer = exchange(chain)
    assert isinstance(request, dict)
    assert request["body"] == {"command": "version-get", "remote-address": "192.0.2.7"}
    assert response == {"status": 403, "headers": {}, "body": "no"}
    assert answer == {
        "status": 200,
        "headers": {"X-Seen": "yes"},
        "body": [{"result": 0, "text": "version-get"}],
    }
    assert exchange(chain, REFUSAL)[1] is None


def test_a_response_that_is_taken_away_stays(log: RecordingLog, write: Write) -> None:
    chain = chain_of(log, write("def http_response(handle): handle.set_argument('response', None)"))
    assert exchange(chain)[2] == ANSWER


def test_after_the_unload_no_callout_runs(log: RecordingLog, write: Write) -> None:
    chain = chain_of(
        log,
        write("""
        def context_destroy(handle): raise RuntimeError
        def http_auth(handle): pass
        def http_response(handle): raise RuntimeError
    """),
    )
    use = chain.http_use()
    assert use is not None
    use.auth(element(REQUEST), None)
    over = [use.over]
    chain.unload()
    assert [*over, use.over] == [False, True]
    log.lines()
    assert use.response(element(REQUEST), element(ANSWER)).plain() == ANSWER
    use.end()
    assert log.lines() == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("no", "an HTTP response is a dict, not str"),
        ({"status": 200}, "an HTTP response has a status and a body"),
        (
            {"status": 200, "body": 1, "more": 1},
            "an HTTP response has no member more; it has status, headers, body",
        ),
        ({"status": "200", "body": 1}, "the member status of an HTTP response must be a int"),
        (
            {"status": True, "body": 1},
            "True is no status of an HTTP response: 200 to 599, and neither 204 nor 304",
        ),
        (
            {"status": 100, "body": 1},
            "100 is no status of an HTTP response: 200 to 599, and neither 204 nor 304",
        ),
        (
            {"status": 204, "body": 1},
            "204 is no status of an HTTP response: 200 to 599, and neither 204 nor 304",
        ),
        ({"status": 200, "body": 1, "headers": []}, "the member headers of an HTTP response must be a dict"),
        ({"status": 200, "body": 1, "headers": {"X Y": "z"}}, "'X Y' is no name of an HTTP header"),
        (
            {"status": 200, "body": 1, "headers": {"X": 1}},
            "the HTTP header X must be a str without control characters",
        ),
        (
            {"status": 200, "body": 1, "headers": {"X": "a\r\nY: b"}},
            "the HTTP header X must be a str without control characters",
        ),
        (
            {"status": 200, "body": 1, "headers": {"content-Length": "1"}},
            "the server sets the HTTP header content-Length itself",
        ),
        ({"status": 200, "body": {1: 2}}, "the keys of a JSON map must be str, not int"),
    ],
)
def test_responses_that_cannot_be_sent_are_refused_where_they_are_set(response: object, reason: str) -> None:
    handle = callout_handle("http_auth", request=REQUEST)
    with pytest.raises(HookError) as caught:
        handle.set_argument("response", response)
    assert str(caught.value) == f"unable to set argument response: {reason}"


@pytest.mark.parametrize(
    ("request_map", "reason"),
    [
        (None, "an HTTP request is a dict, not NoneType"),
        (
            {"body": {}},
            (
                "the HTTP request lacks method, path, version, headers, remote-address, user, tls: change "
                "what get_argument returns"
            ),
        ),
        (REQUEST | {"tls": 1}, "the member tls of an HTTP request must be a bool"),
    ],
)
def test_requests_that_are_none_are_refused(request_map: object, reason: str) -> None:
    handle = callout_handle("http_auth", request=REQUEST)
    with pytest.raises(HookError) as caught:
        handle.set_argument("request", request_map)
    assert str(caught.value) == f"unable to set argument request: {reason}"


def test_a_request_for_tests_of_libraries() -> None:
    request = http_request({"command": "x"}, {"X-Token": "t"}, user="admin", remote_address="::1")
    handle = callout_handle("http_auth", request=request)
    assert handle.get_argument("request") == {
        "method": "POST",
        "path": "/",
        "version": "1.1",
        "headers": {"x-token": "t"},
        "body": {"command": "x"},
        "remote-address": "::1",
        "user": "admin",
        "tls": False,
    }
    assert handle.get_argument("response") is None
    with pytest.raises(HookError, match="has no member usr"):
        callout_handle("http_auth", request=http_request({}, usr="admin"))


def test_a_library_in_c_reads_and_sets_them_as_json(log: RecordingLog, tmp_path: Path) -> None:
    path = compile_text(
        PRELUDE
        + """
        static int http_auth(pyd2_hook_callout *callout, void *user)
        {
            const pyd2_hook_json *request, *response;
            pyd2_hook_text path, name;
            int type;
            (void)user;
            if (api->argument_json(callout, T("request"), &request) != PYD2_HOOK_OK
                || api->argument_json(callout, T("response"), &response) != PYD2_HOOK_OK
                || api->json_text(request, T("/path"), &path) != PYD2_HOOK_OK
                || api->json_text(request, T("/user"), &name) != PYD2_HOOK_OK
                || api->json_type(response, T(""), &type) != PYD2_HOOK_OK)
                return 1;
            if (type != PYD2_HOOK_JSON_NULL || !pyd2_hook_equal(path, "/") || !pyd2_hook_equal(name, "admin"))
                return 2;
            if (api->set_argument_json(callout, T("response"), T("{ \\"status\\": 99, \\"body\\": 1 }"))
                != PYD2_HOOK_E_TYPE)
                return 3;
            return api->set_argument_json(callout, T("response"), T("{ \\"status\\": 403, \\"body\\": [] }"));
        }
        static int start(void) { return api->register_callout(self, T("http_auth"), http_auth, NULL); }
    """,
        tmp_path / "auth.so",
    )
    chain = chain_of(log, HookLibrary(str(path), None))
    assert exchange(chain)[1] == {"status": 403, "headers": {}, "body": []}
    assert not [line for line in log.lines() if "CALLOUT" in line]
    chain.unload()


def test_the_library_in_c_that_the_docs_show(log: RecordingLog, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "hooks-compiled.md").read_text()
    section = guide.partition("\n## Requests over HTTP\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"^```c\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    chain = chain_of(log, HookLibrary(str(compile_text(text, tmp_path / "guide.so")), None))
    _, let_in, answer = exchange(chain)
    assert let_in is None
    assert answer == ANSWER | {"headers": {"Cache-Control": "no-store"}}
    _, refusal, _ = exchange(chain, request=REQUEST | {"tls": False})
    assert refusal == {"status": 403, "headers": {}, "body": {"text": "Forbidden"}}
    assert not [line for line in log.lines() if "CALLOUT" in line]
    chain.unload()
    header = (ROOT / "cbridge" / "include" / "pyd2_hook.h").read_text()
    (shown,) = re.findall(r"refuses the request by\n(.*?;)\n", header, re.DOTALL)
    assert " ".join(shown.replace("*", "").split()) in " ".join(text.split())  # what ran is what it shows

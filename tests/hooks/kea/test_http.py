"""Compiled libraries at the hook points of requests over HTTP, which Kea has since 3.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Plain, from_plain
from pyd2.errors import BridgeError
from tests.kit import kea

from .conftest import SOURCES, BridgeLog, Compile, Load
from .test_compiled import python_library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyd2.hooks.interface import Chain

    Http = Callable[..., HookLibrary]

REQUEST: dict[str, Plain] = {
    "method": "POST", "path": "/d2", "version": "1.1",
    "headers": {"content-length": "55", "content-type": "application/json", "host": "localhost"},
    "body": {"command": "config-get", "remote-address": "192.0.2.7"},
    "remote-address": "192.0.2.7", "user": "admin", "tls": True,
}
REFUSAL: dict[str, Plain] = {
    "status": 401, "headers": {"WWW-Authenticate": "Basic"}, "body": {"result": 401, "text": "Unauthorized"},
}
ANSWER: dict[str, Plain] = {"status": 200, "headers": {"X-One": "1"}, "body": [{"result": 0}]}
SEEN = ('1 /d2 1 application/json 192.0.2.7 tls 1 user \'\' '
        '{ "command": "config-get", "remote-address": "192.0.2.7" }')


@pytest.fixture
def http(compile_library: Compile) -> Http:
    library = compile_library(SOURCES / "http.cc", "-lkea-http")

    def entry(**parameters: Plain) -> HookLibrary:
        return HookLibrary(str(library), from_plain(parameters))

    return entry


def exchange(chain: Chain, refusal: dict[str, Plain] | None = None) -> tuple[Any, Any, Any]:
    """Return request and response after http_auth, and the response after http_response."""
    use = chain.http_use()
    assert use is not None
    request, response = use.auth(from_plain(REQUEST), None if refusal is None else from_plain(refusal))
    answer = None if response is not None else use.response(request, from_plain(ANSWER))
    use.end()
    return (request.plain(), None if response is None else response.plain(),
            None if answer is None else answer.plain())


def said(log: BridgeLog) -> list[str]:
    return [line.removeprefix("PROBE_HTTP ") for line in log.lines() if line.startswith("PROBE_HTTP")]


def test_both_points_share_a_use(load: Load, http: Http, log: BridgeLog) -> None:
    chain = load(http())
    said(log)
    assert exchange(chain) == (REQUEST, None, ANSWER)
    assert said(log) == [
        "hook: context_create", f"http_auth: {SEEN}, response none",
        f'http_response: {SEEN}, response 200 [ {{ "result": 0 }} ], seen 1', "hook: context_destroy",
    ]


def test_a_status_ends_the_use_between_them(load: Load, http: Http, log: BridgeLog) -> None:
    chain = load(http(auth="skip"))
    assert exchange(chain) == (REQUEST, None, ANSWER)
    lines = said(log)
    assert [line.partition(":")[0] if "http" in line else line.split()[-1] for line in lines] == [
        "load", "context_create", "http_auth", "context_destroy", "context_create", "http_response",
        "context_destroy",
    ]
    assert lines[-2].endswith(", seen 0")


def test_a_refusal_is_seen_and_may_be_lifted(load: Load, http: Http, log: BridgeLog) -> None:
    assert exchange(load(http()), REFUSAL) == (REQUEST, REFUSAL, None)
    text = '401 { "result": 401, "text": "Unauthorized" }'
    assert f"http_auth: {SEEN}, response {text}" in said(log)
    assert exchange(load(http(auth="let-in")), REFUSAL) == (REQUEST, None, ANSWER)


@pytest.mark.parametrize("how", ["refuse", "own-class"])
def test_a_response_that_http_auth_sets_is_sent(load: Load, http: Http, log: BridgeLog, how: str) -> None:
    _, response, _ = exchange(load(http(auth=how)))
    assert response == {"status": 403, "headers": {}, "body": {"result": 403, "text": "Forbidden"}}
    assert ("response: of its own class ends" in said(log)) is (how == "own-class")


def test_the_command_may_be_changed(load: Load, http: Http) -> None:
    request, _, _ = exchange(load(http(auth="body")))
    assert request == REQUEST | {"body": {"command": "version-get"}}


@pytest.mark.parametrize(("how", "expected"), [
    ("change", ANSWER | {"body": [{"result": 0, "text": "changed"}]}),
    ("replace", {"status": 202, "headers": {"X-Own": "yes"}, "body": {"result": 0, "text": "replaced"}}),
    ("none", ANSWER),
])
def test_the_response_may_be_changed(load: Load, http: Http, how: str, expected: dict[str, Plain]) -> None:
    assert exchange(load(http(response=how)))[2] == expected


def test_without_a_callout_there_is_nothing_to_do(load: Load, probe: Callable[..., HookLibrary]) -> None:
    assert load(probe("A")).http_use() is None


READER = """
    def http_auth(handle):
        request = handle.get_argument("request")
        LOG.info(f"{request['user']} {request['body']['command']} {handle.get_argument('response')}")
        request["user"] = "other"
        request["body"] = {"command": "list-commands"}
        handle.set_argument("request", request)
        handle.set_argument("response", RESPONSE)
    def http_response(handle):
        response = handle.get_argument("response")
        LOG.info(f"{response} {handle.get_argument('request')['user']}")
        response["headers"]["X-Python"] = "here"
        handle.set_argument("response", response)
"""


def test_python_between_compiled_libraries(
    load: Load, http: Http, log: BridgeLog, tmp_path: Path,
) -> None:
    """Each sees what the one before it left."""
    reader = python_library(tmp_path, READER.replace("RESPONSE", "None"))
    chain = load(http(response="change"), reader)
    said(log)
    request, response, answer = exchange(chain, REFUSAL)
    assert request == REQUEST | {"user": "other", "body": {"command": "list-commands"}}
    assert response is None
    assert answer == ANSWER | {
        "headers": {"X-One": "1", "X-Python": "here"}, "body": [{"result": 0, "text": "changed"}]}
    lines = [line.rpartition(".py: ")[2] for line in log.lines() if line.startswith("PYD2_HOOK_MESSAGE")]
    assert lines[0] == f"admin config-get {dict(sorted(REFUSAL.items()))}"
    assert lines[1].endswith(" other")


def test_a_status_that_kea_does_not_know(load: Load, http: Http, log: BridgeLog, tmp_path: Path) -> None:
    text = {"status": 429, "headers": {"Retry-After": "5"}, "body": {"result": 429}}
    chain = load(python_library(tmp_path, READER.replace("RESPONSE", repr(text))), http())
    assert exchange(chain)[1] == text
    assert any("response 429" in line for line in said(log))


def test_a_request_that_python_spoils_stays(
    load: Load, http: Http, log: BridgeLog, tmp_path: Path,
) -> None:
    """Kea's class wants its content type; the callout fails."""
    chain = load(http(), python_library(tmp_path, """
        def http_auth(handle):
            request = handle.get_argument("request")
            request["headers"] = {}
            handle.set_argument("request", request)
    """))
    request, _, _ = exchange(chain)
    assert request["body"] == REQUEST["body"]
    assert any("HOOKS_CALLOUT_EXCEPTION" in line for line in log.lines())


def test_an_unload_ends_the_use_before_the_libraries_go(http: Http, log: BridgeLog) -> None:
    """A command over HTTP may reload them."""
    chain = kea.load_chain([http(auth="own-class")], log)
    use = chain.http_use()
    assert use is not None
    use.auth(from_plain(REQUEST), None)
    before = use.over
    chain.unload()
    assert (before, use.over) == (False, True)
    assert said(log)[-2:] == ["response: of its own class ends", "hook: context_destroy"]
    use.end()


def test_a_map_that_is_no_request() -> None:
    shim = kea.shim()
    assert not shim.lib.kb_http_begin(shim.element(from_plain({"method": "POST"})))
    with pytest.raises(BridgeError):
        raise shim.error()

"""The HTTP control sockets in the global user-context, and what a socket shows by GET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.redact import redact
from pyd2.config.sockets.own_sockets import (
    AUTHENTICATION_KEYS,
    CLIENT_KEYS,
    SOCKET_KEYS,
    parse_own_sockets,
)
from pyd2.config.switches import PageSwitches
from pyd2.data.element import Position, from_plain
from pyd2.data.text import to_text
from pyd2.errors import ConfigError
from pyd2.profiles import kea_3_0_grammar

if TYPE_CHECKING:
    from pyd2.config.model import HttpSocket

HERE = Position("f", 2, 3)
CLIENT = {"user": "u", "password": "hidden-Word"}


def read_secret(path: str) -> str:
    raise ConfigError(f"cannot read {path}")


def parse(http: Any) -> tuple[HttpSocket, ...]:
    return parse_own_sockets(from_plain({"pyd2": {"http": http}}, HERE), read_secret)


def test_there_are_none_without_the_switch() -> None:
    assert parse_own_sockets(None, read_secret) == ()
    assert parse_own_sockets(from_plain({"pyd2": {}}), read_secret) == ()
    assert parse([]) == ()


def test_an_entry_is_that_of_kea_3_0() -> None:
    first, second = parse(
        [
            {"socket-address": "192.0.2.1", "socket-port": 8080, "authentication": {"clients": [CLIENT]}},
            {"user-context": {"pyd2": {"metrics": True, "web-hosts": ["D2.Example.com"]}}},
        ]
    )
    assert (str(first.address), first.port, first.pages) == ("192.0.2.1", 8080, PageSwitches())
    assert first.authentication is not None
    assert [client.password for client in first.authentication.clients] == ["hidden-Word"]
    assert (str(second.address), second.port) == ("127.0.0.1", 8000)
    assert second.pages == PageSwitches(metrics=True, web_hosts=("d2.example.com",))


@pytest.mark.parametrize("web", [False, True, "operate"])
def test_the_web_page_is_a_switch(web: bool | str) -> None:
    (socket,) = parse([{"user-context": {"pyd2": {"web": web}}}])
    assert socket.pages == PageSwitches(web=web)
    assert socket.pages.any == bool(web)


def test_the_keys_are_those_of_the_grammar() -> None:
    assert kea_3_0_grammar.CONTROL_SOCKET.keys.keys() - {"socket-name"} == SOCKET_KEYS
    assert kea_3_0_grammar.AUTHENTICATION.keys.keys() == AUTHENTICATION_KEYS
    assert kea_3_0_grammar.CLIENT.keys.keys() == CLIENT_KEYS


@pytest.mark.parametrize(
    ("http", "text"),
    [
        ({}, "invalid type specified for parameter 'http' (f:2:3)"),
        ([1], "an entry of http must be a map (f:2:3)"),
        ([{"socket-name": "x"}], "unknown parameter 'socket-name' in http map (f:2:3)"),
        ([{"socket-type": "unix"}], "unsupported 'socket-type': 'unix' not 'http' or 'https' (f:2:3)"),
        ([{"socket-type": "https"}], "no TLS setup for a HTTPS control socket (f:2:3)"),
        ([{"socket-port": 70000}], "out of range value 70000 specified for parameter 'socket-port' (f:2:3)"),
        ([{"authentication": 1}], "an entry of authentication must be a map (f:2:3)"),
        ([{"authentication": {"client": []}}], "unknown parameter 'client' in authentication map (f:2:3)"),
        (
            [{"authentication": {"clients": [{"user": "u", "pasword": "x"}]}}],
            "unknown parameter 'pasword' in clients map (f:2:3)",
        ),
        ([{"user-context": {"pyd2": {"metric": True}}}], "unknown parameter 'metric' in pyd2 map (f:2:3)"),
        (
            [{"user-context": {"pyd2": {"metrics": 1}}}],
            "invalid type specified for parameter 'metrics' (f:2:3)",
        ),
        ([{"user-context": {"pyd2": {"web": 1}}}], "invalid type specified for parameter 'web' (f:2:3)"),
        (
            [{"user-context": {"pyd2": {"web": "read"}}}],
            "invalid value 'read' specified for parameter 'web', expected false or true or operate (f:2:3)",
        ),
        (
            [{"user-context": {"pyd2": {"web-hosts": "x"}}}],
            "invalid type specified for parameter 'web-hosts' (f:2:3)",
        ),
        (
            [{"user-context": {"pyd2": {"web-hosts": [1]}}}],
            "invalid type specified for parameter 'web-hosts' (f:2:3)",
        ),
    ],
)
def test_a_fault_has_its_place(http: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(http)
    assert str(caught.value) == text


def test_the_secrets_are_hidden() -> None:
    context: Any = {"other": "hidden-Word-2", "pyd2": {"http": [{"authentication": {"clients": [CLIENT]}}]}}
    shown = to_text(redact(from_plain({"user-context": context})))
    assert '"hidden-Word"' not in shown
    assert "hidden-Word-2" in shown  # as in Kea, the rest of a user-context is not changed

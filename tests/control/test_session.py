"""A connection's bytes: in pieces, broken, too long, timed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.control.executor import CommandExecutor
from pyd2.control.framing import MAX_REQUEST
from pyd2.control.session import UnixSession
from tests.control.fakes import Channel, FakeHooks, Lines

if TYPE_CHECKING:
    from pyd2.data.element import Element


@pytest.fixture
def channel() -> Channel:
    return Channel()


def test_a_request_in_pieces_is_answered_when_it_is_whole(channel: Channel) -> None:
    session = channel.session()
    assert session.receive(b'# hello\n{ "command"') is None
    assert session.size == 11
    assert session.receive(b": /* what */ ") is None
    assert channel.log.lines == []
    answer = session.receive(b'"statistic-reset-all" } { "command": "shutdown" }')
    assert answer == b'{ "result": 0, "text": "All statistics reset to neutral values." }'
    assert channel.log.ids() == ["COMMAND_RECEIVED"]
    assert channel.server.done == []


@pytest.mark.parametrize(
    ("request_bytes", "answer", "logged"),
    [
        (
            b"\xff",
            rb'{ "result": 1, "text": "invalid first character \u00ff" }',
            "invalid first character \udcff",
        ),
        (
            b"{x}",
            b'{ "result": 1, "text": "String expected in <wire>:0:2" }',
            "String expected in <wire>:0:2",
        ),
        (
            b'{ "command": "list-commands", }',
            b'{ "result": 1, "text": "String expected in <wire>:0:31" }',
            "String expected in <wire>:0:31",
        ),
        (
            b'{ # comment\n"a" 5}',
            b'{ "result": 1, "text": "\'5\' read, one of \\":\\" expected in <wire>:1:6" }',
            "'5' read, one of \":\" expected in <wire>:1:6",
        ),
    ],
)
def test_what_is_no_json(channel: Channel, request_bytes: bytes, answer: bytes, logged: str) -> None:
    assert channel.exchange(request_bytes) == answer
    assert channel.log.lines == [("COMMAND_PROCESS_ERROR1", f"Error while processing command: {logged}")]


def test_a_request_that_is_too_long(channel: Channel) -> None:
    answer = channel.exchange(b"[" + b" " * MAX_REQUEST)
    assert answer == f'{{ "result": 1, "text": "request is longer than {MAX_REQUEST} bytes" }}'.encode()
    assert channel.log.lines == [
        (
            "PYD2_CONTROL_REQUEST_TOO_LARGE",
            f"refused a request of more than {MAX_REQUEST} bytes over command socket 15",
        )
    ]


def test_a_request_with_too_many_values(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.control.executor.MAX_VALUES", 1000)
    most = 1000 - 3  # the request, the command and the list are values too
    whole = b'{"command":"statistic-reset-all","arguments":[' + b",".join([b"0"] * most) + b"]}"
    assert channel.exchange(whole) == b'{ "result": 0, "text": "All statistics reset to neutral values." }'
    channel.log.take()
    answer = channel.exchange(whole[:-2] + b",0]}")
    assert answer == b'{ "result": 1, "text": "request holds more than 1000 values" }'
    assert channel.log.lines == [
        (
            "PYD2_CONTROL_REQUEST_TOO_MANY_VALUES",
            "refused a request of more than 1000 values over command socket 15",
        )
    ]


def test_no_answer(channel: Channel) -> None:
    channel.registry.hooks = FakeHooks(silent=None)
    assert channel.session().receive(b'{"command":"silent"}') == b""
    assert channel.log.lines[-1] == (
        "COMMAND_RESPONSE_ERROR",
        'Server failed to generate response for command: { "command": "silent" }',
    )


def test_time_out() -> None:
    def process(_: Element) -> Element:
        raise AssertionError("no command came")

    log = Lines()
    session = UnixSession(CommandExecutor(process, log), log, 15)
    text = b'{ "result": 1, "text": "Connection over control channel timed out%s" }'
    assert session.timed_out() == text % b""
    session.receive(b" # only a comment")
    assert session.timed_out() == text % b""
    session.receive(b'\n{ "command": ')
    assert session.timed_out() == text % b", discarded partial command of 13 bytes"


@pytest.mark.parametrize("request_bytes", [b'{ "command": "version-get" }', b"x", b'{ "command": 5 }', None])
def test_the_log_is_complete_before_the_answer(channel: Channel, request_bytes: bytes | None) -> None:
    written: list[list[str]] = []
    log = channel.log
    session = channel.session(lambda: written.append(log.ids()))
    if request_bytes is None:
        assert session.timed_out()
    else:
        assert session.receive(b" ") is None
        assert written == []
        assert session.receive(request_bytes)
        assert log.ids()
    assert written == [log.ids()]

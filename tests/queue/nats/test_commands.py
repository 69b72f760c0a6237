"""What a client of NATS sends: the forms of the protocol, and nothing that would break it."""

from __future__ import annotations

import pytest

from pyd2.queue.nats import commands


def test_the_forms() -> None:
    assert commands.connect({"verbose": False}) == b'CONNECT {"verbose":false}\r\n'
    assert commands.subscribe("a.*", 7) == b"SUB a.* 7\r\n"
    assert commands.unsubscribe(7) == b"UNSUB 7\r\n"
    assert commands.publish("a.b", b"\r\nx") == b"PUB a.b 3\r\n\r\nx\r\n"
    assert commands.publish("a.b", b"", reply="c.d") == b"PUB a.b c.d 0\r\n\r\n"
    header = commands.write_header({"A": "b"})
    assert header == b"NATS/1.0\r\nA: b\r\n\r\n"
    sent = commands.publish("a", b"xy", reply="c", header=header)
    assert sent == b"HPUB a c 18 20\r\n" + header + b"xy\r\n"


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPING", "ä", "a\t"])
def test_a_subject_cannot_bring_a_command_of_its_own(subject: str) -> None:
    with pytest.raises(ValueError, match="cannot be a subject"):
        commands.publish(subject, b"")
    with pytest.raises(ValueError, match="cannot be a subject"):
        commands.subscribe(subject, 1)


@pytest.mark.parametrize(("name", "value"), [
    ("", "a"), ("a:", "b"), ("a b", "c"), ("a", "b\r\nc: d"), ("a", "ä"),
])
def test_a_header_field_cannot_bring_another_one(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be in a header"):
        commands.write_header({name: value})

"""The servers of NATS as a configuration names them."""

from __future__ import annotations

import pytest

from pyd2.config.nats.servers import AddressError, Server, read_server


@pytest.mark.parametrize(("url", "server"), [
    ("tls://q1.example.com:4333", Server("q1.example.com", 4333, tls=True)),
    ("tls://q1.example.com", Server("q1.example.com", 4222, tls=True)),
    ("tls://[2001:db8::1]:4222", Server("2001:db8::1", 4222, tls=True)),
    ("nats://127.0.0.1:4222", Server("127.0.0.1", 4222, tls=False)),
    ("nats://[::1]:4222", Server("::1", 4222, tls=False)),
])
def test_a_server_is_read_and_shown(url: str, server: Server) -> None:
    assert read_server(url) == server
    assert read_server(str(server)) == server


@pytest.mark.parametrize(("url", "fault"), [
    ("nats://192.0.2.1:4222", "not encrypted"),
    ("nats://localhost:4222", "not encrypted"),
    ("http://q1:4222", "not of the form"),
    ("q1:4222", "not of the form"),
    ("tls://", "not of the form"),
    ("tls://q1:99999", "out of range"),
    ("tls://q1:0", "must not be 0"),
    ("tls://q1:x", "Port could not be cast"),
    ("tls://[q1", "Invalid IPv6"),
    ("tls://user:secret@q1", "server 'q1' must have a host and a port only; a certificate"),
    ("tls://q1/path", "a host and a port only"),
])
def test_what_is_no_server_is_refused(url: str, fault: str) -> None:
    with pytest.raises(AddressError, match=fault) as caught:
        read_server(url)
    assert "secret" not in str(caught.value)

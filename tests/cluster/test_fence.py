"""The last look before updates leave: what may not go out stays, and what is closed has no effect."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

import pytest

from pyd2.backend import NAMES, make_backend
from pyd2.cluster.fence import FencedDatagrams
from pyd2.net.datagrams import PythonDatagrams
from pyd2.net.outbox import EMPTY, PythonOutbox
from pyd2.update.server.lane import Lane


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_without_a_lease_and_nothing_fails(name: str) -> None:
    allowed = True
    datagrams = FencedDatagrams(make_backend(name).datagrams, lambda: allowed)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setblocking(False)
        outbox = PythonOutbox(datagrams.send)
        for text in (b"a", b"b"):
            outbox.add(message(text))
        allowed = False
        assert outbox.send(sender) == (0, errno.EAGAIN)
        assert outbox.slot == 3
        with pytest.raises(BlockingIOError):
            receiver.recv(10)
        allowed = True
        assert outbox.send(sender) == (2, 0)
        assert [receiver.recv(10), receiver.recv(10)] == [b"a", b"b"]
        assert outbox.slot == EMPTY


def test_what_the_tries_have_posted_stays_too() -> None:
    allowed = True
    datagrams = FencedDatagrams(PythonDatagrams(), lambda: allowed)
    posted = datagrams.posted(Lane(IPv4Address("192.0.2.1"), 53), lambda _: None)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        assert posted.slot == EMPTY
        assert posted.send(sender) == (0, 0)
        allowed = False
        assert posted.send(sender) == (0, errno.EAGAIN)


def message(text: bytes) -> Any:
    return SimpleNamespace(message=text, slot=3)

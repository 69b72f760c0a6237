"""Datagrams by the batch, in C and in Python: both do the same."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pyd2.net.datagrams import BATCH, LIMIT, Datagrams
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two connected UDP sockets."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other,
    ):
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        yield one, other


def test_messages_arrive_whole_and_in_order(datagrams: Datagrams) -> None:
    messages = [b"", b"a", *(bytes([number]) * number * 30 for number in range(1, 20)), b""]
    with pair() as (one, other):
        assert datagrams.send(one, messages) == (len(messages), 0)
        assert datagrams.receive(other, BATCH, LIMIT) == (messages, 0)
        assert datagrams.receive(other, BATCH, LIMIT) == ([], 0)


def test_no_more_are_read_than_asked_for(datagrams: Datagrams) -> None:
    with pair() as (one, other):
        for number in range(5):
            one.send(b"%d" % number)
        assert datagrams.receive(other, 2, LIMIT) == ([b"0", b"1"], 0)
        assert datagrams.receive(other, 3, LIMIT) == ([b"2", b"3", b"4"], 0)


@pytest.mark.parametrize("size", [1, 4096, LIMIT])
def test_long_datagrams_are_cut(datagrams: Datagrams, size: int) -> None:
    with pair() as (one, other):
        sent = [bytes([length % 251]) * length for length in (size - 1, size, size + 1, 20000)]
        for message in sent:
            one.send(message)
        assert datagrams.receive(other, BATCH, size) == ([message[:size] for message in sent], 0)


def test_more_than_a_batch(datagrams: Datagrams) -> None:
    messages = [b"%d" % number for number in range(BATCH + 20)]
    found: list[bytes] = []
    with pair() as (one, other):
        at = 0
        while at < len(messages):
            sent, error = datagrams.send(one, messages[at:])
            assert sent > 0
            assert error == 0
            at += sent
            while batch := datagrams.receive(other, BATCH, LIMIT)[0]:
                found += batch
    assert found == messages


def test_what_cannot_be_sent_stops_the_batch(datagrams: Datagrams) -> None:
    messages = [b"first", bytes(70000), b"last"]
    with pair() as (one, other):
        sent, error = datagrams.send(one, messages)
        assert sent == 1
        assert error in (0, errno.EMSGSIZE)
        assert datagrams.send(one, messages[1:]) == (0, errno.EMSGSIZE)
        assert datagrams.send(one, messages[2:]) == (1, 0)
        assert datagrams.receive(other, BATCH, LIMIT) == ([b"first", b"last"], 0)


def test_a_full_kernel_stops_the_batch(datagrams: Datagrams) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with one, other:
        messages = [b"%d" % number for number in range(10_000)]
        at = error = 0
        while not error:
            sent, error = datagrams.send(one, messages[at:])
            at += sent
        assert 0 < at < len(messages)
        assert error == errno.EAGAIN
        found = datagrams.receive(other, BATCH, LIMIT)[0]
        assert found == messages[: min(at, BATCH)]
        assert datagrams.send(one, messages[at : at + 1]) == (1, 0)


def test_the_error_of_an_earlier_message_is_reported_once(datagrams: Datagrams) -> None:
    with pair() as (one, other):
        place = other.getsockname()
        other.close()
        one.send(b"to a closed port")
        wait_until(lambda: one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "ICMP")
        one.send(b"to a closed port")  # the socket has its error now
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(place)
            back.settimeout(10)
            assert datagrams.send(one, [b"a", b"b"]) == (0, errno.ECONNREFUSED)
            assert datagrams.send(one, [b"a", b"b"]) == (2, 0)
            assert [back.recv(10), back.recv(10)] == [b"a", b"b"]


def test_datagrams_around_an_error_are_kept(datagrams: Datagrams) -> None:
    with pair() as (one, other):
        other.send(b"before")
        place = other.getsockname()
        other.close()
        one.send(b"to a closed port")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(place)
            back.sendto(b"behind", one.getsockname())
            found: list[bytes] = []
            errors = []
            for _ in range(4):
                datagrams_found, error = datagrams.receive(one, BATCH, LIMIT)
                found += datagrams_found
                errors.append(error)
            assert found == [b"before", b"behind"]
            assert sorted(errors) == [0, 0, 0, errno.ECONNREFUSED]


def test_a_closed_socket_is_an_error(datagrams: Datagrams) -> None:
    with pair() as (one, _):
        one.close()
        assert datagrams.send(one, [b"a"]) == (0, errno.EBADF)
        assert datagrams.receive(one, BATCH, LIMIT) == ([], errno.EBADF)


def test_c_stays_within_its_buffers() -> None:
    from pyd2.net.wire_io import lib
    from pyd2.packets.wire import ffi

    with pair() as (one, other):
        buffer, sizes = ffi.new("uint8_t[]", 100), ffi.new("uint32_t[]", BATCH)
        for count, size in ((3, 40), (1, 101), (101, 1), (1, 0)):
            assert lib.wire_receive(other.fileno(), buffer, 100, size, sizes, count) == -errno.EINVAL
        sizes[0], sizes[1] = 60, 41
        assert lib.wire_send(one.fileno(), buffer, 100, sizes, 2) == -errno.EINVAL
        sizes[1] = 40
        assert lib.wire_send(one.fileno(), buffer, 100, sizes, 2) == 2

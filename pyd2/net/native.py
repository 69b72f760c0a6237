"""Datagrams and outboxes in C (``cbridge/wire_io``): one system call for each batch."""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING

from pyd2.net.datagrams import BATCH, LIMIT
from pyd2.net.outbox import EMPTY
from pyd2.net.wire_io import lib
from pyd2.packets.batch import DatagramBatch
from pyd2.packets.wire import ffi
from pyd2.packets.wire import lib as wire
from pyd2.update.inflight.contract import Outgoing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from pyd2.net.outbox import Outbox
    from pyd2.packets.wire import WireLane
    from pyd2.update.server.lane import Lane

assert wire.WIRE_BATCH_MAX == BATCH


class NativeDatagrams:
    """See Datagrams."""

    def __init__(self) -> None:
        self._receive = lib.wire_receive
        self._send = lib.wire_send
        # The kernel touches only the pages that it fills.
        self._buffer = ffi.new("uint8_t[]", BATCH * LIMIT)
        self._sizes = ffi.new("uint32_t[]", BATCH)

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """See Datagrams."""
        received = self._receive(sock.fileno(), self._buffer, BATCH * LIMIT, size, self._sizes, count)
        if received <= 0:
            return [], 0 if received == -errno.EAGAIN else -received
        return DatagramBatch(self._buffer, size, self._sizes, received), 0

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """See Datagrams."""
        messages = messages[:BATCH]
        sizes = ffi.from_buffer("uint32_t[]", array("I", map(len, messages)))
        octets = b"".join(messages)
        sent = self._send(sock.fileno(), octets, len(octets), sizes, len(messages))
        return (sent, 0) if sent >= 0 else (0, -sent)

    def posted(self, lane: Lane, refused: Callable[[int], None]) -> Outbox:
        """See Datagrams."""
        assert lane.native is not None
        return NativeOutbox(lane, lane.native, refused)

    def waiting(self, lane: Lane) -> Sequence[Outgoing]:
        """See Datagrams."""
        native = lane.native
        if native is None or native.first == native.count:
            return ()
        octets = ffi.buffer(native.octets, native.used)
        messages = [native.messages[place] for place in range(native.first, native.count)]
        return [
            Outgoing(lane, each.slot, each.query_id, tcp=False, message=octets[each.at : each.at + each.size])
            for each in messages
        ]


class NativeOutbox:
    """Messages that the tries in C have posted to a lane."""

    def __init__(self, lane: Lane, native: WireLane, refused: Callable[[int], None]) -> None:
        self._lane = lane
        self._native = native
        self._refused = refused
        self._send = lib.wire_lane_send

    @property
    def slot(self) -> int:
        """See Outbox."""
        native = self._native
        return EMPTY if native.first == native.count else native.messages[native.first].slot

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """See Outbox."""
        native = self._native
        sent: int = self._send(native, sock.fileno())
        if native.refused:
            self._refused(native.refused)
            native.refused = 0
        return (sent, 0) if sent >= 0 else (0, -sent)

    def skip(self) -> Outgoing:
        """See Outbox."""
        native = self._native
        first = native.messages[native.first]
        outgoing = Outgoing(self._lane, first.slot, first.query_id, tcp=False, message=b"")
        wire.wire_lane_skip(native)
        return outgoing

    def clear(self) -> None:
        """See Outbox."""
        while self.slot != EMPTY:
            wire.wire_lane_skip(self._native)

"""The sockets towards one DNS server: a few UDP ports, renewed all the time, and a TCP connection on demand.

Kea opens a socket with a fresh port for every try. Here a few connected sockets serve for some seconds each:
the kernel drops what comes from elsewhere, and a try costs no system calls of its own. A reply counts only on
the socket its try went out from, so a forger that is not on the path has to guess address, port and query ID.

Each socket has a number of its own, the slot; ``Lane.slots`` holds those that new tries draw from. It is one
at first, which the first message opens, and more under load.
"""

from __future__ import annotations

import errno
import socket
from functools import partial
from ipaddress import IPv6Address
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Final

from pyd2.net.addresses import socket_address
from pyd2.net.descriptors import is_shortage
from pyd2.net.outbox import EMPTY, PythonOutbox
from pyd2.net.read_turns import LEAST, PER_SOCKET, Pace
from pyd2.net.tcp import TcpLink
from pyd2.update.inflight.contract import STREAM

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from pyd2.net.datagrams import Datagrams
    from pyd2.net.descriptors import Descriptors, Lease
    from pyd2.net.outbox import Outbox
    from pyd2.net.read_turns import ReadTurns
    from pyd2.net.troubles import ServerTroubles
    from pyd2.update.engine import Outgoing
    from pyd2.update.server.lane import Lane

SLOTS: Final = 4
"""Local UDP ports in use per DNS server under load."""

LOAD: Final = 16
"""Updates under way from which on there are more ports than one."""

RENEW_SECONDS: Final = 10.0
"""Age at which a socket gives way to one with another port; one that is not used for so long is closed."""

FAILED_SECONDS: Final = 0.25
"""Age from which on a socket that cannot send gives way to another one."""

LINGER_MARGIN: Final = 1.0
"""How much longer than a try waits a replaced socket still listens for the replies to what it sent."""

LINGER_MAX: Final = 60.0
"""Seconds after which a replaced socket is closed, however long tries wait."""

PAUSE_SECONDS: Final = 0.001
"""How long to wait when the kernel's send buffer is full."""

NO_SLOT: Final = -1
"""The slot of what answers nothing: the engine counts it."""

BATCH: Final = 128
"""Replies that are read from one socket at a time."""

READ_MOST: Final = 2048
"""Replies after which enough has been read from a socket: more than the kernel holds for it."""

REPLY_LIMIT: Final = 8192
"""Kea's receive buffer for replies (contract, section 6)."""

REPLY_MEMORY: Final = 2304
"""Octets of a receive buffer that a reply takes up: many network drivers keep each in half a page."""

_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = Struct("9I")
_DROPS: Final = 8
"""What ``socket`` does not name (asm/socket.h, linux/sock_diag.h)."""


class ServerSockets:
    """Sends to one DNS server and reads its replies.

    ``on_replies(lane, slot, datagrams)`` gets what the server answers; ``on_failure(outgoing, error)`` gets
    what cannot be sent, with the errno or the reason. ``timeout`` gives the seconds a try waits.
    ``unread_seconds``, ``may_write``: see TcpLink.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lane: Lane,
        on_replies: Callable[[Lane, int, Sequence[bytes]], None],
        on_failure: Callable[[Outgoing, int | str], None],
        datagrams: Datagrams,
        timeout: Callable[[], float],
        descriptors: Descriptors,
        troubles: ServerTroubles,
        turns: ReadTurns,
        unread_seconds: float = 0.0,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._loop = loop
        self._turns = turns
        self._pace = Pace(BATCH)
        self._datagrams = datagrams
        self._lane = lane
        self._on_replies = on_replies
        self._on_failure = on_failure
        self._family = socket.AF_INET6 if isinstance(lane.address, IPv6Address) else socket.AF_INET
        self._timeout = timeout
        self._unread_seconds = unread_seconds
        self._may_write = may_write
        self._descriptors = descriptors
        self._troubles = troubles
        self._sockets: dict[int, socket.socket] = {}
        """By slot: those in use, and replaced ones that still listen."""
        self._leases: dict[int, Lease] = {}
        """By slot: their descriptors."""
        self._renew_at: dict[int, float] = {}
        """When to replace the sockets in use, in monotonic seconds."""
        self._widen_at = 0.0
        """When to open another one under load, in monotonic seconds."""
        self._spoken: set[int] = set()
        """Slots that something was sent from."""
        self._lingering: dict[int, asyncio.TimerHandle] = {}
        self._used = False
        """Whether something was sent since ``_rest_if_idle`` looked."""
        self._rest_timer: asyncio.TimerHandle | None = None
        """Runs while there are sockets."""
        self._drops: dict[int, int] = {}
        """By slot: replies that the kernel has dropped, as far as they are counted."""
        self._outbox = PythonOutbox(datagrams.send)
        self._posted: Outbox | None = None
        self._again: asyncio.TimerHandle | None = None
        """Runs while the kernel's send buffer is full: then all messages wait, to keep their order."""
        self._tcp: TcpLink[Outgoing] | None = None

    def send(self, messages: list[Outgoing], now: float) -> None:
        """Send messages; ``now`` is monotonic seconds."""
        for outgoing in messages:
            if outgoing.tcp:
                self._send_over_tcp(outgoing)
            else:
                self._outbox.add(outgoing)
        if self._again is None:
            self._deliver(self._outbox, now)

    def send_posted(self, now: float) -> None:
        """Send what the tries have posted to the lane."""
        if self._posted is None:
            self._posted = self._datagrams.posted(self._lane, self._troubles.segments_refused)
        if self._again is None:
            self._deliver(self._posted, now)

    @property
    def unsent(self) -> bool:
        """Whether messages wait for the kernel."""
        return self._again is not None

    def hold(self) -> bool:
        """Keep what waits for the kernel until ``go_on``; return whether all can be kept: not over TCP."""
        if self._again is not None:
            self._again.cancel()
        return self._tcp is None or not self._tcp.busy

    def go_on(self) -> None:
        """Send what was kept."""
        if self._again is not None:
            self._deliver_again()

    def read(self) -> Iterator[None]:
        """Read the replies that have arrived, without waiting for the loop: a batch in each step."""
        for slot, sock in list(self._sockets.items()):
            left = READ_MOST
            while left > 0 and sock.fileno() >= 0 and (read := self._read(sock, slot)):
                left -= read
                yield
            yield

    def count_drops(self) -> None:
        """Count the replies that the kernel has dropped; asked for when a try stays without an answer."""
        for slot in self._sockets:
            self._count_drops(slot)

    def close(self) -> None:
        """Close all sockets; what is under way stays without an answer."""
        if self._tcp is not None:
            self._tcp.close()
        if self._again is not None:
            self._again.cancel()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        self._outbox.clear()
        if self._posted is not None:
            self._posted.clear()
        self._close_ports()

    def close_if_idle(self) -> bool:
        """Close all sockets if nothing is under way; return whether there were any."""
        waiting = self._outbox.slot != EMPTY or (self._posted is not None and self._posted.slot != EMPTY)
        if self._lane.window.in_flight or self._lane.signing or waiting:
            return False
        connected = self._tcp is not None and self._tcp.close_if_idle()
        if not self._sockets:
            return connected
        self._close_ports()
        return True

    def _close_ports(self) -> None:
        for timer in self._lingering.values():
            timer.cancel()
        self._lingering.clear()
        fresh = max(self._lane.slots) + 1
        for slot in list(self._sockets):
            self._close_port(slot)
        self._renew_at.clear()
        self._lane.slots[:] = [fresh]

    def _close_port(self, slot: int) -> None:
        self._count_drops(slot)
        self._drops.pop(slot, None)
        self._spoken.discard(slot)
        sock = self._sockets.pop(slot)
        self._loop.remove_reader(sock.fileno())
        sock.close()
        self._leases.pop(slot).release()

    def _send_over_tcp(self, outgoing: Outgoing) -> None:
        if self._tcp is None:
            self._tcp = TcpLink(
                self._loop, str(self._lane.address), self._lane.port, self._tcp_replies, self._on_failure,
                self._troubles.connection_closed, self._timeout, self._descriptors, self._lane.tls,
                lambda: self._lane.batch > 1, self._unread_seconds, self._may_write,
            )  # fmt: skip
        self._tcp.send(outgoing.message, outgoing)

    def _deliver(self, outbox: Outbox, now: float) -> None:
        """Send over UDP what there is, and report what cannot be sent."""
        failed: list[tuple[Outgoing, int | str]] = []
        self._used = True
        self._send_all(outbox, now, failed)
        if len(self._lane.slots) < SLOTS and self._lane.window.in_flight >= LOAD:
            self._widen(now)
        # Not before: what the engine has to send instead may come into the same outbox, and fail, too.
        for outgoing, error in failed:
            self._on_failure(outgoing, error)

    def _send_all(self, outbox: Outbox, now: float, failed: list[tuple[Outgoing, int | str]]) -> None:
        """Send until nothing is left, or the kernel's buffer is full; ``failed`` gets what cannot be sent."""
        hidden = False  # whether the first message has met an error that may be an earlier one's
        while (slot := outbox.slot) != EMPTY:
            sock = self._sockets.get(slot)
            if sock is None:
                if slot not in self._lane.slots:
                    # Its port is closed: the message has waited too long, and its try is over.
                    outbox.skip()
                    continue
                try:
                    sock = self._open(slot, now)
                except OSError as error:
                    if len(self._lane.slots) > 1:
                        self._lane.slots.remove(slot)  # the others are open
                    if is_shortage(error):
                        self._troubles.no_socket(error.strerror or str(error))
                    failed.append((outbox.skip(), error.errno or str(error)))
                    continue
            sent, error_number = outbox.send(sock)
            if sent:
                hidden = False
                self._spoken.add(slot)
            if error_number in (errno.EAGAIN, errno.ENOBUFS):
                self._again = self._loop.call_later(PAUSE_SECONDS, self._deliver_again)
                return
            if error_number and not hidden:
                # It may be the ICMP error of an *earlier* message, which has hidden this one: then once more.
                self._loop.call_soon(self._watch_again, sock, slot)
                hidden = True
            elif error_number == errno.ECONNREFUSED:
                # Only ICMP says so, and Kea never hears of it: the try waits for its timeout.
                outbox.skip()
                hidden = False
            elif error_number:
                failed.append((outbox.skip(), error_number))
                hidden = False
                self._leave_failed(slot, now)
            elif outbox.slot == slot:
                # The system call has kept to itself why it stopped; it may have been such an ICMP error.
                self._loop.call_soon(self._watch_again, sock, slot)
            if now > self._renew_at.get(slot, now):
                self._renew(slot, now)

    def _deliver_again(self) -> None:
        self._again = None
        now = self._loop.time()
        for outbox in (self._outbox, self._posted):
            if outbox is not None and self._again is None:
                self._deliver(outbox, now)

    def _open(self, slot: int, now: float) -> socket.socket:
        """Open the socket of a slot. Raises OSError."""
        sock, self._leases[slot] = self._descriptors.open(self._connected)
        self._loop.add_reader(sock.fileno(), self._readable, sock, slot)
        self._sockets[slot] = sock
        self._renew_at[slot] = now + RENEW_SECONDS
        if self._rest_timer is None:
            self._rest_timer = self._loop.call_later(RENEW_SECONDS, self._rest_if_idle)
        return sock

    def _connected(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            # The replies to a whole window may wait in one socket, and unsolicited messages beside them.
            buffer = self._lane.window.cap * REPLY_MEMORY
            if buffer > _buffer_size(sock):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
                except PermissionError:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.connect(socket_address(self._lane.address, self._lane.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _widen(self, now: float) -> None:
        """Open another port for new tries, if there is one."""
        if now < self._widen_at or not self._descriptors.plenty:
            return
        fresh = max(self._lane.slots) + 1
        try:
            self._open(fresh, now)
        except OSError:
            # Those that are open do it, too.
            self._widen_at = now + RENEW_SECONDS
            return
        self._lane.slots.append(fresh)

    def _renew(self, slot: int, now: float) -> None:
        """Replace a socket by one with another port, if one can be opened."""
        fresh = max(self._lane.slots) + 1
        try:
            self._open(fresh, now)
        except OSError:
            # No more sockets are to be had: an old one is better than none.
            self._renew_at[slot] = now + RENEW_SECONDS
            return
        if slot in self._lane.slots:  # else it was closed in favour of this one
            self._replace(slot, fresh)

    def _leave_failed(self, slot: int, now: float) -> None:
        """Have the next try open another socket, as Kea's does: this one's local address may be gone."""
        if slot in self._renew_at and now >= self._renew_at[slot] - RENEW_SECONDS + FAILED_SECONDS:
            self._replace(slot, max(self._lane.slots) + 1)

    def _replace(self, slot: int, fresh: int) -> None:
        """Send new tries from another slot; replies to what this one has sent may still come.

        One that has sent nothing is closed in the next turn of the loop: where a firewall lets nothing out,
        they would be as many as there are tries.
        """
        slots = self._lane.slots
        slots[slots.index(slot)] = fresh
        del self._renew_at[slot]
        linger = min(self._timeout() + LINGER_MARGIN, LINGER_MAX) if slot in self._spoken else 0.0
        self._lingering[slot] = self._loop.call_later(linger, self._close_replaced, slot)

    def _close_replaced(self, slot: int) -> None:
        del self._lingering[slot]
        self._close_port(slot)

    def _rest_if_idle(self) -> None:
        """Close the sockets if they were not used for a while."""
        self._rest_timer = None
        if not self._used:
            self.close_if_idle()
        self._used = False
        if self._sockets:
            self._rest_timer = self._loop.call_later(RENEW_SECONDS, self._rest_if_idle)

    def _count_drops(self, slot: int) -> None:
        sock = self._sockets[slot]
        words = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops = _MEMINFO.unpack(words)[_DROPS]
        new = (drops - self._drops.get(slot, 0)) & 0xFFFFFFFF
        if new:
            self._drops[slot] = drops
            self._troubles.replies_dropped(new, _buffer_size(sock), self._lane.window.cap * REPLY_MEMORY)

    def _readable(self, sock: socket.socket, slot: int) -> None:
        """Read a batch of replies now, or in a later turn of the loop if this one has read enough."""
        if self._turns.left > 0 and not self._turns.used_up():
            self._read(sock, slot)
        else:
            self._turns.put_off(sock, partial(self._read, sock, slot))

    def _read(self, sock: socket.socket, slot: int) -> int:
        """Read a batch of replies; return how many these were, or 0 if there are no more."""
        turns = self._turns
        count = min(self._pace.most, max(int(LEAST * turns.share), turns.left))
        datagrams, error = self._datagrams.receive(sock, count, REPLY_LIMIT)
        turns.left -= PER_SOCKET + len(datagrams)
        more = len(datagrams) == count
        if error or more:
            # An ICMP error for an earlier message, or one behind a full batch: Kea does not see
            # those, the try waits until its timeout (contract, section 6).
            self._loop.call_soon(self._watch_again, sock, slot)
        if datagrams:
            began = monotonic()
            self._on_replies(self._lane, slot, datagrams)
            self._pace.note(len(datagrams), monotonic() - began)
        return count if more else 0

    def _watch_again(self, sock: socket.socket, slot: int) -> None:
        """Continue to listen after an error on the socket: libuv stops watching it then, without a word.

        Called when the loop has dealt with what it knows, or it would stop once more for the same error.
        """
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.add_reader(sock.fileno(), self._readable, sock, slot)

    def _tcp_replies(self, answers: Sequence[bytes], others: Sequence[bytes]) -> None:
        if answers:
            self._on_replies(self._lane, STREAM, answers)
        if others:
            self._on_replies(self._lane, NO_SLOT, others)


def _buffer_size(sock: socket.socket) -> int:
    """Return the octets of a receive buffer as they are asked for; the kernel reports the double."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

"""Keeps the NCR listener where the configuration wants it, and says when requests are lost before it.

Kea calls this the queue manager, and logs it under that name (contract, sections 1 and 3).
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import address_text
from pyd2.net.listener import RECEIVE_BUFFER, NcrListener

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.config.addresses import Address
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.net.datagrams import Datagrams
    from pyd2.net.read_turns import ReadTurns
    from pyd2.net.systemd import ServiceManager

WATCH_SECONDS: Final = 1.0
"""How often a busy port is tried again and the kernel's drops are read."""

_STOPPED: Final = ("DHCP_DDNS_NCR_UDP_RECV_CANCELED", "DHCP_DDNS_QUEUE_MGR_STOPPED")
"""The message that Kea logs when it stops listening."""


class Intake:
    """The NCR port from configuration to configuration."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_datagrams: Callable[[Sequence[bytes]], None],
        counters: Counters,
        log: Log,
        datagrams: Datagrams,
        manager: ServiceManager,
        turns: ReadTurns,
    ) -> None:
        self._loop = loop
        self._datagrams = datagrams
        self._turns = turns
        self._on_datagrams = on_datagrams
        self._counters = counters
        self._log = log
        self._manager = manager
        self._listener = self._new_listener()
        self._draining: deque[NcrListener] = deque()
        """Former listeners, oldest first: the first one is drained, the others wait for it."""
        self._on_stopped: Callable[[], None] | None = None
        self._wanted: tuple[Address, int] | None = None
        self._drops = 0
        self._watch: asyncio.TimerHandle | None = None
        self._last_lines: tuple[str, ...] = ()
        """What Kea's queue manager says when it is taken down."""

    def listen(self, address: Address, port: int) -> None:
        """Listen there from now on. What cannot be bound is logged and tried again every second.

        A socket that is bound there already is kept, so that a reconfiguration loses nothing.
        """
        log = self._log
        self._last_lines = _STOPPED[1:]
        if self._listener.bound_to is not None:
            log.emit("DHCP_DDNS_QUEUE_MGR_STOPPING", "reconfiguration")
            self._log_stop()
        log.emit("DHCP_DDNS_QUEUE_MGR_RECONFIGURING")
        self._start(address, port)

    @property
    def state(self) -> str:
        """Where requests are listened for, in words."""
        if self._listener.bound_to is not None:
            return "listening on {} port {}".format(*self._listener.bound_to)
        if self._wanted is not None:
            return f"cannot listen on {address_text(self._wanted[0])} port {self._wanted[1]} yet"
        return "not listening"

    @property
    def draining(self) -> bool:
        """Whether a port that is to be closed still has requests that have arrived."""
        return bool(self._draining)

    def use(self, datagrams: Datagrams) -> None:
        """Receive by other system calls from now on, on ports that are being closed, too."""
        self._datagrams = datagrams
        for listener in (self._listener, *self._draining):
            listener.datagrams = datagrams

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Close the port, for the shutdown; before that, hand over the datagrams that have arrived, in parts.

        If that takes more than one turn of the loop, ``on_stopped`` is called when it is done.
        """
        was_open = self._forget_wanted()
        self._drain(self._listener)
        if self._draining:
            self._on_stopped = on_stopped
        if was_open:
            self._log.emit("DHCP_DDNS_QUEUE_MGR_STOPPING", "shutdown")
            self._log_stop()

    def leave(self) -> None:
        """Close the port if it is still open, as it is when the shutdown is to be ``now``.

        Datagrams that have arrived are then dropped, as is the queue.
        """
        if self._forget_wanted():
            self._last_lines = _STOPPED
        self._listener.close(hand_over=False)
        self._end_draining()

    def log_end(self) -> None:
        """Log what Kea's queue manager says when it is taken down, after Kea's last message."""
        for message in self._last_lines:
            self._log.emit(message)

    def _forget_wanted(self) -> bool:
        """Stop wanting a port; return whether one is open."""
        self._wanted = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        return self._listener.bound_to is not None

    def _start(self, address: Address, port: int) -> None:
        log = self._log
        if address.is_unspecified:
            log.emit("DHCP_DDNS_LISTENING_ON_ALL_INTERFACES", address_text(address))
        elif address_text(address) not in ("127.0.0.1", "::1"):
            log.emit("DHCP_DDNS_NOT_ON_LOOPBACK", address_text(address))
        self._wanted = address, port
        self._on_stopped = None
        self._bind_wanted()
        if self._watch is None:
            self._watch = self._loop.call_later(WATCH_SECONDS, self._look)

    def _bind_wanted(self) -> None:
        """Try to bind for the first time."""
        if self._wanted is None:
            return
        try:
            self._bind(*self._wanted)
        except OSError as error:
            reason = f"D2QueueMgr listener start failed: Open failed: {_reason(error)}"
            self._log.emit("DHCP_DDNS_QUEUE_MGR_START_ERROR", reason)

    def _new_listener(self) -> NcrListener:
        return NcrListener(self._loop, self._on_datagrams, self._receive_error, self._datagrams, self._turns)

    def _bind(self, address: Address, port: int) -> None:
        """Listen there, or begin to. Raises OSError when the place cannot be bound."""
        if self._listener.bound_to != (address_text(address), port):
            fresh = self._new_listener()
            try:
                self._bind_listener(fresh, address, port)
            except OSError:
                if self._listener.bound_to is None:
                    raise
                # The present socket may be in the way (one on all addresses, say), and its place is wrong.
                self._manager.release()
                self._drain(self._listener)
                return
            before, self._listener = self._listener, fresh
            # Requests are read in the order of their arrival: those of the port before come first.
            self._drain(before)
            assert fresh.socket is not None
            self._manager.keep(fresh.socket)
            self._drops = 0
            if fresh.buffer_size < RECEIVE_BUFFER:
                self._log.emit("PYD2_NCR_RECEIVE_BUFFER_SMALL", fresh.buffer_size, RECEIVE_BUFFER)
        self._log.emit("DHCP_DDNS_QUEUE_MGR_STARTED")

    def _bind_listener(self, listener: NcrListener, address: Address, port: int) -> None:
        try:
            listener.bind(address, port, self._manager.find(address, port))
        except OSError:
            if not self._draining:
                raise
            self._end_draining()  # the port may be one of these
            listener.bind(address, port)

    def _drain(self, listener: NcrListener) -> None:
        """Close a listener when all that the kernel holds of it, and of those before it, is handed over."""
        if listener is self._listener:
            self._listener = self._new_listener()
        self._draining.append(listener)
        if len(self._draining) == 1:
            listener.drain(self._drained)

    def _drained(self) -> None:
        """Drain the next listener; after the last one, read the wanted port or report the stop."""
        self._draining.popleft()
        if self._draining:
            self._draining[0].drain(self._drained)
        elif self._listener.bound_to is not None:
            self._listener.start()
        elif self._wanted is not None:
            self._bind_wanted()
        elif self._on_stopped is not None:
            on_stopped, self._on_stopped = self._on_stopped, None
            on_stopped()

    def _end_draining(self) -> None:
        """Hand all over at once that is left of ports before."""
        while self._draining:
            self._draining.popleft().close()

    def _log_stop(self) -> None:
        for message in _STOPPED:
            self._log.emit(message)

    def _receive_error(self, error: OSError) -> None:
        self._counters.ncr_error.add(time.time())
        self._log.emit("DHCP_DDNS_NCR_UDP_RECV_ERROR", _reason(error))
        self._log.emit("DHCP_DDNS_QUEUE_MGR_RECV_ERROR")
        self._loop.call_soon(self._recover)

    def _recover(self) -> None:
        if self._wanted is not None:
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RECOVERING")
            self._end_draining()  # their requests come first
            self._listener.close()
            self._start(*self._wanted)

    def _look(self) -> None:
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look)
        if self._listener.bound_to is None:
            if not self._draining:
                self._try_again()
            return
        drops = self._listener.kernel_drops()
        if drops > self._drops:
            address, port = self._listener.bound_to
            self._counters.kernel_drops.add(time.time(), drops - self._drops)
            self._log.emit("PYD2_NCR_KERNEL_DROPS", drops - self._drops, f"{address} port {port}")
            self._drops = drops

    def _try_again(self) -> None:
        assert self._wanted is not None
        address, port = self._wanted
        try:
            self._bind(address, port)
        except OSError:
            return  # logged when it was tried first
        self._log.emit("PYD2_NCR_PORT_BOUND", address_text(address), port)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)

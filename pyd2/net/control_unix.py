"""A control channel over a UNIX socket (contract, section 8, "Socket", "Framing" and "Timeout").

A ``Session`` reads the commands and returns the answers; here are only sockets, files and timers. Commands
run one at a time, in the event loop of the main thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.errors import ConfigError
from pyd2.net.control import Acceptor
from pyd2.regular import open_regular

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.config.model import UnixSocket
    from pyd2.messages import Log
    from pyd2.net.control import ControlChannel

TIMEOUT: Final = 10.0
"""Seconds without progress after which a connection is closed."""

DEADLINE: Final = 60.0
"""Seconds that a client has to send its request, and again to receive its answer.

Kea has no such limit: a client that sends a byte now and then keeps its place among MAX_CONNECTIONS.
"""

MAX_CONNECTIONS: Final = 128
"""Connections served at a time; further clients wait in the kernel's queue, and none is refused."""

CHUNK: Final = 32768
"""Bytes read or written at a time. Kea's number: its debug messages count them."""


class Session(Protocol):
    """One connection's request and answer."""

    def receive(self, data: bytes) -> bytes | None:
        """Read the next bytes; return None if more must come, else the answer, empty for none."""

    def timed_out(self) -> bytes:
        """Return the answer to a request whose next bytes do not come."""

    @property
    def size(self) -> int:
        """How many bytes of a command have come."""


class UnixChannel:
    """A listening UNIX socket and its connections; a ``ControlChannel``.

    ``new_session`` makes the session of a connection from its file descriptor; ``timeout`` and ``deadline``
    are in seconds. ``written`` returns when all that was logged is written.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: UnixSocket,
        new_session: Callable[[int], Session],
        log: Log,
        *,
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self.loop: Final = loop
        self.log: Final = log
        self.new_session: Final = new_session
        self.timeout: Final = timeout
        self.deadline: Final = deadline
        self.path: Final = config.path
        self._directory: Final = config.directory
        self._rules: Final = config.rules
        self._written = written
        self._acceptor: Acceptor | None = None
        self._lock = -1
        self._connections: set[_Connection] = set()

    @property
    def place(self) -> tuple[int, ...]:
        """See ``ControlChannel``."""
        return (0,)

    @property
    def listening(self) -> bool:
        """Whether the channel is open and has not handed its socket over."""
        return self._acceptor is not None

    def open(self, others: Sequence[ControlChannel] = ()) -> None:
        """Listen, and answer from now on; see ``ControlChannel``.

        From a channel with the same path it takes over the lock and the listening socket.
        """
        self._rules.check_directory(self._directory)
        unix = (other for other in others if isinstance(other, UnixChannel))
        present = next((other for other in unix if other.listening and other.path == self.path), None)
        if present is None:
            self._lock, listener = _acquire(self.path, self._rules.file_mode, self.log)
        else:
            self._lock, listener = present.hand_over()
        self._acceptor = Acceptor(self.loop, listener, self)
        self._acceptor.start()

    def leave(self) -> None:
        """Do nothing: Kea says nothing, and what comes until the channel is closed can be answered."""

    def close(self) -> None:
        """Stop listening and remove the socket and its lock.

        Connections are closed, except those whose command is being carried out or answered.
        """
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor.listener.close()
            self._acceptor = None
            _remove(self.path)
            _remove(self.path + ".lock")
            os.close(self._lock)
        for connection in list(self._connections):
            if connection.answering:
                connection.closed_by_command = self._rules.reports_own_end
            else:
                connection.close()

    def hand_over(self) -> tuple[int, socket.socket]:
        """Give the lock and the listening socket to another channel for the same path.

        Raises ConfigError when the socket's file has been removed and cannot be made again.
        """
        assert self._acceptor is not None
        self.log.emit("COMMAND_ACCEPTOR_START", self.path)
        fresh = None if Path(self.path).is_socket() else _listen(self.path, self._rules.file_mode)
        self._acceptor.stop()
        listener, self._acceptor = self._acceptor.listener, None
        if fresh is None:
            return self._lock, listener
        listener.close()
        return self._lock, fresh

    def write_log(self, *, always: bool = False) -> None:
        """Have the log written before the client sees the end of its command, if connections are logged."""
        if always or "COMMAND_SOCKET_CONNECTION_CLOSED" in self.log.on:
            self._written()

    def closed(self, connection: _Connection) -> None:
        """Forget a connection, and accept another one in its place."""
        self._connections.discard(connection)
        if self._acceptor is not None:
            self._acceptor.go_on()

    def has_place(self) -> bool:
        """See ``Accepting``."""
        return len(self._connections) < MAX_CONNECTIONS

    def accepted(self, connection: socket.socket, peer: str) -> None:  # noqa: ARG002  there is none
        """See ``Accepting``."""
        self._connections.add(_Connection(self, connection))

    def refused(self, fault: OSError) -> None:
        """See ``Accepting``."""
        assert self._acceptor is not None
        self.log.emit("COMMAND_SOCKET_ACCEPT_FAIL", self._acceptor.listener.fileno(), fault.strerror)


class _Connection:
    """One client: reads until the session has an answer, writes it, closes."""

    def __init__(self, channel: UnixChannel, accepted: socket.socket) -> None:
        self.answering = False
        """Whether a command is being carried out or its answer sent: then ``close`` of the channel waits."""
        self.closed_by_command = False
        """Whether the channel was closed meanwhile, and that is to be logged as Kea does."""
        self._channel = channel
        self._loop = channel.loop
        self._log = channel.log
        self._socket = accepted
        self._number = accepted.fileno()
        self._session = channel.new_session(self._number)
        self._unsent = memoryview(b"")
        self._log.emit("COMMAND_SOCKET_CONNECTION_OPENED", self._number)
        self._ends = self._loop.time() + channel.deadline
        self._timer = self._wait()
        self._loop.add_reader(self._number, self._readable)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        self._log.emit("COMMAND_SOCKET_CONNECTION_CLOSED", self._number)
        self._channel.write_log()
        self._socket.close()
        self._channel.closed(self)

    def _progress(self) -> None:
        self._timer.cancel()
        self._timer = self._wait()

    def _wait(self) -> asyncio.TimerHandle:
        left = max(0.0, self._ends - self._loop.time())
        return self._loop.call_later(min(self._channel.timeout, left), self._time_out)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            self._log.emit("COMMAND_SOCKET_READ_FAIL", fault.errno, self._number)
            self.close()
            return
        if not data:
            size = self._session.size
            discarded = f"discarding partial command of {size} bytes" if size else "no input data to discard"
            self._log.emit("COMMAND_SOCKET_CLOSED_BY_FOREIGN_HOST", self._number, discarded)
            self.close()
            return
        self._log.emit("COMMAND_SOCKET_READ", len(data), self._number)
        self._timer.cancel()  # a command may take long
        self.answering = True
        try:
            answer = self._session.receive(data)
        except BaseException:
            self.close()
            raise
        if answer is None:
            self.answering = False
            self._progress()
        elif answer:
            self._loop.remove_reader(self._number)
            self._unsent = memoryview(answer)
            self._ends = self._loop.time() + self._channel.deadline
            self._progress()
            self._write()
        else:
            self.close()

    def _write(self) -> None:
        """Send a part of the answer, one on each pass of the loop: other connections get their turn."""
        try:
            sent = self._socket.send(self._unsent[:CHUNK])
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._number, self._write)
            return
        except OSError as fault:
            self._log.emit("COMMAND_SOCKET_WRITE_FAIL", self._number, fault.strerror)
            self.close()
            return
        self._unsent = self._unsent[sent:]
        self._log.emit("COMMAND_SOCKET_WRITE", sent, len(self._unsent), self._number)
        if self._unsent:
            self._progress()
            self._loop.add_writer(self._number, self._write)
            return
        if self.closed_by_command:
            self._log.emit("COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL", os.strerror(errno.EBADF))
        self._channel.write_log(always=self.closed_by_command)
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as fault:
            self._log.emit("COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL", fault.strerror)
        self.close()

    def _time_out(self) -> None:
        self._log.emit("COMMAND_SOCKET_CONNECTION_TIMEOUT", self._number)
        if not self.answering:
            answer = self._session.timed_out()
            # Nothing was sent before, so this short answer fits in the socket's buffer.
            with suppress(OSError):
                self._socket.send(answer)
            self._log.emit("COMMAND_SOCKET_WRITE", len(answer), 0, self._number)
            # Kea logs this after each timeout, for it closes the socket twice. Log watchers know the pair.
            self._log.emit("COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL", os.strerror(errno.EBADF))
        self.close()


def _acquire(path: str, mode: int | None, log: Log) -> tuple[int, socket.socket]:
    """Lock a path and listen there; return the lock's file descriptor and the socket."""
    lock = _lock(path)
    _remove(path)
    log.emit("COMMAND_ACCEPTOR_START", path)
    try:
        return lock, _listen(path, mode)
    except ConfigError:
        _remove(path + ".lock")
        os.close(lock)
        raise


def _lock(path: str) -> int:
    """Lock the file that keeps a second server from the socket; return its file descriptor."""
    name = path + ".lock"
    try:
        lock = open_regular(name, os.O_RDONLY | os.O_CREAT, 0o600, follow=False)
    except ValueError as fault:  # a NUL in the name
        raise ConfigError(f"cannot create socket lockfile, {name}, : {fault}") from fault
    except OSError as fault:
        raise ConfigError(f"cannot create socket lockfile, {name}, : {fault.strerror}") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(lock)
        raise ConfigError(f"cannot lock socket lockfile, {name}, : {fault.strerror}") from fault
    return lock


def _remove(path: str) -> None:
    """Remove a file; if that fails, binding the socket fails and says why."""
    with suppress(OSError):
        Path(path).unlink()


def _listen(path: str, mode: int | None) -> socket.socket:
    """Listen at a path; the socket's file gets ``mode``, or what the umask leaves. Raises ConfigError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(os.fsencode(path))
        if mode is not None:
            Path(path).chmod(mode)  # before it listens: no client connects with another mode
        listener.listen(socket.SOMAXCONN)
    except OSError as fault:
        listener.close()
        raise ConfigError(f"bind: {fault.strerror} [system:{fault.errno}]") from fault
    return listener

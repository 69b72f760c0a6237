"""A DNS server that answers by a script, over UDP and TCP, on as many ports as a case needs.

It serves for faults that real servers do not produce on demand. Each message that arrives, on
whatever port, takes the next action of the script; when the script is used up, the answer is
NOERROR.
"""

import heapq
import itertools
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.kit import replies
from tests.kit.dnswire import Keys, Message, describe, parse
from tests.kit.waiting import TIMEOUT

Address = tuple[Any, ...]


@dataclass(frozen=True)
class Arrival:
    """One message as it arrived. `at` is in monotonic seconds."""

    server: str
    transport: str
    wire: bytes
    peer: Address
    at: float
    action: replies.Action


@dataclass(order=True)
class _Due:
    at: float
    number: int
    sock: socket.socket = field(compare=False)
    payload: bytes = field(compare=False)
    peer: Address | None = field(compare=False)


class ScriptedDns:
    """Servers by name, e.g. {"A": 21001, "B": 21002}, each on a port of 127.0.0.1; one shared script."""

    def __init__(self, ports: Mapping[str, int], address: str = "127.0.0.1") -> None:
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)
        self._sockets: list[socket.socket] = []
        self._buffers: dict[socket.socket, bytes] = {}
        self._due: list[_Due] = []
        self._sent = 0
        self._stopping = False
        self._on_idle: threading.Event | None = None
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for name, port in ports.items():
            self._listen(name, address, port)
        self._elsewhere = self._socket(socket.SOCK_DGRAM)
        self._elsewhere.bind((address, 0))
        self.set_script([], {})
        self._thread = threading.Thread(target=self._run, name="scripted-dns", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def set_script(self, actions: Iterable[replies.Action], keys: Keys,
                   default: replies.Action | None = None) -> None:
        """Forget what was seen and start a new script. `keys` are used to sign and to check signatures."""
        with self._lock:
            self._script = deque(actions)
            self._default: replies.Action = default or {"rcode": 0}
            self._keys = dict(keys)
            self._arrivals: list[Arrival] = []

    def add_key(self, name: str, secret: bytes) -> None:
        """Know one more key, by its lower-case name with the final dot."""
        with self._lock:
            self._keys[name] = secret

    def arrivals(self) -> list[Arrival]:
        """Return all messages seen since the script was set, in order of arrival."""
        self.settle()
        with self._lock:
            return list(self._arrivals)

    def count(self) -> int:
        """Return how many messages were seen since the script was set."""
        with self._lock:
            return len(self._arrivals)

    def repeated(self) -> bool:
        """Whether a message came again right after a good answer, as when its sender got that too late."""
        return any(set(before.action) <= {"rcode"} and before.server == after.server
                   and parse(before.wire).unsigned[2:] == parse(after.wire).unsigned[2:]
                   for before, after in itertools.pairwise(self.arrivals()))

    def updates(self) -> list[dict[str, Any]]:
        """Return the messages in the recorded form; one that came over TCP says so."""
        described = []
        for arrival in self.arrivals():
            entry = describe(parse(arrival.wire), arrival.server, self._keys)
            if arrival.transport == "tcp":
                entry["transport"] = "tcp"
            described.append(entry)
        return described

    def settle(self) -> None:
        """Return when all that had arrived before the call has been answered, late answers included."""
        done = threading.Event()
        with self._lock:
            self._on_idle = done
        os.write(self._wake_write, b"i")
        assert done.wait(TIMEOUT), "the scripted DNS server hangs"

    def close(self) -> None:
        """Stop serving."""
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the scripted DNS server doesn't stop"
        for sock in [*self._sockets, *self._buffers]:
            sock.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---------------------------------------------------------------- the serving thread

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        sock = socket.socket(self._family, kind)
        sock.setblocking(False)
        self._sockets.append(sock)
        return sock

    def _listen(self, name: str, address: str, port: int) -> None:
        udp = self._socket(socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind((address, port))
        self._selector.register(udp, selectors.EVENT_READ, lambda: self._read_udp(name, udp))
        tcp = self._socket(socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((address, port))
        tcp.listen(64)
        self._selector.register(tcp, selectors.EVENT_READ, lambda: self._accept(name, tcp))

    def _run(self) -> None:
        while not self._stopping:
            timeout = max(0.0, self._due[0].at - time.monotonic()) if self._due else None
            with self._lock:
                idle = self._on_idle
            ready = self._selector.select(0 if idle and not self._due else timeout)
            for key, _ in ready:
                key.data()
            while self._due and self._due[0].at <= time.monotonic():
                due = heapq.heappop(self._due)
                self._send(due.sock, due.payload, due.peer)
            if idle and not ready and not self._due:
                with self._lock:
                    self._on_idle = None
                idle.set()

    def _drain_wake(self) -> None:
        os.read(self._wake_read, 4096)

    def _read_udp(self, name: str, sock: socket.socket) -> None:
        for _ in range(64):
            try:
                wire, peer = sock.recvfrom(65535)
            except BlockingIOError:
                return
            self._handle(name, "udp", sock, wire, peer)

    def _accept(self, name: str, listener: socket.socket) -> None:
        conn, peer = listener.accept()
        conn.setblocking(False)
        self._buffers[conn] = b""
        self._selector.register(conn, selectors.EVENT_READ, lambda: self._read_tcp(name, conn, peer))

    def _read_tcp(self, name: str, conn: socket.socket, peer: Address) -> None:
        try:
            data = conn.recv(65535)
        except ConnectionError:
            data = b""
        if not data:
            self._close_tcp(conn)
            return
        buffer = self._buffers[conn] + data
        while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
            end = 2 + int.from_bytes(buffer[:2], "big")
            wire, buffer = buffer[2:end], buffer[end:]
            self._handle(name, "tcp", conn, wire, peer)
        if conn in self._buffers:
            self._buffers[conn] = buffer

    def _close_tcp(self, conn: socket.socket) -> None:
        if conn in self._buffers:
            self._selector.unregister(conn)
            del self._buffers[conn]
            conn.close()

    def _handle(self, name: str, transport: str, sock: socket.socket, wire: bytes, peer: Address) -> None:
        message: Message = parse(wire)
        with self._lock:
            action = self._script.popleft() if self._script else self._default
            self._arrivals.append(Arrival(name, transport, wire, peer, time.monotonic(), action))
            keys = self._keys
        reply = replies.build(message, action, keys)
        if reply is None:
            if transport == "tcp":
                self._close_tcp(sock)
            return
        target: Address | None = peer
        if transport == "tcp":
            reply, target = struct.pack("!H", len(reply)) + reply, None
        elif action.get("mutate") == "other-source":
            sock = self._elsewhere
        if action.get("delay"):
            self._sent += 1
            due = _Due(time.monotonic() + action["delay"], self._sent, sock, reply, target)
            heapq.heappush(self._due, due)
        else:
            self._send(sock, reply, target)

    def _send(self, sock: socket.socket, payload: bytes, peer: Address | None) -> None:
        try:
            if peer is None:
                sock.sendall(payload)
            else:
                sock.sendto(payload, peer)
        except OSError:
            self._close_tcp(sock)  # the asker has gone; a server can't do more about it

"""The DNS server's side of the exchange that libraries/tkey.cc asks for: TKEY queries over TCP (RFC 2930)."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

import dns.message
import dns.rrset
from dns.rdtypes.ANY.TKEY import TKEY

from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

COMMON = "what both sides know"


class TkeyServer:
    """Answers on a port of 127.0.0.1; before an answer it calls ``agreed`` with the key's name and secret."""

    def __init__(self, port: int, agreed: Callable[[str, bytes], None]) -> None:
        self._agreed = agreed
        self._may_answer = threading.Event()
        self._may_answer.set()
        self.garbage = False
        """Answer with a message that is invalid except for its ID."""
        self.keys: dict[str, bytes] = {}
        """The keys that were agreed on, by name."""
        self.asked: list[str] = []
        """The names of the keys that were asked for."""
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, name="tkey-server", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.release()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        for thread in (self._thread, *self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def hold(self) -> None:
        """Hold all answers until ``release``."""
        self._may_answer.clear()

    def release(self) -> None:
        """Answer the waiting clients, and new ones."""
        self._may_answer.set()

    def wait_for(self, count: int) -> None:
        """Wait until so many keys have been asked for."""
        wait_until(lambda: len(self.asked) >= count, f"{count} TKEY queries")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            size = stream.read(2)
            if len(size) < 2:
                return
            query = dns.message.from_wire(stream.read(struct.unpack("!H", size)[0]))
            self.asked.append(query.question[0].name.to_text())
            self._may_answer.wait()
            answer = query.to_wire()[:2] + b"garbage" if self.garbage else self._answer(query)
            try:
                connection.sendall(struct.pack("!H", len(answer)) + answer)
                stream.read()
            except OSError:
                return  # the client is gone: it was unloaded meanwhile

    def _answer(self, query: dns.message.Message) -> bytes:
        name = query.question[0].name
        (offer,) = query.additional[0]
        assert isinstance(offer, TKEY)
        nonce = os.urandom(16)
        secret = hmac.new(COMMON.encode(), offer.key + nonce, hashlib.sha256).digest()
        self.keys[name.to_text()] = secret
        self._agreed(name.to_text(), secret)
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_rdata(name, 0, offer.replace(key=nonce)))
        return answer.to_wire()

"""TLS towards a DNS server (RFC 7858, RFC 9103): its settings, and the context made from them.

``strict`` (RFC 8310, section 5) sends nothing to a server whose certificate is not valid for it.
``opportunistic`` accepts any certificate: it protects against passive eavesdroppers, not against an active
man in the middle. Neither falls back to plain text.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.errors import Pyd2Error
from pyd2.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

ALPN: Final = ("dot",)
"""The protocol's name (RFC 7858 as registered; RFC 9103, section 7.1, asks for it)."""


class TlsError(Pyd2Error):
    """A file with certificates or a key cannot be used; the text names the switch and the file."""


class TlsSwitches(NamedTuple):
    """The settings of TLS for a server. Files are in PEM form; empty: none."""

    mode: str = "strict"
    hostname: str = ""
    """The name that the server's certificate must have in strict mode; empty: the server's address."""
    ca_file: str = ""
    """The certificate authorities for the server's certificate; empty: those that the system trusts."""
    cert_file: str = ""
    """The client certificate, for a server that asks for one."""
    key_file: str = ""

    def _files(self) -> list[tuple[str, str]]:
        named = [("tls-ca-file", self.ca_file), ("tls-cert-file", self.cert_file)]
        if self.cert_file:
            named.append(("tls-key-file", self.key_file))
        return [(name, file) for name, file in named if file]

    def make_context(self, protocols: Sequence[str] = ALPN) -> SSLContext:
        """Read the files. ``protocols``: what is spoken over TLS, for ALPN. Raises TlsError."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A server of TLS 1.2 could otherwise ask for handshakes without end, each some milliseconds of work.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if self.mode == "opportunistic":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for name, file in self._files():
            try:
                # OpenSSL opens the file itself, and would wait for ever for the writer of a FIFO.
                os.close(open_regular(file))
            except OSError as error:
                raise _unusable(name, file, error) from error
        try:
            name, file = "tls-ca-file", self.ca_file
            if file:
                context.load_verify_locations(file)
            elif self.mode == "strict":
                context.load_default_certs()
            if self.cert_file:
                name, file = "tls-cert-file", self.cert_file
                if self.key_file:  # OpenSSL does not say which of the two it is
                    file += f" with 'tls-key-file' {self.key_file}"
                # Without a password OpenSSL would ask for one at the terminal, and wait for it.
                context.load_cert_chain(self.cert_file, self.key_file or None, password="")
        except OSError as error:  # ssl.SSLError is one
            raise _unusable(name, file, error) from error
        return context


class ContextReader:
    """Reads the files again for each connection, since certificates are renewed.

    It does so in a thread of its own, for a disk may take its time; the end of the process does not wait for
    that thread.
    """

    def __init__(self, tls: TlsSwitches, protocols: Sequence[str] = ALPN) -> None:
        self.tls: Final = tls
        self._protocols = protocols
        self._reading: asyncio.Future[SSLContext] | None = None
        """It continues when the time of its caller is up: the next one waits for it."""

    async def read(self) -> SSLContext:
        """Return a context of what the files have now. Raises TlsError."""
        reading = self._reading
        if reading is None or reading.done():
            reading = self._reading = self._begin(asyncio.get_running_loop())
        await asyncio.wait((reading,))  # being cancelled cancels nothing here
        self._reading = None
        return reading.result()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[SSLContext]:
        outcome: asyncio.Future[SSLContext] = loop.create_future()
        outcome.add_done_callback(asyncio.Future.exception)  # perhaps no caller waits for it any more

        def call() -> None:
            report: tuple[Any, object]
            try:
                report = outcome.set_result, self.tls.make_context(self._protocols)
            except Exception as error:
                report = outcome.set_exception, error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(*report)

        Thread(target=call, name="pyd2-tls", daemon=True).start()
        return outcome


def _unusable(name: str, file: str, error: OSError) -> TlsError:
    return TlsError(f"'{name}' {file} cannot be used: {error.strerror or error}")

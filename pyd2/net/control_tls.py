"""TLS of HTTP control sockets: the context from its files, and a connection that never blocks."""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.errors import ConfigError
from pyd2.regular import open_regular, read_regular

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pyd2.config.model import TlsFiles

_LIBRARIES: Final = {"X509": "x509 certificate routines", "SSL": "SSL routines", "PEM": "PEM routines"}
_MOST_FILE: Final = 1 << 20
"""Octets that are read of a file to say what is wrong with it."""
_TEXT: Final = re.compile(r"(?:\[[^\]]*\] )?([^:(]*)")


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """Read the files. Raises ConfigError with Kea's text."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client of TLS 1.2 could otherwise ask for handshakes without end.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if files.cert_required:
        context.verify_mode = ssl.CERT_REQUIRED

    def load_anchor() -> None:
        if Path(files.trust_anchor).is_dir():
            context.load_verify_locations(capath=files.trust_anchor)
        else:
            _check_file(files.trust_anchor)
            context.load_verify_locations(files.trust_anchor)

    def load_cert() -> None:
        _check_file(files.cert_file)
        with suppress(FileNotFoundError):  # there is no key file of this name: the certificates were read
            context.load_cert_chain(files.cert_file, "", password="")

    def load_key() -> None:
        _check_file(files.key_file)
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(files.cert_file, files.key_file, password="")

    _load("CA file", files.trust_anchor, load_anchor, _first_fault_of_certificates)
    _load("cert file", files.cert_file, load_cert, _first_fault_of_certificates)
    _load("private key file", files.key_file, load_key, _first_fault_of_key)
    return context


def authorities(context: ssl.SSLContext, trust_anchor: str) -> frozenset[bytes]:
    """Return the certificates of the context's authorities; of a directory, the contents of its files."""
    if not Path(trust_anchor).is_dir():
        return frozenset(context.get_ca_certs(binary_form=True))
    found = set()
    # OpenSSL reads them when a client shows its certificate.
    with suppress(OSError):
        for path in Path(trust_anchor).iterdir():
            with suppress(OSError):  # no regular file, or not for pyd2's user
                found.add(read_regular(str(path), _MOST_FILE))
    return frozenset(found)


def _check_file(path: str) -> None:
    # OpenSSL opens the file itself, and would wait for ever for the writer of a FIFO.
    os.close(open_regular(path))


def _load(what: str, file: str, load: Callable[[], None], first_fault: Callable[[bytes], str]) -> None:
    try:
        load()
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError; ValueError: a NUL in the name
        text = reason(fault)
        if text.startswith("PEM lib "):
            # Of the faults that OpenSSL reports, Kea shows the first one, and Python knows the last one only.
            text = first_fault(read_regular(file, _MOST_FILE))
        elif text.startswith("no certificate assigned "):  # of the kind of this key; Kea would start with it
            text = "key type mismatch (x509 certificate routines)"
        raise ConfigError(f"load of {what} '{file}' failed: {text}") from fault


def _first_fault_of_certificates(octets: bytes) -> str:
    if b"-----BEGIN CERTIFICATE-----" not in octets:
        return "no start line (PEM routines)"
    is_whole = octets.count(b"-----BEGIN ") == octets.count(b"-----END ")
    return f"bad {'base64 decode' if is_whole else 'end line'} (PEM routines)"


def _first_fault_of_key(octets: bytes) -> str:
    return "processing error (UI routines)" if b"ENCRYPTED" in octets else "unsupported (DECODER routines)"


def reason(fault: Exception) -> str:
    """Return what OpenSSL or the system says, as Kea shows it."""
    if not isinstance(fault, ssl.SSLError):
        return (isinstance(fault, OSError) and fault.strerror) or str(fault)
    if isinstance(fault, ssl.SSLEOFError):
        return "stream truncated"
    found = _TEXT.match(str(fault))
    text = found[1].strip() if found else ""
    library = _LIBRARIES.get(fault.library or "", fault.library)
    return f"{text} ({library})" if library else text


class TlsStream:
    """A connection with TLS, used like a socket that does not block."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        """Take the connection over. Raises OSError when it is broken already."""
        self._tls = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    def handshake(self) -> None:
        """Continue the handshake. Raises BlockingIOError as long as its next message has not come."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError as fault:
            raise BlockingIOError from fault

    def recv(self, size: int) -> bytes:
        """Return what has come, empty at the end. Raises BlockingIOError, or OSError."""
        try:
            return self._tls.recv(size)
        except ssl.SSLWantReadError as fault:
            raise BlockingIOError from fault

    def send(self, data: memoryview) -> int:
        """Send a part. Raises BlockingIOError, or OSError."""
        try:
            return self._tls.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as fault:
            raise BlockingIOError from fault

    def shutdown(self, how: int) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError, ValueError):  # the client's answer is not waited for
            self._tls.unwrap()
        self._tls.shutdown(how)

    def close(self) -> None:
        """Close the connection."""
        self._tls.close()

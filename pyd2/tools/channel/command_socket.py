"""One command over a control socket of type unix, http or https."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pyd2.command_client import ask_unix
from pyd2.tools.channel import LONGEST


class HttpOptions(NamedTuple):
    """What HTTP needs beside the address."""

    credentials: bytes = b""
    """``user:password``, or empty."""
    ca_file: str = ""
    """The authorities that may have signed the server's certificate; empty: those that the system trusts."""
    cert_file: str = ""
    """The client's own certificate, or empty."""
    key_file: str = ""
    """Its key; empty: it is in the same file."""

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"HttpOptions(ca_file={self.ca_file!r})"


class CommandSocket:
    """Where a server takes commands. Each command has a connection of its own."""

    def __init__(self, address: str, options: HttpOptions | None = None) -> None:
        """Read the files of TLS, and connect to nothing yet. Raises OSError or ValueError.

        ``address`` is a path, also with ``unix:`` before it, ``http://HOST:PORT`` or ``https://HOST:PORT``.
        """
        options = options or HttpOptions()
        self.address: Final = address.removeprefix("unix:")
        self.is_http: Final = address.startswith(("http://", "https://"))
        self.port = 0
        """Of HTTP or HTTPS."""
        self._host = ""
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if options.credentials:
            self._headers["Authorization"] = f"Basic {base64.b64encode(options.credentials).decode()}"
        self._tls: ssl.SSLContext | None = None
        if self.is_http:
            url = urlsplit(address)
            is_https = url.scheme == "https"
            self._host, self.port = url.hostname or "", url.port or (443 if is_https else 80)
            if is_https:
                self._tls = _tls_context(options)

    def ask(self, command: bytes, timeout: float) -> bytes:
        """Return the answer; ``timeout`` is seconds without progress.

        Raises OSError or HTTPException without an answer, ValueError for a status other than 200 and for more
        than LONGEST octets.
        """
        if not self.is_http:
            return ask_unix(self.address, command, timeout, LONGEST)
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self.port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self.port, timeout=timeout, context=self._tls
            )
        with contextlib.closing(connection):
            connection.request("POST", "/", command, self._headers)
            response = connection.getresponse()
            answer = response.read(LONGEST + 1)
        if response.status != http.client.OK:
            raise ValueError(f"HTTP status {response.status} {response.reason}")
        if len(answer) > LONGEST:
            raise ValueError(f"longer than {LONGEST} octets")
        return answer


def _tls_context(options: HttpOptions) -> ssl.SSLContext:
    """Return a context for TLS. Raises OSError with the file that cannot be used."""
    path = options.ca_file
    try:
        context = ssl.create_default_context(cafile=path or None)
        if options.cert_file:
            path = options.cert_file
            context.load_cert_chain(path, options.key_file or None)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    return context


def read_credentials(path: str) -> bytes:
    """Return ``user:password``, the first line of a file. Raises OSError or ValueError."""
    pair = Path(path).read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    if b":" not in pair:
        raise ValueError(f"{path}: its first line is not USER:PASSWORD")
    return pair


def reason(error: Exception) -> str:
    """Return what went wrong, with the file that it is about, and without an error number."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error or type(error).__name__}"

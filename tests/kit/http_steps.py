"""A client of HTTP and HTTPS control sockets that does what the steps of recorded cases say.

A step is one connection: ``port``, ``address``, ``tls`` (files: ``ca``, ``cert``, ``key``), and one request
or a list of ``requests``: ``method``, ``path``, ``version``, ``headers`` (null: none of that name), ``body``
or ``raw``, ``user`` (name and password), ``half_close``, ``wait`` (seconds).
"""

import base64
import contextlib
import json
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kit.normalise import mask, mask_response

Answer = dict[str, Any]

_TIMEOUT = 5.0
_ANSWER_TIME = 1.0
"""Seconds that an answer may take; some requests get none."""
_IDLE_TIME = 0.15
"""Seconds in which a server closes a connection that it wants to close."""
_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


def carry_out(step: Mapping[str, Any], directory: Path) -> list[Answer]:
    """Return what came back: an entry for each request, then whether the connection is still open."""
    try:
        connection = _connect(step, directory)
    except ssl.SSLError as error:
        return [{"error": f"{type(error).__name__} {error.reason}"}]
    except OSError as error:
        return [{"error": type(error).__name__}]
    with connection:
        return _Exchange(connection, str(directory)).run(step.get("requests", [step]))


def _connect(step: Mapping[str, Any], directory: Path) -> socket.socket:
    plain = socket.create_connection((step.get("address", "127.0.0.1"), step["port"]), timeout=_TIMEOUT)
    files = step.get("tls")
    if files is None:
        return plain
    context = ssl.create_default_context(cafile=str(directory / files["ca"]))
    context.check_hostname = False
    if "cert" in files:
        context.load_cert_chain(directory / files["cert"], directory / files["key"])
    try:
        return context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


class _Exchange:
    """The requests of one connection and their answers."""

    def __init__(self, connection: socket.socket, directory: str) -> None:
        self._connection = connection
        self._directory = directory
        self._data = b""
        self._closed = False
        self._answers: list[Answer] = []

    def run(self, requests: list[Mapping[str, Any]]) -> list[Answer]:
        for request in requests:
            try:
                self._connection.sendall(self._wire(request))
                if request.get("half_close"):
                    self._connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._answers.append({"error": type(error).__name__})
                break
            self._read_answer(request.get("wait", _ANSWER_TIME))
        if not self._closed:
            self._more(_IDLE_TIME)
        end: Answer = {"connection": "closed" if self._closed else "open"}
        if self._data:
            end["more"] = _DATE.sub("@DATE@", mask(self._data.decode("latin-1"), self._directory))
        return [*self._answers, end]

    def _wire(self, request: Mapping[str, Any]) -> bytes:
        if "raw" in request:
            raw: str = request["raw"]
            return raw.encode("latin-1")
        body = request.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        payload = text.replace("@DIR@", self._directory).encode("latin-1")
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
        }
        if "user" in request:
            credentials = ":".join(request["user"]).encode("latin-1")
            headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        headers |= request.get("headers", {})
        lines = [" ".join((request.get("method", "POST"), request.get("path", "/"),
                           request.get("version", "HTTP/1.1")))]
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + payload

    def _more(self, seconds: float) -> bool:
        """Read once; False when nothing came: at the end of the connection or of the time."""
        self._connection.settimeout(seconds)
        try:
            data = self._connection.recv(65536)
        except TimeoutError:
            return False
        except ssl.SSLError as error:
            self._answers.append({"error": f"{type(error).__name__} {error.reason}"})
            data = b""
        except OSError as error:
            self._answers.append({"error": type(error).__name__})
            data = b""
        self._closed = self._closed or not data
        self._data += data
        return bool(data)

    def _read_answer(self, seconds: float) -> None:
        while b"\r\n\r\n" not in self._data and self._more(seconds):
            pass
        if b"\r\n\r\n" not in self._data:
            self._answers.append({"answer": self._data.decode("latin-1") if self._data else None})
            return
        head, self._data = self._data.split(b"\r\n\r\n", 1)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [line.split(": ", 1) for line in lines]
        length = int(dict(headers).get("Content-Length", "0"))
        while len(self._data) < length and self._more(2 * _ANSWER_TIME):
            pass
        raw, self._data = self._data[:length].decode("utf-8", "backslashreplace"), self._data[length:]
        body = mask_response(raw, self._directory)
        for header in headers:
            if header[0] == "Date" and _DATE.fullmatch(header[1]):
                header[1] = "@DATE@"
            if header[0] == "Content-Length" and body != raw:
                header[1] = "@LENGTH@"
        shown = [": ".join(header) for header in headers]
        answer: Answer = {"status": status, "headers": shown, "body": body}
        with contextlib.suppress(ValueError):
            answer["json"] = json.loads(body)
        self._answers.append(answer)

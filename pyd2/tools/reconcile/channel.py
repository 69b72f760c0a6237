"""A client of Kea's control channels: commands over UNIX sockets, HTTP and HTTPS."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from pyd2.tools.channel.http import JSON, ask_http, basic
from pyd2.tools.channel.unix import ask_unix, reason
from pyd2.tools.reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = 0
EMPTY: Final = 3
"""The ``result`` of a command that has found nothing."""

_TIMEOUT: Final = 60.0
"""Seconds for a command: a page of leases from a database may take long."""


class Answer(NamedTuple):
    """The answer to a command."""

    result: int
    text: str
    arguments: dict[str, Any]


class HttpOptions(NamedTuple):
    """What HTTP needs beside the address."""

    credentials: str = ""
    """``user:password``, or empty."""
    ca_file: str = ""
    """Who must have signed the server's certificate; empty: as the system is set up."""

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"HttpOptions(ca_file={self.ca_file!r})"


class Channel:
    """A control channel of ``unix:PATH``, ``http://HOST:PORT`` or ``https://HOST:PORT``."""

    def __init__(self, address: str, service: str, options: HttpOptions | None = None) -> None:
        """Connect to nothing yet; ``service`` is for a control agent, such as ``dhcp4``.

        Raises ReconcileError for an address of another form.
        """
        self._address = address
        self._service = service
        self._options = options or HttpOptions()
        if not is_channel(address):
            raise ReconcileError(f"not a control channel: {address}")

    def __str__(self) -> str:
        return self._address

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Return the answer to a command. Raises ReconcileError without one, or for another ``result``."""
        body: dict[str, Any] = {"command": name}
        if arguments is not None:
            body["arguments"] = arguments
        try:
            if self._address.startswith("unix:"):
                raw = ask_unix(self._address.removeprefix("unix:"), orjson.dumps(body), _TIMEOUT)
            else:
                raw = self._http(body)
            answer = read_answer(raw)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ReconcileError(f"{self}: no answer to {name}: {reason(error)}") from None
        if answer.result not in {SUCCESS, EMPTY}:
            raise ReconcileError(f"{self}: {name} failed: {answer.text}")
        return answer

    def _http(self, body: Mapping[str, Any]) -> bytes:
        place = urlsplit(self._address)
        options = self._options
        headers = JSON | (basic(options.credentials.encode()) if options.credentials else {})
        tls = ssl.create_default_context(cafile=options.ca_file or None) if place.scheme == "https" else None
        command = orjson.dumps({**body, "service": [self._service]})
        return ask_http((place.hostname or "", place.port), command, headers, _TIMEOUT, tls)



def is_channel(text: str) -> bool:
    """Whether a text names a control channel, and not a file."""
    return text.startswith(("unix:", "http://", "https://"))


def read_credentials(path: str) -> str:
    """Return ``user:password`` of a file. Raises ReconcileError."""
    try:
        text = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        raise ReconcileError(f"{path}: {reason(error)}") from None
    if ":" not in text:
        raise ReconcileError(f"{path}: not user:password")
    return text


def read_answer(raw: bytes) -> Answer:
    """Return what an answer says. Over HTTP it is in a list. Raises ValueError."""
    # Kea's texts are byte strings, and a hostname may hold any.
    value = orjson.loads(raw.decode("utf-8", "replace"))
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"a list of {len(value)} answers")
        value = value[0]
    if not isinstance(value, dict) or type(value.get("result")) is not int:
        raise ValueError("not an answer of Kea")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no map")  # noqa: TRY004  a value from outside is wrong
    return Answer(value["result"], str(value.get("text", "")), arguments)

"""A client of Kea's control channels: commands over UNIX sockets, HTTP and HTTPS."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, Final

import orjson

from pyd2.command_client import EMPTY, SUCCESS, read_command_answer
from pyd2.tools.channel.command_socket import CommandSocket, reason
from pyd2.tools.reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.tools.channel.command_socket import HttpOptions

_TIMEOUT: Final = 60.0
"""Seconds for a command: a page of leases from a database may take long."""


class Channel:
    """A control channel of ``unix:PATH``, ``http://HOST:PORT`` or ``https://HOST:PORT``."""

    def __init__(self, address: str, service: str, options: HttpOptions | None = None) -> None:
        """Connect to nothing yet; ``service`` is for a control agent, such as ``dhcp4``.

        Raises ReconcileError for an address of another form, and if a file of TLS cannot be read.
        """
        if not is_channel(address):
            raise ReconcileError(f"not a control channel: {address}")
        self._address = address
        self._service = service
        try:
            self._socket = CommandSocket(address, options)
        except (OSError, ValueError) as error:
            raise ReconcileError(f"{address}: {reason(error)}") from None

    def __str__(self) -> str:
        return self._address

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the arguments of the answer to a command; None: the command has found nothing.

        Raises ReconcileError if there is no answer, and if the command has failed.
        """
        body: dict[str, Any] = {"command": name}
        if arguments is not None:
            body["arguments"] = arguments
        if self._socket.is_http:
            body["service"] = [self._service]
        try:
            result, text, found = read_command_answer(self.exchange(orjson.dumps(body)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ReconcileError(f"{self}: no answer to {name}: {reason(error)}") from None
        if result not in {SUCCESS, EMPTY}:
            raise ReconcileError(f"{self}: {name} failed: {text}")
        return found if result == SUCCESS else None

    def exchange(self, command: bytes) -> bytes:
        """Return the octets of the answer to those of a command; raises as CommandSocket.ask does."""
        return self._socket.ask(command, _TIMEOUT)


def is_channel(text: str) -> bool:
    """Whether a text names a control channel, and not a file."""
    return text.startswith(("unix:", "http://", "https://"))

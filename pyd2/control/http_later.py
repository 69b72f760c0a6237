"""Responses that are not there yet when a request is answered, or that never end: searches, event streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.control.http_response import Response


class Awaited(Protocol):
    """A response that comes later. All is called in the main thread."""

    def begin(self, later: Later) -> None:
        """Begin; ``later`` gets the response, now or in time."""

    def leave(self) -> None:
        """End soon: the connection is about to close, or a new configuration lets other clients in."""

    def gone(self) -> None:
        """Note that the client has gone: nothing can be sent any more."""


class Sending(Protocol):
    """The connection of a response: ``pyd2.net.control_http_connection.HttpConnection``."""

    @property
    def unsent(self) -> int:
        """Octets that the client has not taken yet."""

    def send(self, data: bytes, *, last: bool) -> None:
        """Send octets of the response."""


class Later:
    """An awaited response on its connection. ``octets`` writes a response, and logs it."""

    def __init__(self, awaited: Awaited, octets: Callable[[Response], bytes]) -> None:
        self._awaited = awaited
        self._octets = octets
        self._connection: Sending | None = None

    # For the connection.

    def begin(self, connection: Sending) -> None:
        """Begin."""
        self._connection = connection
        self._awaited.begin(self)

    def leave(self) -> None:
        """End soon."""
        self._awaited.leave()

    def gone(self) -> None:
        """The connection is closed."""
        self._connection = None
        self._awaited.gone()

    # For the response.

    def respond(self, response: Response) -> None:
        """Send a response; without a body it is the beginning of one that ``write`` continues."""
        if self._connection is not None:
            self._connection.send(self._octets(response), last=response.body is not None)

    def write(self, data: bytes) -> None:
        """Continue the response."""
        if self._connection is not None:
            self._connection.send(data, last=False)

    def end(self) -> None:
        """End the response."""
        if self._connection is not None:
            self._connection.send(b"", last=True)

    @property
    def unsent(self) -> int:
        """Octets that the client has not taken yet."""
        return 0 if self._connection is None else self._connection.unsent

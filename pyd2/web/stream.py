"""The stream of events: ``status`` once a second, ``failure`` as they come (server-sent events of HTML).

It delays nothing: a reader that does not keep up misses events, which the next ``status`` says; one that
takes nothing for ten seconds is closed by its connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.control.http_pages import page
from pyd2.web.answers import ApiError, json_text, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.control.http_later import Awaited, Later
    from pyd2.control.http_pages import PageRequest

MOST_READERS: Final = 8
MOST_FAILURES: Final = 10
"""Failures that are sent at a time: the newest."""
MOST_UNSENT: Final = 128 * 1024
"""Octets that may wait for a reader before it misses events."""
AGAIN_MS: Final = 2000
"""After so many milliseconds a browser connects again."""


class EventStream:
    """The readers; ``status`` makes the status, ``hurry`` has it sent soon."""

    def __init__(self, status: Callable[[], dict[str, Any]], hurry: Callable[[], None]) -> None:
        self._status = status
        self._hurry = hurry
        self._readers: dict[Reader, None] = {}

    def source(self, request: PageRequest) -> Awaited:
        """``/api/v1/events``: begin to read."""
        parameters(request.query, {})
        if len(self._readers) >= MOST_READERS:
            raise ApiError("busy", f"{MOST_READERS} clients read the events already")
        return Reader(self)

    def send(self, failures: list[dict[str, Any]], count: int) -> bool:
        """Send what there is, of ``count`` failures the newest; return whether there is a reader."""
        if not self._readers:
            return False
        events = [_event("failure", failure) for failure in failures[-MOST_FAILURES:]]
        status = self._status()
        for reader in list(self._readers):
            reader.send(status, events, count - len(events))
        return True

    def end(self) -> None:
        """End the streams of all readers."""
        for reader in list(self._readers):
            reader.leave()

    def add(self, reader: Reader) -> None:
        """Note a reader, which gets the first status at once."""
        self._readers[reader] = None
        self._hurry()

    def remove(self, reader: Reader) -> None:
        """Forget a reader."""
        self._readers.pop(reader, None)


class Reader:
    """A client of the stream: an ``Awaited``."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._later: Later | None = None
        self._missed = 0
        """Events that it did not get, since the last status."""

    def begin(self, later: Later) -> None:
        """See Awaited."""
        self._later = later
        later.respond(page("text/event-stream", None))
        later.write(f"retry: {AGAIN_MS}\n\n".encode())
        self._stream.add(self)

    def leave(self) -> None:
        """See Awaited."""
        self._stream.remove(self)
        if self._later is not None:
            self._later.end()

    def gone(self) -> None:
        """See Awaited."""
        self._stream.remove(self)
        self._later = None

    def send(self, status: dict[str, Any], failures: list[bytes], left_out: int) -> None:
        """Send a status, and failures before it; ``left_out`` is how many more there were."""
        later = self._later
        self._missed += left_out
        if later is None:
            return
        if later.unsent > MOST_UNSENT:
            self._missed += len(failures)
            return
        later.write(b"".join((*failures, _event("status", {**status, "missed": self._missed}))))
        self._missed = 0


def _event(name: str, value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json_text(value))

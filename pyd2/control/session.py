"""One connection of the control channel, without its socket: bytes of a request in, its answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.redact import redact_request
from pyd2.control.answer import error
from pyd2.control.framing import MAX_REQUEST, MAX_VALUES, CommandFeed, FeedState
from pyd2.data.json import from_wire
from pyd2.data.text import to_text
from pyd2.errors import JsonError, TooManyValuesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element
    from pyd2.messages import Log


class CommandSession:
    """Reads one request and has it carried out (contract, section 8, "Framing").

    ``process`` takes the request and returns its answer, None for none. ``number`` is the socket's file
    descriptor, for messages. ``before_answer`` is called when all that the answer tells of is logged.
    """

    def __init__(
        self,
        process: Callable[[Element], Element | None],
        log: Log,
        number: int,
        before_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._process = process
        self._log = log
        self._number = number
        self._before_answer = before_answer
        self._feed = CommandFeed()

    @property
    def size(self) -> int:
        """How many bytes of a command have come, without comments and what stands before it."""
        return self._feed.size

    def receive(self, data: bytes) -> bytes | None:
        """Take the next bytes; return None if more must come, else the answer.

        An empty answer means that the connection is to be closed without one.
        """
        answer = self._answer(data)
        if answer is not None:
            self._before_answer()
        return answer

    def _answer(self, data: bytes) -> bytes | None:
        state = self._feed.feed(data)
        if state is FeedState.NEEDS_DATA:
            return None
        if state is FeedState.TOO_LONG:
            self._log.emit("PYD2_CONTROL_REQUEST_TOO_LARGE", MAX_REQUEST, self._number)
            return _encode(error(self._feed.error))
        if state is FeedState.FAILED:
            return self._refuse(self._feed.error)
        try:
            request = from_wire(self._feed.text, max_values=MAX_VALUES)
        except TooManyValuesError as fault:
            self._log.emit("PYD2_CONTROL_REQUEST_TOO_MANY_VALUES", MAX_VALUES, self._number)
            return _encode(error(str(fault)))
        except JsonError as fault:
            return self._refuse(str(fault))
        response = self._process(request)
        if response is None:
            self._log.emit("COMMAND_RESPONSE_ERROR", to_text(redact_request(request)))
            return b""
        return _encode(response)

    def timed_out(self) -> bytes:
        """Return the answer to a request that does not go on."""
        text = "Connection over control channel timed out"
        if self.size:
            text += f", discarded partial command of {self.size} bytes"
        self._before_answer()
        return _encode(error(text))

    def _refuse(self, text: str) -> bytes:
        self._log.emit("COMMAND_PROCESS_ERROR1", text)
        return _encode(error(text))


def _encode(response: Element) -> bytes:
    return to_text(response).encode("utf-8", "surrogateescape")

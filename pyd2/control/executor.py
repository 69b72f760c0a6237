"""Carries out one command: from its text to the bytes of its answer.

A framing decides how a command and its answer are delimited on a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.redact import redact_request
from pyd2.control.answer import error
from pyd2.data.json import from_wire
from pyd2.data.text import to_text
from pyd2.errors import JsonError, TooManyValuesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element
    from pyd2.messages import Log

MAX_VALUES = 400_000
"""The most values in a command, each map and list counted as one: a config-set with 50,000 zones has 350,000.

A command is read without interruption; no other work of the main thread runs meanwhile. On a busy core
400,000 values took 1.3 s as a list of integers, 2.7 s as a map and 4 s with an escape in each key and string,
up to 250 bytes a value.
"""


class CommandExecutor:
    """Carries out commands (contract, section 8), one at a time.

    ``process`` takes a request and returns its answer, None for none. ``before_answer`` is called as soon as
    all that an answer reports is logged, and before the answer is returned.
    """

    def __init__(
        self,
        process: Callable[[Element], Element | None],
        log: Log,
        before_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._process = process
        self._log = log
        self._before_answer = before_answer

    def execute(self, text: bytes, number: int) -> bytes:
        """Carry out the command that a text holds and return its answer; empty: none is to be sent.

        ``number`` is the connection's file descriptor, for messages.
        """
        try:
            request = from_wire(text, max_values=MAX_VALUES)
        except TooManyValuesError as fault:
            self._log.emit("PYD2_CONTROL_REQUEST_TOO_MANY_VALUES", MAX_VALUES, number)
            return self.failure(str(fault))
        except JsonError as fault:
            return self.refuse(str(fault))
        response = self._process(request)
        if response is None:
            self._log.emit("COMMAND_RESPONSE_ERROR", to_text(redact_request(request)))
            self._before_answer()
            return b""
        return self._encode(response)

    def refuse(self, text: str) -> bytes:
        """Log why the received bytes are no command, and return the answer."""
        self._log.emit("COMMAND_PROCESS_ERROR1", text)
        return self.failure(text)

    def failure(self, text: str) -> bytes:
        """Return the answer with this error; nothing is logged."""
        return self._encode(error(text))

    def _encode(self, response: Element) -> bytes:
        answer = to_text(response).encode("utf-8", "surrogateescape")
        self._before_answer()
        return answer

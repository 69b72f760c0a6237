"""The answers to commands (contract, section 8, "Result codes")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.data.element import Element
from pyd2.errors import CommandError, SocketError

if TYPE_CHECKING:
    from pyd2.errors import Pyd2Error

SUCCESS = 0
ERROR = 1
UNSUPPORTED = 2
FATAL_ERROR = 5
"""The control sockets of a configuration cannot be opened (Kea 3.0.4)."""


def answer(result: int, text: str = "", arguments: Element | None = None) -> Element:
    """Return an answer: its result code, and its text and arguments if there are any.

    Raises CommandError for a failure without a text.
    """
    if result != SUCCESS and not text:
        raise CommandError("Text has to be provided for status_code != 0")
    members = {"result": Element(result)}
    if text:
        members["text"] = Element(text)
    if arguments is not None:
        members["arguments"] = arguments
    return Element(members)


def error(text: str) -> Element:
    """Return the answer to a command that failed."""
    return answer(ERROR, text)


def failed(error: Pyd2Error, socket_failure: int) -> Element:
    """Return the answer to a refused configuration; ``socket_failure``: if its sockets cannot be opened."""
    return answer(socket_failure if isinstance(error, SocketError) else ERROR, str(error))


def success(text: str = "", arguments: Element | None = None) -> Element:
    """Return the answer to a command that was carried out."""
    return answer(SUCCESS, text, arguments)

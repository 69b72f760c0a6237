"""The answers to commands (contract, section 8, "Result codes")."""

from __future__ import annotations

from pyd2.data.element import Element
from pyd2.errors import CommandError

SUCCESS = 0
ERROR = 1
UNSUPPORTED = 2


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


def success(text: str = "", arguments: Element | None = None) -> Element:
    """Return the answer to a command that was carried out."""
    return answer(SUCCESS, text, arguments)

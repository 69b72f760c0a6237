"""What waits to be written: messages without their lines yet, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.observe.template import MARK, substitute
from pyd2.packets.packed import PackedRequest, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.observe.appenders import Output
    from pyd2.observe.pattern import LineWriter

TOLD_SECONDS: Final = 0.005
"""Requests that are told of within this time have the time of the first: their lines are made together."""
_HOLE: Final = "\0"
"""Where the message goes in a line that is made without it."""


class Target(NamedTuple):
    """Where the messages of one logger at one severity go."""

    writers: tuple[tuple[Output, LineWriter], ...]
    """The outputs, each with what makes a line for it."""
    urgent: bool
    """WARN and above are written at once."""


Text: TypeAlias = tuple[Target, float, str]
"""A message: where it goes, when it was emitted (seconds since the epoch), and its text, ID first."""


def put(text: Text) -> int:
    """Hand a message's lines to its outputs; return how many characters they have about."""
    target, now, message = text
    for output, line in target.writers:
        output.pending.append(line(message, now))
    return len(message)


class Known(NamedTuple):
    """A message of the catalogue that is written."""

    template: str
    """ID and text."""
    form: str
    """The same for the operator ``%``."""
    places: int
    """How many arguments that takes; -1: the template is not that plain."""
    target: Target
    escape: Callable[[str], str]
    """Makes control characters of the arguments visible."""

    def text(self, arguments: tuple[object, ...]) -> str:
        """Return ID and text with the arguments."""
        text = self.form % arguments if len(arguments) == self.places else MARK
        if MARK in text:  # in an argument it may be one that Kea replaces
            text = substitute(self.template, arguments)
        return text if text.isprintable() else self.escape(text)


class Told:
    """Requests that one message tells of, in a row and at about the same time."""

    __slots__ = ("_message", "message_id", "now", "requests", "until")

    def __init__(self, message_id: str, message: Known, now: float) -> None:
        self.message_id: Final = message_id
        self.now: Final = now
        self.until: Final = now + TOLD_SECONDS
        self.requests: Final[list[PackedRequest]] = []
        self._message: Final = message

    def put(self) -> int:
        """Hand the lines to the outputs; return how many characters they have about."""
        told = self.requests
        template, form, _, target, _ = self._message
        before, between, after = form.split("%s")
        size = 0
        for output, line in target.writers:
            head, *tail = line(_HOLE, self.now).split(_HOLE)
            framed = output.framed and len(tail) == 1
            lines = show(told, head + before, between, after + tail[0]) if framed else []
            if not lines or MARK in "".join(lines):
                texts = (substitute(template, (request.request_id, request.text())) for request in told)
                lines = [line(text, self.now) for text in texts]
            output.pending.extend(lines)
            size = sum(map(len, lines))
        return size

"""Messages that wait to be written, before their lines are made, and the outputs that they go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.observe.template import MARK, substitute

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.messages import LoggedRequest
    from pyd2.observe.appenders import Output
    from pyd2.observe.pattern import LineWriter

GROUP_SECONDS: Final = 0.005
"""How long a group of requests stays open. All its lines have the time of its first request."""
_HOLE: Final = "\0"
"""Stands for the message in a line that is made without it."""


class Target(NamedTuple):
    """The destination of the messages of one logger at one severity."""

    writers: tuple[tuple[Output, LineWriter], ...]
    """The outputs, each with the function that makes its lines."""
    urgent: bool
    """WARN and above are written at once."""


Text: TypeAlias = tuple[Target, float, str]
"""A message: its target, when it was emitted (seconds since the epoch), and its text, ID first."""


def put(text: Text) -> int:
    """Add the lines of a message to its outputs; return about how many characters they have."""
    target, now, message = text
    for output, line in target.writers:
        output.pending.append(line(message, now))
    return len(message)


class Known(NamedTuple):
    """A message of the catalogue that the present configuration writes."""

    template: str
    """ID and text."""
    form: str
    """The template for the operator ``%``."""
    places: int
    """How many arguments ``form`` takes; -1: the template needs ``substitute``."""
    target: Target
    escape: Callable[[str], str]
    """Makes control characters in the arguments visible."""

    def text(self, arguments: tuple[object, ...]) -> str:
        """Return ID and text with the arguments."""
        text = self.form % arguments if len(arguments) == self.places else MARK
        if MARK in text:  # Kea replaces marks in arguments, too
            text = substitute(self.template, arguments)
        return text if text.isprintable() else self.escape(text)


class RequestGroup:
    """Requests that one message reports within a short time: their lines are made together."""

    __slots__ = ("_message", "message_id", "now", "requests", "until")

    def __init__(self, message_id: str, message: Known, now: float) -> None:
        self.message_id: Final = message_id
        self.now: Final = now
        self.until: Final = now + GROUP_SECONDS
        self.requests: Final[list[LoggedRequest]] = []
        self._message: Final = message

    def put(self) -> int:
        """Add the lines to the outputs; return about how many characters they have."""
        requests = self.requests
        show_many = requests[0].show_many
        assert show_many is not None
        template, form, _, target, _ = self._message
        before, between, after = form.split("%s")
        size = 0
        for output, line in target.writers:
            head, *tail = line(_HOLE, self.now).split(_HOLE)
            framed = output.framed and len(tail) == 1
            lines = show_many(requests, head + before, between, after + tail[0]) if framed else []
            if not lines or MARK in "".join(lines):
                texts = (substitute(template, (request.request_id, request.text())) for request in requests)
                lines = [line(text, self.now) for text in texts]
            output.pending.extend(lines)
            size = sum(map(len, lines))
        return size

"""What hook libraries are to do for a transaction: choose a key, sign an update, verify a reply.

Libraries run on the hook thread and may take their time, and no other transaction waits for that. So the
engine does not call them: it hands out hook jobs, and a transaction continues when its job is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from pyd2.dns.question import TruncatedAnswerError
from pyd2.errors import HookError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.update.server.lane import Lane

T = TypeVar("T")
_ABOUT_REPLIES: Final = (ReplyError, TruncatedAnswerError)
"""Errors of pyd2's own; what a library derives from them is kept as a text only."""


class HookJob(Generic[T]):
    """A job for libraries: the shell has it ``run`` on the hook thread, and gives it back to the engine."""

    __slots__ = ("_fault", "_result", "_work", "lane", "number", "then")

    def __init__(self, lane: Lane, number: int, work: Callable[[], T], then: Then[T]) -> None:
        self.lane = lane
        self.number = number
        """That of the request in the durable queue; 0: it has none."""
        self.then = then
        self._work = work
        self._result: T
        self._fault: Exception | None = None

    def run(self) -> None:
        """Do the work and keep what it returns or raises; for the hook thread."""
        try:
            self._result = self._work()
        except BaseException as error:  # whatever a library does, the engine continues
            self._fault = _kept(error)
        del self._work  # what a library made for it ends here, on the hook thread

    def result(self) -> T:
        """Return what the work has returned; raise what it has raised about a reply, else HookError."""
        if self._fault is not None:
            raise self._fault
        return self._result

    def end(self, now: float, wall: float) -> None:
        """Continue the transaction of a job that is done."""
        self.lane.hook_jobs -= 1
        self.then(self, now, wall)


def _kept(error: BaseException) -> Exception:
    """Return what another thread gets of an error: what is wrong with a reply, or a text."""
    text = _text(error)
    if isinstance(error, ReplyError) and type(error) in _ABOUT_REPLIES:
        return type(error)(text, error.reason)
    return HookError(text)


def _text(error: BaseException) -> str:
    """Return the text of an error; on the hook thread, since that of a library may do anything for it."""
    name = type(error).__name__
    try:
        return str(error) if isinstance(error, Exception) else f"{name}: {error}"
    except BaseException:
        return f"{name}, whose text cannot be had"


Then: TypeAlias = "Callable[[HookJob[T], float, float], None]"
"""How a transaction continues when its job is done, at ``now`` and ``wall``."""

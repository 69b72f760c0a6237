"""What hook libraries are to do for a transaction: choose a key, sign an update, verify a reply.

Libraries run in one thread and may take their time, which nobody else is to wait for. So the engine does not
call them: it hands out hook_jobs, and the transaction goes on when its job comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from pyd2.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.update.server.lane import Lane

T = TypeVar("T")

MOST: Final = 96
"""PendingJobs out for the transactions of a lane from which on no further ones begin there."""


class HookJob(Generic[T]):
    """One thing to be done where libraries run: ``run`` it there, and give it back to the engine."""

    __slots__ = ("_fault", "_result", "_work", "lane", "number", "then")

    def __init__(self, lane: Lane, number: int, work: Callable[[], T], then: Then[T]) -> None:
        self.lane = lane
        self.number = number
        """The request's in the durable queue; 0 without."""
        self.then = then
        self._work = work
        self._result: T
        self._fault: str | None = None

    def run(self) -> None:
        """Do the work; what it raises is kept, too."""
        try:
            self._result = self._work()
        except BaseException as error:  # whatever a library does, the engine goes on
            self._fault = _text(error)
        del self._work  # what a library made for it ends here, where libraries run

    def result(self) -> T:
        """Return what the work has returned; raise HookError with the text of what it has raised."""
        if self._fault is not None:
            raise HookError(self._fault)
        return self._result


def _text(error: BaseException) -> str:
    """Return what an error says; where libraries run, since theirs may do anything for it."""
    name = type(error).__name__
    try:
        return str(error) if isinstance(error, Exception) else f"{name}: {error}"
    except BaseException:
        return f"{name}, whose text cannot be had"


Then: TypeAlias = "Callable[[HookJob[T], float, float], None]"
"""How a transaction goes on with its job done, at ``now`` and ``wall``."""


class PendingJobs:
    """Those that the engine has to hand out."""

    def __init__(self) -> None:
        self._waiting: list[HookJob[Any]] = []

    def add(self, lane: Lane, number: int, work: Callable[[], T], then: Then[T]) -> None:
        """Have work done for a transaction that is at a lane's server; ``number`` is its request's."""
        lane.hook_jobs += 1
        self._waiting.append(HookJob(lane, number, work, then))

    def take(self) -> list[HookJob[Any]]:
        """Return those to be done, in their order."""
        waiting = self._waiting
        if waiting:
            self._waiting = []
        return waiting

    @staticmethod
    def end(job: HookJob[Any], now: float, wall: float) -> None:
        """Let the transaction of an job that is done go on."""
        job.lane.hook_jobs -= 1
        job.then(job, now, wall)

"""What an owner needs of the update service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.cluster.term import Term
    from pyd2.queue.interface import DeadLetter


class Host(Protocol):
    """The update service, as an owner needs it; all of it in the update thread."""

    @property
    def ready(self) -> bool:
        """Whether there is an engine that has nothing under way."""

    def begin(self, term: Term) -> None:
        """Report the ends of requests to this term from now on."""

    def carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Give requests to the engine."""

    @property
    def retries(self) -> int:
        """How many requests wait in the engine to be tried again."""

    @property
    def turn_limit(self) -> int:
        """How many requests the engine may get in this turn of the loop; 0 if that has taken long already."""

    def hold(self) -> bool:
        """Keep all as it is until ``resume`` or ``drop``; return whether that is possible."""

    def resume(self, seconds: float) -> bool:
        """Go on after so many seconds at most; return whether that is possible."""

    def drop(self) -> None:
        """Throw away all that the engine has under way; ``ready`` when there is another one."""

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        """Keep dead letters on this machine: the shared queue does not take them."""

    def report(self, context: dict[str, Any]) -> None:
        """Log an exception that is a defect; see ``asyncio.loop.call_exception_handler``."""

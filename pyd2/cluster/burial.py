"""Hands dead letters to the shared queue: a request is done when its dead letter is safe there.

If the servers take none for a while though they take all else, they stay on the disk of this machine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.shared.interface import SharedQueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.cluster.link import Link
    from pyd2.cluster.term import Term
    from pyd2.messages import Log
    from pyd2.queue.interface import DeadLetter

ANSWER_SECONDS: Final = 2.0
"""How long the servers may take for one of them."""
HERE_SECONDS: Final = 10.0
"""When they have taken none for so long, dead letters stay here."""

_AT_ONCE: Final = 64
_PAUSE: Final = 0.5


class _Waiting(NamedTuple):
    """A dead letter."""

    term: Term
    number: int
    """Of its request in the term."""
    dead_letter: DeadLetter


class Burial:
    """``bury_here`` keeps dead letters on the disk of this machine.

    ``works`` says whether the servers take what else this node writes, as far as is known.
    """

    def __init__(
        self, link: Link, bury_here: Callable[[Sequence[DeadLetter]], None], log: Log, site: str,
        works: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._link = link
        self._bury_here = bury_here
        self._log = log
        self._site = site
        self._works = works
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._here = False
        """Whether dead letters stay on this machine."""
        self.buried = 0
        """Dead letters that are in the shared queue since the start."""

    def add(self, term: Term, dead_letters: Sequence[tuple[int, DeadLetter]]) -> None:
        """Take dead letters with the numbers of their requests."""
        self._waiting.extend(_Waiting(term, number, dead_letter) for number, dead_letter in dead_letters)
        self._wake.set()

    async def run(self) -> None:
        """Hand them over, until this is cancelled."""
        loop = asyncio.get_running_loop()
        failing_since: float | None = None
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            some = self._take()
            failed = await self._hand_over(some)
            if failed is None:
                failing_since, self._here = None, False
                continue
            if failing_since is None or not self._works():
                failing_since = loop.time()
            if self._here or loop.time() - failing_since >= HERE_SECONDS:
                self._keep_here(failed)
            else:
                await asyncio.sleep(_PAUSE)

    def _take(self) -> list[_Waiting]:
        """Return the first ones; those of terms that have ended come again if they fail again."""
        some = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        return [one for one in some if not one.term.closed]

    async def _hand_over(self, some: Sequence[_Waiting]) -> str | None:
        """Hand some over; those that were not taken wait again. Return why, or None if all were taken."""
        calls = [self._bury(one.dead_letter) for one in some]
        faults = await asyncio.gather(*calls)
        failed = [one for one, fault in zip(some, faults, strict=True) if fault is not None]
        for one, fault in zip(some, faults, strict=True):
            if fault is None:
                self.buried += 1
                one.term.buried((one.number,))
        self._waiting.extendleft(reversed(failed))
        return next((fault for fault in faults if fault is not None), None)

    async def _bury(self, dead_letter: DeadLetter) -> str | None:
        try:
            await self._link.queue.bury(dead_letter, ANSWER_SECONDS)
        except SharedQueueError as error:
            return str(error)
        return None

    def _keep_here(self, fault: str) -> None:
        if not self._here:
            self._here = True
            self._log.emit("PYD2_CLUSTER_DEAD_LETTERS_HERE", self._site, fault)
        some = self._take()
        self._bury_here([one.dead_letter for one in some])
        for one in some:
            one.term.buried((one.number,))

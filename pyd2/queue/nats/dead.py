"""The dead letters of a site in JetStream, for the operator: a message for each, numbered by its sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.nats.reader import read_all
from pyd2.queue.nats.site import failing
from pyd2.queue.shared.batch import BatchError
from pyd2.queue.shared.dead import read_dead
from pyd2.queue.shared.interface import SharedQueueError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.nats.jetstream import JetStream, StreamState
    from pyd2.queue.nats.site import Site


class SiteDeadLetters:
    """All methods raise SharedQueueError."""

    def __init__(self, jetstream: JetStream, site: Site) -> None:
        self._jetstream = jetstream
        self._site = site
        self.unreadable: list[str] = []
        """What ``read`` has left out."""

    async def count(self) -> int:
        """Return how many there are."""
        return (await self._state()).messages

    async def read(self) -> list[DeadLetter]:
        """Return them, the oldest first; what cannot be read is left out."""
        await self._state()
        found: list[DeadLetter] = []
        with failing():
            async for stored in read_all(self._jetstream, self._site.dead):
                try:
                    found.append(read_dead(stored.sequence, stored.payload))
                except BatchError as error:
                    self.unreadable.append(f"dead letter {stored.sequence}: {error}")
        return found

    async def remove(self, numbers: Iterable[int]) -> None:
        """Remove dead letters by their numbers; those that are not there are no error."""
        with failing():
            for number in numbers:
                await self._jetstream.delete(self._site.dead, number)

    async def _state(self) -> StreamState:
        with failing():
            state = await self._jetstream.stream_state(self._site.dead)
        if state is None:
            raise SharedQueueError(f"there is no stream {self._site.dead}: make it by 'pyd2ctl queue create'")
        return state

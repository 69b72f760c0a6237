"""Has what is done removed from the shared queue, now and then: whenever that happens, it does no harm.

What a record says is removed DROP_SECONDS later at the earliest: servers may lose the last writes that they
had acknowledged, a record, too.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.interface import SharedQueueError, UnansweredError
from pyd2.queue.shared.progress import name_of

if TYPE_CHECKING:
    from pyd2.cluster.contact import Contact
    from pyd2.queue.shared.interface import SharedQueue
    from pyd2.queue.shared.late import LateName
    from pyd2.queue.shared.record import Record, Revision

DROP_SECONDS: Final = 10.0
"""How often the owner has removed what is done.

It costs the servers a write to their disks, and nats-server 2.10 may lose the count of what it has in it.
"""


class Removal:
    """What one node has had removed."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._task: asyncio.Task[None] | None = None
        self._next_at = 0.0
        """When something may be removed again, in monotonic seconds."""
        self._dropped = 0
        """What is up to this sequence was removed."""
        self._before: Record | None = None
        """The record when something was removed last."""
        self._ended: dict[LateName, Revision] = {}
        """Late batches that have ended, with the writes that say so."""

    def add_late(self, name: LateName, revision: Revision) -> None:
        """Note a late batch of which nothing is left, as a write says."""
        self._ended[name] = revision

    def go_on(self, queue: SharedQueue, record: Record) -> None:
        """Remove what the written record says is done; the batch at the floor stays, to be compared."""
        busy = self._task is not None and not self._task.done()
        if busy or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + DROP_SECONDS
        before, self._before = self._before, record
        if before is not None and (self._is_new(before.floor - 1) or self._ended):
            self._task = asyncio.get_running_loop().create_task(self._remove(queue, before))

    def begin_again(self) -> None:
        """Remove nothing on the word of a record that was written until now."""
        self.cancel()
        self._before = None

    def cancel(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def _remove(self, queue: SharedQueue, record: Record) -> None:
        """Remove what a record says is done. What fails is tried again later, with more."""
        try:
            await self._drop(queue, record)
            await self._drop_late(queue)
        except UnansweredError:
            pass  # as while servers choose a leader
        except SharedQueueError as error:
            self._contact.unremoved(str(error))
        else:
            self._contact.removed()

    async def _drop(self, queue: SharedQueue, record: Record) -> None:
        up_to = record.floor - 1
        if self._is_new(up_to):
            # Servers that have lost what they had acknowledged give its sequences to new batches.
            at_floor = await queue.batch(record.floor)
            if at_floor is not None and name_of(at_floor) == record.at:
                await queue.drop(up_to)
                self._dropped = up_to

    async def _drop_late(self, queue: SharedQueue) -> None:
        for name, revision in list(self._ended.items()):
            await queue.drop_late(name, revision)
            del self._ended[name]

    def _is_new(self, up_to: int) -> bool:
        """Whether something may be there to remove; in a stream that was made again sequences begin at 1."""
        return 0 < up_to != self._dropped

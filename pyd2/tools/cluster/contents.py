"""``pyd2ctl queue count|list|export|requeue|remove nats:SITE``: what a shared queue holds.

What waits is what the record does not say is done: some of it may be under way, or just done. Only the owner
takes requests out of the queue; what is done with dead letters is up to the operator.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from pyd2.queue.interface import DeadLetter, Entry
from pyd2.queue.nats.dead import SiteDeadLetters
from pyd2.queue.nats.errors import WrongSequenceError
from pyd2.queue.nats.jetstream import API_SECONDS, JetStream
from pyd2.queue.nats.reader import read_all
from pyd2.queue.nats.site import Site, SiteQueue, batch_fields, failing, read_batch
from pyd2.queue.shared.batch import BatchNumber, Joined, RequestBatch, first_batch, join, split
from pyd2.queue.shared.interface import SharedQueueError
from pyd2.queue.shared.order import Order
from pyd2.queue.shared.progress import Progress
from pyd2.tools.cluster.reach import connect_to_any, make_client, read_nats

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from pyd2.config.nats.switches import NatsSwitches
    from pyd2.queue.shared.order import Ready
    from pyd2.queue.shared.record import Record

T = TypeVar("T")
Known: TypeAlias = "Callable[[Iterable[int], Iterable[int]], list[int]]"
"""Returns the numbers that were asked for; raises ValueError for one that is not among those there."""

PREFIX: Final = "nats:"
"""What a site's queue is named by, before the site."""
RECEIVER: Final = "pyd2ctl.requeue"
"""The receiver of what an operator appends."""


class Waiting(NamedTuple):
    """What a shared queue holds that is not known to be done."""

    record: Record
    batches: list[tuple[float, Sequence[bytes]]]
    """When they came, and their requests, in the order in which a node that claims the queue begins them."""
    unreadable: list[str]
    """What cannot be read, and why."""

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return sum(len(datagrams) for _, datagrams in self.batches)

    @property
    def oldest(self) -> float | None:
        """When the first of them came, in seconds since the epoch."""
        return next((taken for taken, datagrams in self.batches if datagrams), None)

    def entries(self) -> Iterator[Entry]:
        """Yield all requests, which have no numbers."""
        for taken, datagrams in self.batches:
            for datagram in split(join(datagrams)):  # else each batch would keep what it was taken apart into
                yield Entry(0, taken, datagram)


class Contents:
    """The queue of a site, over one connection. All methods raise SharedQueueError."""

    def __init__(self, jetstream: JetStream, site: Site) -> None:
        self._jetstream = jetstream
        self._site = site
        self._queue = SiteQueue(jetstream, site)
        self.dead: Final = SiteDeadLetters(jetstream, site)

    async def waiting(self, *, whole: bool = False) -> Waiting:
        """Return what waits, with the requests if ``whole``, else only how many: there may be a gigabyte."""
        revision, record = await self._queue.record()
        late = await self._queue.late(revision, API_SECONDS)
        waiting = Waiting(record, [(batch.taken, batch.datagrams) for batch in late], [])
        order = Order(Progress(record))
        ready: list[Ready] = []
        with failing():
            async for stored in read_all(self._jetstream, self._site.requests, record.floor):
                sequence, batch, fault = read_batch(stored)
                if batch is None:
                    waiting.unreadable.append(f"batch {sequence}: {fault}")
                    continue
                if not whole:
                    batch = batch._replace(datagrams=Joined(b"", len(batch.datagrams)))
                ready += order.add(sequence, batch, 0.0)
        while (left := order.overdue(0)) is not None:
            ready += order.give_up(left)
        waiting.batches.extend((one.batch.taken, one.batch.datagrams) for one in ready)
        return waiting

    async def append(self, datagrams: Sequence[bytes]) -> None:
        """Put requests at the end."""
        subject = self._site.subject(RECEIVER)
        _, record = await self._queue.record()
        last, before = 0, record.seen.get(RECEIVER, BatchNumber(0, 0))
        with failing():
            stored = await self._jetstream.last_message(self._site.requests, subject)
        if stored is not None:
            last, batch = stored.sequence, read_batch(stored).batch
            before = max(before, batch.number) if batch is not None else before
        left, serial = list(datagrams), 0
        while left:
            some = first_batch(left)
            del left[: len(some)]
            serial += 1
            made = RequestBatch(RECEIVER, BatchNumber(before.boot + 1, serial), time.time(), some)
            # Another one who appends at the same time would use the same numbers.
            fields = {**batch_fields(made), "Nats-Expected-Last-Subject-Sequence": str(last)}
            with failing():
                try:
                    last = await self._jetstream.publish(subject, join(some), fields, seconds=API_SECONDS)
                except WrongSequenceError:
                    done = len(datagrams) - len(some) - len(left)
                    text = f"another requeue is under way; {done} of {len(datagrams)} requests were put there"
                    raise SharedQueueError(text) from None


def count(arguments: argparse.Namespace) -> tuple[int, float | None]:
    """Return how many requests wait, and when the oldest came, in seconds since the epoch."""
    waiting = within(arguments, Contents.waiting)
    _warn(waiting.unreadable)
    return waiting.requests, waiting.oldest


def entries(arguments: argparse.Namespace) -> Iterable[Entry]:
    """Return the requests that wait; what cannot be read is left out, with a warning."""
    waiting = within(arguments, lambda contents: contents.waiting(whole=True))
    _warn(waiting.unreadable)
    return waiting.entries()


def dead_letters(arguments: argparse.Namespace) -> Sequence[DeadLetter]:
    """Return the dead letters; what cannot be read is left out, with a warning."""

    async def read(contents: Contents) -> tuple[Sequence[DeadLetter], list[str]]:
        return await contents.dead.read(), contents.dead.unreadable

    found, unreadable = within(arguments, read)
    _warn(unreadable)
    return found


def _warn(unreadable: Iterable[str]) -> None:
    for text in unreadable:
        print(f"pyd2ctl queue: {text}; what can be read follows", file=sys.stderr)


def remove(arguments: argparse.Namespace, known: Known) -> int:
    """Remove dead letters; return how many. Raises ValueError for other requests."""
    if not arguments.dead:
        raise ValueError("only the owner takes requests out of a shared queue; --dead removes dead letters")

    async def change(contents: Contents) -> int:
        numbers = [*_chosen(arguments, known, await contents.dead.read())]
        await contents.dead.remove(numbers)
        return len(numbers)

    return within(arguments, change)


def requeue(arguments: argparse.Namespace, datagrams: Sequence[bytes] | None, known: Known) -> int:
    """Put these requests at the end of the queue, or dead letters, which are removed then; return how many.

    Raises ValueError for other requests.
    """
    if datagrams is None and not arguments.dead:
        raise ValueError("requests of a shared queue stay in their place: use --dead, or --file")

    async def change(contents: Contents) -> int:
        chosen = {} if datagrams is not None else _chosen(arguments, known, await contents.dead.read())
        appended = [*chosen.values()] if datagrams is None else datagrams
        await contents.append(appended)
        await contents.dead.remove(chosen)
        return len(appended)

    return within(arguments, change)


def _chosen(
    arguments: argparse.Namespace, known: Known, dead_letters: Sequence[DeadLetter]
) -> dict[int, bytes]:
    """Return the datagrams of the dead letters that the arguments name, by their numbers."""
    present = {dead_letter.number: dead_letter.datagram for dead_letter in dead_letters}
    numbers = present if arguments.all else known(arguments.numbers, present)
    return {number: present[number] for number in numbers}


def within(arguments: argparse.Namespace, act: Callable[[Contents], Coroutine[Any, Any, T]]) -> T:
    """Carry something out on the queue that ``nats:SITE`` names. Raises Pyd2Error, ValueError."""
    nats = site_of(arguments)

    async def run() -> T:
        connection = await connect_to_any(nats, make_client(nats, arguments))
        try:
            return await act(Contents(JetStream(connection), Site(nats.site)))
        finally:
            connection.end("pyd2ctl is done")
            await asyncio.sleep(0)  # the connection closes in the next turn of the loop

    return asyncio.run(run())


def site_of(arguments: argparse.Namespace) -> NatsSwitches:
    """Return where the queue is that ``nats:SITE`` names. Raises ConfigError, ValueError."""
    nats = read_nats(arguments, arguments.config)
    site = arguments.path.removeprefix(PREFIX)
    if site != nats.site:
        text = f"the site of {arguments.config} is {nats.site}, not {site}: name another file by --config"
        raise ValueError(text)
    return nats

"""The queue of a site in JetStream: its streams, and the verbs over them."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.nats.errors import NatsError, NoAnswerError, ProtocolError, WrongSequenceError
from pyd2.queue.nats.parser import read_header
from pyd2.queue.nats.reader import Reader, read_all
from pyd2.queue.shared.batch import MOST_OCTETS, BatchError, RequestBatch, join, read_number, split
from pyd2.queue.shared.dead import write_dead
from pyd2.queue.shared.interface import OutdatedError, QueuedBatch, SharedQueueError, UnansweredError
from pyd2.queue.shared.late import LateBatch, read_name
from pyd2.queue.shared.record import NO_RECORD, Revision, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.nats.jetstream import JetStream, Stored
    from pyd2.queue.shared.late import LateName
    from pyd2.queue.shared.record import Record

FORMAT: Final = "1"
MAX_BYTES: Final = 1 << 30
"""Octets of requests that wait: some 3 million requests."""
MOST_DEAD: Final = 100_000
"""Dead letters that are kept, the newest."""

_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


class Site(NamedTuple):
    """Where a part of a site's queue is."""

    name: str
    partition: int = 0

    @property
    def requests(self) -> str:
        """The stream of the requests."""
        return f"PYD2-REQ-{self.name}-{self.partition}"

    @property
    def owner(self) -> str:
        """The stream that the owner writes."""
        return f"PYD2-OWN-{self.name}-{self.partition}"

    @property
    def record(self) -> str:
        """The subject of the record."""
        return f"pyd2.own.{self.name}.{self.partition}.record"

    @property
    def late(self) -> str:
        """The subject of late batches, without their names."""
        return f"pyd2.own.{self.name}.{self.partition}.late"

    @property
    def dead(self) -> str:
        """The stream of the dead letters, of the whole site."""
        return f"PYD2-DEAD-{self.name}"

    @property
    def streams(self) -> tuple[str, str, str]:
        """All of them."""
        return self.requests, self.owner, self.dead

    @property
    def dead_letter(self) -> str:
        """The subject of the dead letters."""
        return f"pyd2.dead.{self.name}"

    def subject(self, receiver: str) -> str:
        """Return the subject of a receiver; its right to publish is for its own name."""
        return f"pyd2.req.{self.name}.{self.partition}.{receiver}"


async def create_streams(jetstream: JetStream, site: Site, replicas: int) -> None:
    """Make the streams of a site; those that are there as they should be stay. Raises as JetStream does."""
    common = {"storage": "file", "num_replicas": replicas, "retention": "limits", "allow_direct": False}
    await jetstream.create_stream({
        **common, "name": site.requests, "subjects": [site.subject("*.*")], "discard": "new",
        "max_bytes": MAX_BYTES, "max_msg_size": 2 * MOST_OCTETS, "deny_delete": True,
    })  # fmt: skip
    await jetstream.create_stream({
        **common, "name": site.owner, "subjects": [f"pyd2.own.{site.name}.{site.partition}.>"],
        "discard": "old", "max_msgs_per_subject": 1,
    })  # fmt: skip
    await jetstream.create_stream({
        **common, "name": site.dead, "subjects": [site.dead_letter], "discard": "old",
        "max_msgs": MOST_DEAD,
    })  # fmt: skip


class SiteQueue:
    """See SharedQueue: over one connection."""

    def __init__(self, jetstream: JetStream, site: Site) -> None:
        self._jetstream = jetstream
        self._site = site

    async def append(self, batch: RequestBatch, seconds: float) -> int:
        """See SharedQueue."""
        subject, fields = self._site.subject(batch.receiver), batch_fields(batch)
        with failing():
            return await self._jetstream.publish(subject, join(batch.datagrams), fields, seconds=seconds)

    async def read(self, after: int, seconds: float) -> SiteReader:
        """See SharedQueue."""
        with failing():
            reader = await Reader.open(self._jetstream, self._site.requests, after, seconds)
        return SiteReader(reader)

    async def batch(self, sequence: int) -> QueuedBatch | None:
        """See SharedQueue."""
        with failing():
            stored = await self._jetstream.message(self._site.requests, sequence)
        return None if stored is None else read_batch(stored)

    async def record(self) -> tuple[Revision, Record]:
        """See SharedQueue."""
        with failing():
            state = await self._jetstream.stream_state(self._site.owner)
            if state is None:
                raise SharedQueueError(f"there is no stream {self._site.owner}")
            stored = await self._jetstream.last_message(self._site.owner, self._site.record)
        if stored is None:
            return Revision(state.last, 0), NO_RECORD
        # It may have been written since the state was asked for.
        return Revision(max(state.last, stored.sequence), stored.sequence), read_record(stored.payload)

    async def watch(self, revision: Revision, record: Record, seconds: float) -> SiteWatch:
        """See SharedQueue."""
        with failing():
            reader = await Reader.open(self._jetstream, self._site.owner, revision.last, seconds)
        return SiteWatch(reader, self._site.record, revision, record)

    async def replace(self, record: Record, expected: Revision, seconds: float) -> Revision:
        """See SharedQueue."""
        # The former for what else the owner writes, the latter for a record from a server that lags behind.
        fields = {"Nats-Expected-Last-Sequence": str(expected.last),
                  "Nats-Expected-Last-Subject-Sequence": str(expected.record)}  # fmt: skip
        with failing():
            sequence = await self._jetstream.publish(
                self._site.record, write_record(record), fields, seconds=seconds
            )
        return Revision(sequence, sequence)

    async def drop(self, up_to: int) -> None:
        """See SharedQueue."""
        with failing():
            await self._jetstream.purge(self._site.requests, up_to)

    async def late(self, revision: Revision, seconds: float) -> list[LateBatch]:
        """See SharedQueue."""
        found: dict[str, Stored] = {}
        last = 0
        with failing():
            first = await self._jetstream.first_message(self._site.owner, seconds)
            if first is not None and (first.subject, first.sequence) == (self._site.record, revision.last):
                return []  # there were none at this record, as is usual
            async for stored in read_all(self._jetstream, self._site.owner, seconds=seconds):
                found[stored.subject], last = stored, stored.sequence
        # The record is behind all that is older than it, and always there.
        if last < revision.record:
            raise UnansweredError(f"a server has {self._site.owner} up to {last} only, not {revision.record}")
        begin = f"{self._site.late}."
        try:
            late = [_read_late(stored, subject.removeprefix(begin))
                    for subject, stored in found.items() if subject.startswith(begin)]
        except (ProtocolError, BatchError) as error:
            raise SharedQueueError(f"a late batch of {self._site.owner} cannot be read: {error}") from error
        return sorted(late)

    async def keep_late(self, batch: LateBatch, expected: Revision, seconds: float) -> Revision:
        """See SharedQueue."""
        fields = {"Pyd2-Format": FORMAT, "Pyd2-Taken": f"{batch.taken:.3f}",
                  "Nats-Expected-Last-Sequence": str(expected.last)}  # fmt: skip
        subject = f"{self._site.late}.{batch.name}"
        with failing():
            last = await self._jetstream.publish(subject, join(batch.datagrams), fields, seconds=seconds)
        return Revision(last, expected.record)

    async def drop_late(self, name: LateName, revision: Revision) -> None:
        """See SharedQueue."""
        with failing():
            await self._jetstream.purge(self._site.owner, revision.last, f"{self._site.late}.{name}")

    async def bury(self, dead_letter: DeadLetter, seconds: float) -> None:
        """See SharedQueue."""
        with failing():
            octets = write_dead(dead_letter)
            await self._jetstream.publish(self._site.dead_letter, octets, {}, seconds=seconds)


class SiteReader:
    """See BatchReader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._unread: deque[Stored] = deque()
        """Messages that have come: to read all of a pull at once would hold the loop for milliseconds."""

    async def read(self, seconds: float) -> list[QueuedBatch]:
        """See BatchReader."""
        if not self._unread:
            with failing():
                self._unread.extend(await self._reader.read(seconds))
        found: list[QueuedBatch] = []
        octets = 0
        while self._unread and octets < MOST_OCTETS:
            octets += len(self._unread[0].payload)
            found.append(read_batch(self._unread.popleft()))
        return found

    def close(self) -> None:
        """See BatchReader."""
        self._reader.close()


class SiteWatch:
    """See RecordWatch."""

    def __init__(self, reader: Reader, subject: str, revision: Revision, record: Record) -> None:
        self._reader = reader
        self._subject = subject
        self._revision = revision
        self._record = record

    async def next(self, seconds: float) -> tuple[Revision, Record] | None:
        """See RecordWatch."""
        with failing():
            found = await self._reader.read(seconds)
        for stored in found:
            if stored.subject == self._subject:
                self._revision = Revision(stored.sequence, stored.sequence)
                self._record = read_record(stored.payload)
            else:
                self._revision = self._revision._replace(last=stored.sequence)
        return (self._revision, self._record) if found else None

    def close(self) -> None:
        """See RecordWatch."""
        self._reader.close()


def batch_fields(batch: RequestBatch) -> dict[str, str]:
    """Return the fields of the header of a batch."""
    fields = {"Pyd2-Format": FORMAT, "Pyd2-Batch": str(batch.number), "Pyd2-Taken": f"{batch.taken:.3f}"}
    if batch.spooled:
        fields["Pyd2-Spooled"] = "1"
    return fields


def read_batch(stored: Stored) -> QueuedBatch:
    """Read a batch as it is stored: whoever may publish may have written anything."""
    try:
        return QueuedBatch(stored.sequence, _read_batch(stored))
    except (ProtocolError, BatchError) as error:
        return QueuedBatch(stored.sequence, None, str(error))


def _read_batch(stored: Stored) -> RequestBatch:
    fields = _fields(stored)
    number = read_number(fields.get("Pyd2-Batch", ""))
    receiver = ".".join(stored.subject.split(".")[4:])
    spooled = "Pyd2-Spooled" in fields
    return RequestBatch(receiver, number, _taken(fields), split(stored.payload), spooled)


def _read_late(stored: Stored, name: str) -> LateBatch:
    return LateBatch(read_name(name), _taken(_fields(stored)), split(stored.payload))


def _fields(stored: Stored) -> dict[str, str]:
    fields = read_header(stored.header).fields
    if fields.get("Pyd2-Format") != FORMAT:
        raise BatchError(f"it has the format {fields.get('Pyd2-Format')!r}, and this pyd2 knows {FORMAT}")
    return fields


def _taken(fields: Mapping[str, str]) -> float:
    taken = fields.get("Pyd2-Taken", "")
    if not _SECONDS.fullmatch(taken):
        raise BatchError(f"{taken[:60]!r} is no time")
    return float(taken)


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn errors of NATS into those of a shared queue."""
    try:
        yield
    except WrongSequenceError as error:
        raise OutdatedError(str(error)) from error
    except NoAnswerError as error:
        raise UnansweredError(str(error)) from error
    except NatsError as error:
        raise SharedQueueError(str(error)) from error

"""Who owns a shared queue: the rules of lease and epoch, without IO and without a clock.

Theory of operation
-------------------
All nodes know the *record* (``record``) by its *revision*, and replace it only by naming the revision that
they know; so of several that try, one succeeds. The node that it names is the owner. A successful write gives
it the lease from the moment when the write *began*, by its own clocks. Another node claims the queue when it
has seen one revision for ``lease + grace`` of its own clock. It has begun to wait when the answer with this
revision had come, thus after the owner's write had begun: so the lease is over first, as long as the clocks
of the two do not differ by more than ``grace`` in that time.

An owner whose lease is over sends nothing. If it can still replace the record, there was no other owner
meanwhile, and it continues where it was.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.shared.record import Record, Revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.queue.shared.batch import BatchNumber


class Moment(NamedTuple):
    """The time by two clocks, in seconds."""

    boot: float
    """``CLOCK_BOOTTIME``: it also runs while the machine sleeps."""
    wall: float
    """Since the epoch; it finds a virtual machine that stood still, once its clock has been put right."""


class Change(Enum):
    """What an observation means for a node."""

    NONE = auto()
    GAINED = auto()
    """It is the owner: its claim was carried out without an answer. It must renew before it sends."""
    LOST = auto()
    """It is the owner no more, and drops all that it has."""


class Write(NamedTuple):
    """A write of the record: it is to be carried out if the revision is the expected one."""

    record: Record
    expected: Revision
    begun: Moment


class Ownership:
    """The view of one node. It has one write under way at a time.

    A write ends by ``written``, one beside the record by ``kept``, or by ``refused`` or ``unanswered``; after
    these two the record is to be read.
    """

    def __init__(self, node: str, lease: float, grace: float) -> None:
        """``node`` must be this process's alone; ``lease`` and ``grace`` are in seconds."""
        self.node: Final = node
        self.is_owner = False
        self.record: Record | None = None
        """The last one that was read or written; None: none yet."""
        self._lease = lease
        self._wait = lease + grace
        self._epoch = 0
        """In which the node owns the queue, or last did: one that it has dropped is never taken up again."""
        self._revision = Revision(0, 0)
        self._since = 0.0
        """Since when this revision has been known, by ``Moment.boot``."""
        self._lease_until: Moment | None = None
        self._refused = False
        """Whether a write was refused, and the record not read since."""
        self._under_way: Write | None = None

    def may_send(self, now: Moment) -> bool:
        """Return whether the node may send updates; ask before each batch."""
        until = self._lease_until
        return until is not None and not self._refused and now.boot < until.boot and now.wall < until.wall

    def lease_left(self, now: Moment) -> float:
        """Return for how many seconds more the node may send."""
        until = self._lease_until
        return max(0.0, min(until.boot - now.boot, until.wall - now.wall)) if until is not None else 0.0

    @property
    def revision(self) -> Revision:
        """That of the record."""
        return self._revision

    def may_write(self) -> bool:
        """Return whether the node, which owns the queue, may write the record."""
        return self.is_owner and not self._refused and self._under_way is None

    def may_claim(self, now: Moment) -> bool:
        """Return whether the node may try to become the owner."""
        if self.is_owner or self._refused or self._under_way is not None or self.record is None:
            return False
        return self.seconds_to_claim(now) <= 0.0

    def seconds_to_claim(self, now: Moment) -> float:
        """Return for how long the record, which is known, forbids to claim the queue unless it changes."""
        assert self.record is not None
        return self._since + self._wait - now.boot if self.record.node else 0.0

    def observed(self, revision: Revision, record: Record, now: Moment) -> Change:
        """Note the record as it was read; ``now`` is behind the answer."""
        if self.record is None or revision != self._revision:
            self._since = now.boot
        self._revision, self.record = revision, record
        self._refused = False
        if self.is_owner:
            if record.node == self.node and record.epoch == self._epoch:
                return Change.NONE
            self.is_owner, self._lease_until = False, None
            return Change.LOST
        if record.node == self.node and record.epoch > self._epoch:
            self.is_owner, self._epoch = True, record.epoch
            return Change.GAINED
        return Change.NONE

    def claim(self, now: Moment) -> Write:
        """Return the write that makes this node the owner."""
        assert self.record is not None
        assert self.may_claim(now)
        return self._begin(self.record._replace(node=self.node, epoch=self.record.epoch + 1), now)

    def renew(
        self, now: Moment, floor: int, at: tuple[str, BatchNumber] | None, seen: Mapping[str, BatchNumber]
    ) -> Write:
        """Return the write that prolongs the lease and notes what is done."""
        assert self.record is not None
        assert self.may_write()
        return self._begin(self.record._replace(floor=floor, at=at, seen=seen), now)

    def leave(
        self, now: Moment, floor: int, at: tuple[str, BatchNumber] | None, seen: Mapping[str, BatchNumber]
    ) -> Write:
        """Return the write that lets others claim at once. From now on the node sends nothing."""
        assert self.record is not None
        assert self.may_write()
        self._lease_until = None
        return self._begin(self.record._replace(node="", floor=floor, at=at, seen=seen), now)

    def written(self, revision: Revision, now: Moment) -> None:
        """The write was carried out, and the record has this revision."""
        write = self._end()
        self._revision, self.record, self._since = revision, write.record, now.boot
        self.is_owner = write.record.node == self.node
        if self.is_owner:
            self._epoch = write.record.epoch
            begun = write.begun
            self._lease_until = Moment(begun.boot + self._lease, begun.wall + self._lease)

    def keep(self, now: Moment) -> Revision:
        """Begin a write beside the record, which does not prolong the lease; return what it expects."""
        assert self.record is not None
        assert self.may_write()
        return self._begin(self.record, now).expected

    def kept(self, revision: Revision, now: Moment) -> None:
        """The write beside the record was carried out."""
        self._end()
        self._revision, self._since = revision, now.boot

    def refused(self) -> None:
        """The record has another revision than expected: nothing is sent until it was read."""
        self._end()
        self._refused = True

    def unanswered(self) -> None:
        """It is not known whether the write was carried out; the lease stays as it was."""
        self._end()

    def _begin(self, record: Record, now: Moment) -> Write:
        self._under_way = Write(record, self._revision, now)
        return self._under_way

    def _end(self) -> Write:
        write = self._under_way
        assert write is not None
        self._under_way = None
        return write

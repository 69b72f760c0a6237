"""What waits for a DNS server's batches, and what is under way in them."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Final

from pyd2.dns.batch import MAX_UDP_BATCH
from pyd2.update.batch.group import BatchGroup
from pyd2.update.batch.owners import Owners, owner_of
from pyd2.update.batch.size import BatchesAtATime
from pyd2.update.server.lane import MOST_HELD, BatchCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.update.batch.group import GroupKey
    from pyd2.update.batch.rounds import Question, Round
    from pyd2.update.model.batch_rules import BatchRule
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.lane import Lane

PAUSE: Final = 30.0
"""Seconds without batches after an RCODE that says something about the server or the zone."""
NO_QUESTIONS: Final = 30.0
"""Seconds without questions after a round most of whose questions have brought no answer."""
MOST_GROUPS: Final = 1024
"""Groups from which on those are forgotten that are idle, with what they have learned."""
NO_TCP: Final = 30.0
"""Seconds without TCP after a connection that failed, or brought no reply in time."""


class Singles:
    """Updates that go alone and wait for a free place.

    Those that repeat a try go first: behind all that waits for a silent server each transaction would take
    the longer, the more of them there are. With Kea a repeated try does not wait.
    """

    __slots__ = ("_others", "_repeated")

    def __init__(self) -> None:
        self._repeated: deque[Transaction] = deque()
        self._others: deque[Transaction] = deque()

    def __len__(self) -> int:
        return len(self._repeated) + len(self._others)

    def add(self, transaction: Transaction) -> None:
        """Add an update behind those like it."""
        (self._repeated if transaction.tries else self._others).append(transaction)

    def put_first(self, transactions: Iterable[Transaction]) -> None:
        """Add updates before all others, the last one first."""
        self._repeated.extendleft(transactions)

    def pop(self) -> Transaction:
        """Remove and return the first update."""
        return (self._repeated or self._others).popleft()

    def pop_to(self, ready: deque[Transaction]) -> None:
        """Remove all updates, and add them to another queue before what is there."""
        for queue in (self._others, self._repeated):
            ready.extendleft(reversed(queue))
            queue.clear()


class LaneBatches:
    """What waits for batches at one server, and what is under way in them."""

    __slots__ = (
        "_most_groups", "_no_questions_until", "_no_tcp_until", "_paused", "_tcp_failed_at", "_waiting",
        "asking", "at_a_time", "counts", "groups", "lane", "odd_to_round", "owners", "places", "rounds",
        "second", "singles", "tcp_works", "to_ask", "turns", "udp", "under_way", "unsent", "zones",
        "zones_asking",
    )

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.groups: dict[GroupKey, BatchGroup] = {}
        self._most_groups = MOST_GROUPS
        self.places: dict[tuple[Kind, Step, Server, SigningKey | None], tuple[BatchRule, BatchGroup]] = {}
        """The rule for updates that may go in a batch, and the group where they wait."""
        self.turns: OrderedDict[BatchGroup, None] = OrderedDict()
        """Groups in which something waits, in the order of their turns."""
        self._waiting = 0
        """What waits there."""
        self.owners = Owners()
        self.singles = Singles()
        self.odd_to_round = False
        """Whether a round had the last odd one of the free places, and not what goes alone."""
        self.rounds = 0
        """Rounds under way."""
        self.zones: Counter[Zone] = Counter()
        """The same, by zone."""
        self.zones_asking: Counter[Zone] = Counter()
        """Of these, those whose names are being asked for: no batch of theirs is under way."""
        self.under_way = 0
        """Batches under way."""
        self.udp = 0
        """Of these, over UDP."""
        self.to_ask: deque[Question] = deque()
        """Questions that wait for a free place."""
        self.asking = 0
        """Questions under way."""
        self.second: deque[Round] = deque()
        """Rounds whose second batch waits for a free place."""
        self.tcp_works = False
        """Whether a batch was answered over TCP since one failed there."""
        self._tcp_failed_at = 0.0
        """When that was."""
        self.unsent: set[bytes] = set()
        """Owners in batches whose connection has failed; if the next one does so, too, they go alone."""
        self.at_a_time = BatchesAtATime()
        self._paused: dict[tuple[Zone, SigningKey | None], float] = {}
        self._no_tcp_until = 0.0
        self._no_questions_until = 0.0
        self.counts = lane.batched = lane.batched or BatchCounts()

    @property
    def held(self) -> int:
        """Transactions that wait here for a free place, or behind another one of their owner."""
        return self._waiting + len(self.singles) + self.owners.followers

    @property
    def ahead(self) -> int:
        """How many of these there may be before no further requests begin."""
        return min(MOST_HELD, 2 * self.lane.batch * max(2, len(self.turns)))

    def group(self, key: GroupKey) -> BatchGroup:
        """Return a group, made now if there is none yet."""
        found = self.groups.get(key)
        if found is None:
            if len(self.groups) >= self._most_groups:
                self._forget_idle_groups()
            found = self.groups[key] = BatchGroup(key, self.lane.batch)
        return found

    def _forget_idle_groups(self) -> None:
        """Forget groups in which nothing waits or is under way: a library may make a key for each update."""
        self.groups = {
            key: group for key, group in self.groups.items() if group.waiting or group.rounds
        }
        self.places.clear()
        self._most_groups = max(MOST_GROUPS, 2 * len(self.groups))

    def put(self, group: BatchGroup, owner: bytes, transaction: Transaction, now: float) -> None:
        """Add an update to a group, where it waits for a batch; its owner was taken for that."""
        if not group.waiting:
            self.turns[group] = None
            group.since = now
        group.waiting.append((owner, transaction))
        self._waiting += 1

    def put_back(self, group: BatchGroup, members: Sequence[tuple[bytes, Transaction]]) -> None:
        """Put updates that were taken from a group back, before all others."""
        group.waiting.extendleft(reversed(members))
        self.turns[group] = None
        self._waiting += len(members)

    def take(self, group: BatchGroup, count: int) -> list[tuple[bytes, Transaction]]:
        """Take so many updates from a group."""
        self._waiting -= count
        members = [group.waiting.popleft() for _ in range(count)]
        if not group.waiting:
            self.turns.pop(group, None)
        return members

    def release(self, members: Sequence[tuple[bytes, Transaction]]) -> list[Transaction]:
        """Release the owners of updates; return what waits behind these, for each owner in its order.

        What came last may not have been sorted yet.
        """
        owners = [owner for owner, _ in members]
        self.unsent.difference_update(owners)
        behind = [transaction for owner in owners for transaction in self.owners.release(owner)]
        ready = self.lane.ready
        if ready:
            released = frozenset(owners)
            unsorted = [*ready]
            ready.clear()
            for transaction in unsorted:
                (behind if owner_of(transaction) in released else ready).append(transaction)
        return behind

    def go_alone(self, owner: bytes, transaction: Transaction) -> None:
        """Add an update, whose owner is in no batch, to those that go alone."""
        self.owners.add_alone(owner, transaction)
        self.singles.add(transaction)

    def take_back_unsigned(self) -> None:
        """Put what could not be signed before all else that goes alone: each owner keeps its order."""
        ready = self.lane.ready
        count = 0
        while count < len(ready) and self.owners.has_noted(owner_of(ready[count]), ready[count]):
            count += 1
        self.singles.put_first(reversed([ready.popleft() for _ in range(count)]))

    def configure(self) -> None:
        """Keep to the lane's switch; forget the groups of servers and keys of before."""
        self._forget_idle_groups()
        for group in self.groups.values():
            group.size.limit(self.lane.batch)
        self._paused.clear()

    # Pauses.

    def pause(self, group: BatchGroup, now: float) -> None:
        """Send no batches for a zone with a key for PAUSE seconds."""
        self._paused[group.zone, group.key] = now + PAUSE

    def size(self, group: BatchGroup, now: float) -> int:
        """Return how many updates of a group may go in a batch now; 1: they go alone."""
        if self._paused:
            paused_until = self._paused.get((group.zone, group.key))
            if paused_until is not None:
                if now < paused_until:
                    return 1
                del self._paused[group.zone, group.key]
        return group.size.allowed(now)

    def leave_questions(self, now: float) -> None:
        """Ask no questions for a while: the server does not answer them."""
        self._no_questions_until = now + NO_QUESTIONS

    def may_ask(self, now: float) -> bool:
        """Whether questions may be asked."""
        return now >= self._no_questions_until

    def tcp_failed(self, begun: float, now: float) -> None:
        """Note that a batch, sent at ``begun``, has brought no reply over TCP.

        After one that did, the next connection is to show whether TCP still works: servers close connections
        for many reasons. Else UDP only is used for a while.
        """
        if self.tcp_works:
            self.tcp_works = False
            self._tcp_failed_at = now
        elif begun >= self._tcp_failed_at:
            self._no_tcp_until = now + NO_TCP

    def may_use_tcp(self, group: BatchGroup, now: float) -> bool:
        """Whether a batch may go over TCP; where the configuration asks for TCP, it always does."""
        return group.server.tcp or now >= self._no_tcp_until

    def fits_udp(self, group: BatchGroup, size: int) -> bool:
        """Whether batches of so many updates go over UDP, as far as is known."""
        return not group.server.tcp and group.fixed + group.octets * size <= MAX_UDP_BATCH

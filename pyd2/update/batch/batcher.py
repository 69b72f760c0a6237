"""Decides which of the updates that wait for a server go in a batch.

Theory of operation
-------------------
As long as the window has a free place for all that waits, updates go
alone, as with Kea. Else a free place takes what waits for one zone, with one key, up to the size of a batch;
there is no timer. While something waits, or a batch is under way, all updates for the server come here and
wait for their turn: the more comes while a batch is under way, the larger the next one is.

A batch takes one place in the window, which learns nothing from its reply time. Over UDP, which takes
``MAX_UDP_BATCH`` octets, ``UDP_AT_A_TIME`` are under way to a server; else ``TCP_AT_A_TIME`` for a zone, so
that the server has one to do while the other's reply is on its way, and others while names are asked for
(``ROUNDS_AT_A_TIME``). How many there are for all zones together follows from the server's time
(``size.py``), also for second batches. A batch that is not full waits until no other one is under way for
its zone, or for ``LONGEST_WAIT``, if those are of other groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.dns.batch import MAX_UDP_BATCH
from pyd2.dns.question import Found
from pyd2.dns.tsig import ContextKey
from pyd2.update.batch.lane_batches import LaneBatches
from pyd2.update.batch.messages import BatchMessages, must_wait
from pyd2.update.batch.outcomes import BatchOutcomes
from pyd2.update.batch.owners import owner_of
from pyd2.update.batch.rounds import Round
from pyd2.update.batch.size import SHORT
from pyd2.update.drive.library_key import LibraryKey
from pyd2.update.model.batch_rules import BATCH_RULES, BatchSort
from pyd2.update.model.plan import MAX_TIMEOUT
from pyd2.update.model.transaction import Transaction
from pyd2.update.server.lane import MAX_HOOK_JOBS, MOST_WHILE_FULL, UNKNOWN

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningKey
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.agenda import Agenda
    from pyd2.update.batch.group import BatchGroup
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.drive.replies import Replies
    from pyd2.update.model.batch_rules import BatchRule
    from pyd2.update.output import OutputBuffer
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.schedule.routing import Routing
    from pyd2.update.server.lane import Lane

UDP_AT_A_TIME: Final = 16
"""Batches under way to a server over UDP: more would overrun its socket's buffer."""
TCP_AT_A_TIME: Final = 2
"""Batches under way for a zone, if they may need TCP."""
ROUNDS_AT_A_TIME: Final = 4
"""Rounds of a zone then, with those whose names are being asked for: the server has time for batches
meanwhile. When they go on, so many batches may be under way."""
QUESTIONS_AT_A_TIME: Final = 96
"""Questions under way to a server."""
LONGEST_WAIT: Final = 0.1
"""Seconds for which updates wait, at most, for others of their group while there are batches of other groups
for their zone: what a zone gets all the time, such as removals, would keep a few additions waiting.
"""

SORTED_IN_A_STEP: Final = 4
"""Updates that are put where they wait in one step of the scheduler."""
WRITTEN_IN_A_STEP: Final = 4
"""Updates that are written into a batch in one step."""
VAIN_LOOKS: Final = 64
"""Groups that are examined, at most, without finding one that can send a batch now: a server may have very
many zones. The others are examined when the next reply comes.
"""


class Batcher:
    """The batches of all servers. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, driver: Driver, replies: Replies, routing: Routing, limit: QueueLimit, ends: Ends,
        agenda: Agenda, packets: PacketLayer, log: Log, output: OutputBuffer,
    ) -> None:
        self._driver = driver
        self._tries = driver.tries
        self._routing = routing
        self._limit = limit
        self._agenda = agenda
        self._lanes: dict[Lane, LaneBatches] = {}
        self._messages = BatchMessages(driver.sender, driver.tries, packets, ends, log, output)
        self._outcomes = BatchOutcomes(
            self._of, replies, driver.sender, driver.tries, packets, ends, log
        )

    def _of(self, lane: Lane) -> LaneBatches:
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = LaneBatches(lane)
        return found

    def configure(self) -> None:
        """Keep to the switches of a new configuration."""
        for lane, batches in [*self._lanes.items()]:
            batches.configure()
            if not lane.collecting and not batches.groups:
                del self._lanes[lane]

    def serves(self, lane: Lane, now: float) -> bool:
        """Whether all that waits at a lane goes through here: it does not fit into the window."""
        if lane.collecting:
            return True
        if lane.batch < 2:
            return False
        free = self._free_places(lane, now)
        # A measurement of the empty path, with few places, is no want of them.
        kept_back = lane.window.size - lane.window.limit
        if free <= 0 or len(lane.ready) + len(lane.waiting) <= free + kept_back:
            return False
        lane.collecting = True
        lane.window.set_beside_batches(SHORT * self._driver.timeout)
        lane.free_places = UNKNOWN
        owners = self._of(lane).owners
        for tried in (*self._tries.pending(lane).values(), *lane.orders):
            if isinstance(tried, Transaction):
                owners.add_alone(owner_of(tried), tried)
        return True

    def serve(self, lane: Lane, most: int, now: float, wall: float) -> tuple[bool, int]:
        """Use the free places of a lane; return whether there is more to do, and how many steps it took.

        ``most`` is how many steps it may take, about.
        """
        batches = self._of(lane)
        if lane.full:
            batches.take_back_unsigned()
        steps, more = self._take_in(batches, most, now, wall)
        if lane in self._driver.failover.down:
            steps += self._leave_server(batches, most - steps, now, wall)
            if steps >= most:
                return True, steps  # before anything else goes out: it would wait behind that
        free = self._free_places(lane, now)
        if not more and not batches.rounds and not lane.waiting and batches.held <= free:
            more, cost = self._dissolve(batches, most - steps, now, wall)
            return more, steps + cost
        while batches.second and free > 0:
            round_ = batches.second[0]
            if not self._may_send(batches, round_.group, len(round_.transactions)):
                break
            steps += self._send(batches, batches.second.popleft(), now, wall)
            free = self._free_places(lane, now)
        asked = self._ask_some(batches, free, now, wall)
        free -= asked
        steps += asked
        places = free
        if batches.singles:
            # These keep half of the free places: neither they nor rounds must make the others wait for long.
            batches.odd_to_round ^= free % 2 == 1
            places = (free + batches.odd_to_round) // 2
        cost, more_groups = self._begin_rounds(batches, places, most - steps, now, wall, pulled=not more)
        steps += cost
        more |= more_groups
        # Rounds that begin with questions have none under way yet, and those that gave up nothing: perhaps
        # nothing at all is, and no reply would give the lane its next turn.
        free = self._free_places(lane, now)
        asked = self._ask_some(batches, free, now, wall)
        free -= asked
        steps += asked
        while batches.singles and free > 0:
            if steps >= most:
                more = True
                break
            self._driver.send(batches.singles.pop(), now, wall)
            free = 0 if lane.has_to_wait else free - 1
            steps += 1
        lane.held = batches.held
        if free <= 0 and lane.held:
            self._agenda.full.add(lane)
        batches.owners.forget_ended()
        if free > 0 and lane.waiting and lane.hook_jobs < MAX_HOOK_JOBS:
            more |= batches.held < batches.ahead  # there are places for more than was taken in
        return more or bool(lane.ready), steps

    def _ask_some(self, batches: LaneBatches, free: int, now: float, wall: float) -> int:
        """Ask as many questions as there are free places for; return how many."""
        to_ask = batches.to_ask
        count = min(len(to_ask), free, QUESTIONS_AT_A_TIME - batches.asking)
        if count <= 0:
            return 0
        self._messages.ask(batches, [to_ask.popleft() for _ in range(count)], now, wall)
        return count

    def _free_places(self, lane: Lane, now: float) -> int:
        free = lane.window.free_places(now) - len(lane.orders) - lane.signing
        if lane.full:
            return 0 if lane.has_to_wait else min(free, MOST_WHILE_FULL)
        return free

    # What waits.

    def _take_in(self, batches: LaneBatches, most: int, now: float, wall: float) -> tuple[int, bool]:
        """Begin requests that wait, and sort their updates; return the steps, and whether there is more."""
        lane = batches.lane
        held, ahead = batches.held, batches.ahead
        down, leaves = lane.down, self._driver.failover.leaves
        parts = 0  # of steps
        while True:
            if lane.ready:
                transaction = lane.ready.popleft()
                if down and leaves(transaction):
                    self._driver.offer_again(transaction, now, wall)
                else:
                    self._sort(batches, transaction, now)
                    held += 1
                parts += 1
            elif lane.waiting and held < ahead and lane.hook_jobs < MAX_HOOK_JOBS:
                ncr = self._limit.pop(lane.waiting)
                destination = self._routing.destination(ncr)
                self._routing.begin(ncr, hash(ncr.dhcid), destination, now, wall)
                parts += SORTED_IN_A_STEP
            else:
                return parts // SORTED_IN_A_STEP, False
            if parts >= most * SORTED_IN_A_STEP:
                return most, True

    def _sort(self, batches: LaneBatches, transaction: Transaction, now: float) -> None:
        """Put an update into its group, behind another one of its owner, or among those that go alone."""
        owner = owner_of(transaction)
        if batches.owners.follow(owner, transaction):
            return
        group = self._group(batches, transaction)
        if group is not None and batches.size(group, now) > 1 and batches.owners.take(owner):
            batches.put(group, owner, transaction, now)
        else:
            batches.go_alone(owner, transaction)

    def _group(self, batches: LaneBatches, transaction: Transaction) -> BatchGroup | None:
        """Return the group in which a transaction's update may wait for a batch; None: it goes alone."""
        step = transaction.step
        like = transaction.kind, step, transaction.server, transaction.key
        place = batches.places.get(like)
        if place is None:
            place = self._find_place(batches, transaction)
            if place is None:
                return None
            batches.places[like] = place
        rule, group = place
        if transaction.tries or transaction.spare_rcode is not None:
            return None
        if rule.hops not in (None, transaction.hops):
            return None
        ncr = transaction.ncr
        if not ncr.packed and "%" in ncr.address_text and step.template.uses_address:
            return None
        return group

    def _find_place(
        self, batches: LaneBatches, transaction: Transaction
    ) -> tuple[BatchRule, BatchGroup] | None:
        """Return the rule for updates like a transaction's, and their group; None: they go alone."""
        step = transaction.step
        rule = BATCH_RULES[transaction.kind].get(step)
        zone = transaction.domain.zone
        key = transaction.key
        if (
            rule is None
            or zone is None
            or batches.lane.batch < 2
            or not _may_sign_batches(key)
            or self._driver.sender.timeout_ms > MAX_TIMEOUT
        ):
            return None
        return rule, batches.group((transaction.server, zone, key, step.forward, rule.sort))

    # What goes out.

    def _dissolve(self, batches: LaneBatches, most: int, now: float, wall: float) -> tuple[bool, int]:
        """Send what waits alone, since there is a free place for each; see ``serve``."""
        for group in [*batches.turns]:
            self._leave(batches, group)
        lane = batches.lane
        steps = 0
        while batches.singles and not lane.has_to_wait:
            if steps >= most:
                return True, steps
            self._driver.send(batches.singles.pop(), now, wall)
            steps += 1
        if lane.ready:
            return True, steps
        lane.collecting = False
        lane.window.set_beside_batches(0.0)
        lane.free_places = UNKNOWN
        lane.held = 0
        batches.owners.forget_alone()
        return False, steps

    def server_down(self, lane: Lane) -> None:
        """Sort again what waits at a lane to go alone: some of it can go to another server."""
        self._of(lane).singles.pop_to(lane.ready)

    def _leave_server(self, batches: LaneBatches, most: int, now: float, wall: float) -> int:
        """Let ``most`` of what waits for a batch go to other servers: this one does not answer.

        Returns how many did.
        """
        leaves = self._driver.failover.leaves
        leaving: list[tuple[bytes, Transaction]] = []
        for group in [*batches.turns]:
            while group.waiting and leaves(group.waiting[0][1]) and len(leaving) < most:
                leaving += batches.take(group, 1)
        batches.lane.ready.extend(batches.release(leaving))
        for _, transaction in leaving:
            self._driver.offer_again(transaction, now, wall)
        return len(leaving)

    def _leave(self, batches: LaneBatches, group: BatchGroup) -> None:
        """Let the updates of a group go alone."""
        leaving = batches.take(group, len(group.waiting))
        batches.lane.ready.extend(batches.release(leaving))
        for owner, transaction in leaving:
            batches.go_alone(owner, transaction)

    def _begin_rounds(
        self, batches: LaneBatches, left: int, most: int, now: float, wall: float, *, pulled: bool
    ) -> tuple[int, bool]:
        """Begin ``left`` rounds of what waits, at most; return the steps, and whether there is more.

        ``pulled``: nothing that might fill them is still to be taken in.
        """
        turns = batches.turns
        steps = vain = 0
        more = False
        served: list[BatchGroup] = []
        for _ in range(len(turns)):
            if left <= 0 or not turns or vain >= VAIN_LOOKS:
                break
            if steps >= most:
                more = True
                break
            group = next(iter(turns))
            turns.move_to_end(group)
            before = left
            while left > 0 and (count := self._members(batches, group, now, pulled=pulled)):
                steps += self._begin(batches, Round(group, batches.take(group, count)), now, wall)
                left -= 1
            if left == before:
                vain += 1
            else:
                served.append(group)
        for group in served:  # behind those that were looked at in vain: the next place is for these
            if group in turns:
                turns.move_to_end(group)
        return steps, more

    def _members(self, batches: LaneBatches, group: BatchGroup, now: float, *, pulled: bool) -> int:
        """Return how many updates of a group go in a batch now; some that wait may be let go alone."""
        waiting = group.waiting
        size = batches.size(group, now)
        under_way = batches.zones[group.zone]
        overdue = not group.rounds and now - group.since >= LONGEST_WAIT
        ripe = pulled and (overdue or not under_way)
        if size < 2 or (len(waiting) == 1 and ripe):
            self._leave(batches, group)
            return 0
        if not batches.may_use_tcp(group, now):
            size = min(size, max(2, int((MAX_UDP_BATCH - group.fixed) / group.octets)))
        if len(waiting) < size and not ripe:
            return 0
        if not overdue and not batches.fits_udp(group, size) and (
            under_way >= ROUNDS_AT_A_TIME or under_way - batches.zones_asking[group.zone] >= TCP_AT_A_TIME
        ):
            return 0
        count = min(size, len(waiting))
        return count if self._may_send(batches, group, count) else 0

    def _may_send(self, batches: LaneBatches, group: BatchGroup, size: int) -> bool:
        """Whether a server may get a batch of so many updates now; if not, a reply to another lets it."""
        if batches.under_way >= batches.at_a_time.number:
            return False
        if batches.udp >= UDP_AT_A_TIME and batches.fits_udp(group, size):
            return False
        return not must_wait(batches.lane, group.key)

    def _begin(self, batches: LaneBatches, round_: Round, now: float, wall: float) -> int:
        """Begin a round; return the steps."""
        group = round_.group
        group.rounds += 1
        group.since = now
        batches.rounds += 1
        batches.zones[group.zone] += 1
        if group.sort is BatchSort.ADDITIONS:
            if group.expected is Found.OURS:
                round_.take_over(round_.members)
            elif group.expected is Found.OTHERWISE and batches.may_ask(now):
                self._outcomes.ask(batches, round_)
                return 1
        return self._send(batches, round_, now, wall)

    def _send(self, batches: LaneBatches, round_: Round, now: float, wall: float) -> int:
        """Send a round's batch; return the steps."""
        count = self._messages.send_batch(batches, round_, self._outcomes, now, wall)
        if count < len(round_.transactions):
            self._keep_back(batches, round_, count)
        return 1 + count // WRITTEN_IN_A_STEP

    def _keep_back(self, batches: LaneBatches, round_: Round, count: int) -> None:
        """Put those of a round's updates that did not fit into this batch back for the next one."""
        group = round_.group
        if count == 0 or round_.second:
            self._outcomes.give_up(batches, round_, count)
            return
        members = round_.members
        round_.begin_anew(members[count:])
        round_.keep(members[:count])
        batches.put_back(group, members[count:])


def _may_sign_batches(key: SigningKey | None) -> bool:
    """Whether a key may: a library signs on another thread, and batches over TCP do not keep an order."""
    return not isinstance(key, LibraryKey) and not (isinstance(key, ContextKey) and key.in_order)

"""Requests that wait to be tried again, and what must wait behind them.

Theory of operation
-------------------
A request that has failed for a reason that may pass enters the retry queue: it releases its client (its
DHCID) and waits here, longer each time, or until a server that was down answers again. Requests that need the
same servers wait in one parking group; the group is released when one of these servers answers.

Nothing may be applied out of order, so a request that comes meanwhile is looked at (``admit``):

- Forward changes at one name keep their order: the newer request waits behind the late one, whoever its
  client is. If it makes the older one superfluous, the older one ends instead: it is *superseded*. That is so
  if the zones end up the same without it, see ``late.makes_superfluous``.
- Reverse changes at one address do not wait for each other, for the newer one overwrites what the older one
  would do: that loses its reverse change. Those removals that look for their own name in the PTR first
  (*guarded* ones) are safe beside changes for other names.

What touches neither the same name nor the same address goes on at once.

No call takes longer because much waits. A request that overwrites more than a few others is *held* until
``overwrite`` has dealt with them, a few in each turn of the engine; so are those for the same address that
come meanwhile.

Whoever waits for a late try counts as queued. The engine begins late requests; this is who tells it which.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import Chain
from pyd2.update.drive.outcomes import Dead
from pyd2.update.retry.ordering import NameQueues
from pyd2.update.retry.parking import LARGE_GROUP, ParkingGroup, ParkingGroups, leave_slot
from pyd2.update.retry.request import BEHIND, ENDED, FREE, HELD, UNDER_WAY, RetryRequest, makes_superfluous
from pyd2.update.schedule.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.model.plan import Domain
    from pyd2.update.server.lane import Lane

__all__ = ["RetryQueue", "RetryRequest"]

AT_ONCE: Final = 32
"""Older requests that a newer one supersedes or overwrites when it comes; the others, later."""
AT_ONCE_TOGETHER: Final = 3 * AT_ONCE
"""The same for all newer ones of a call; from then on each does so with one."""

SHARE_FULL: Final = "the late requests of its domain take up their share of the queue"
"""Why a request is not tried again, or does not wait behind one that is."""


class Overwriting:
    """A request whose reverse change overwrites those of many older ones."""

    __slots__ = ("behind", "late", "older")

    def __init__(self, late: RetryRequest, older: Iterator[RetryRequest]) -> None:
        self.late = late
        self.older = older
        """Those that have not been dealt with."""
        self.behind: deque[RetryRequest] = deque()
        """Requests for the same address that came meanwhile."""


class RetryQueue:
    """All late requests. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(self, counters: Counters, log: Log, draw: Callable[[], int], ends: Ends) -> None:
        """``draw`` draws 16 random bits; ``ends`` takes requests that have ended without a transaction."""
        self._counters = counters
        self._log = log
        self._draw = draw
        self._ends = ends
        self.waiting = 0
        """Retries that are not under way."""
        self.octets = 0
        """Of these."""
        self.any = False
        """Whether there are late requests, those under way included."""
        self.amended: list[RetryRequest] = []
        """Those that have less to do than they came for, until the engine takes them out."""
        self.pressing = False
        """Whether some may begin at once."""
        self.at_once = AT_ONCE_TOGETHER
        """How many older requests this call may still supersede or overwrite."""
        self.shares = Shares(counters, log)
        self._all: Chain[RetryRequest] = Chain()
        """In the order in which they began to wait."""
        self._lines = NameQueues()
        self._groups = ParkingGroups()
        self._free: deque[RetryRequest] = deque()
        """Those who have to find their room."""
        self._overwriting: dict[bytes, Overwriting] = {}
        """By address, in the order of their turns."""

    # What the operator is told.

    def oldest(self) -> float | None:
        """Return when the one that waits longest began to, in seconds since the epoch."""
        first = self._all.first
        return None if first is None else first.item.since

    # Requests that come.

    def admit(self, ncr: Request, dhcid: int, domain: Domain | None, wall: float) -> bool:
        """Whether a request may begin; if not, it waits here from now on, or has been given up.

        Older ones end that it makes superfluous. ``domain`` is where it would begin.
        """
        name = ncr.fqdn_wire.lower()
        last, superseded = self._supersede_at_name(ncr, name) if ncr.forward_change else (None, False)
        before = self._overwriting.get(ncr.address) if ncr.reverse_change else None
        if last is None and before is None:
            older = self._overwrite_some(ncr, name) if ncr.reverse_change else None
            if older is None:
                return True
        elif not superseded and domain is not None and self.shares.is_taken(self.shares.of(domain)):
            self._give_up(ncr, domain, wall)
            return False
        else:
            older = self._overwrite_some(ncr, name) if ncr.reverse_change and before is None else None
        late = RetryRequest(ncr, dhcid, wall)
        self._enter(late, domain)
        if before is not None:
            late.state = HELD
            before.behind.append(late)
        elif older is not None:
            late.state = HELD
            self._overwriting[ncr.address] = Overwriting(late, older)
            self.pressing = True
        else:
            self._lines.enter_address(late)
        return False

    def _give_up(self, ncr: Request, domain: Domain, wall: float) -> None:
        """End a request that would have to wait, where its domain has no room for that."""
        why = "an earlier one for its name or address"
        self._counters.tally.failed += 1
        self._log.emit("PYD2_RETRY_ABANDONED", ncr.request_id, SHARE_FULL, why, ncr.text())
        self._ends.dead.append(Dead(ncr, SHARE_FULL))
        self._ends.finish(ncr)
        self.shares.give_up(self.shares.of(domain), wall)

    def _supersede_at_name(self, ncr: Request, name: bytes) -> tuple[RetryRequest | None, bool]:
        """End the last in the line at a name that a newer request makes superfluous.

        Returns who is last then, and whether any has ended. If that are very many, some are left to be
        carried out before the newer one, which comes to the same.
        """
        superseded = False
        last = self._lines.last_at_name(name)
        for _ in range(self._at_once()):
            if last is None or not makes_superfluous(ncr, last):
                break
            self._supersede(last)
            self.at_once -= 1
            superseded = True
            last = self._lines.last_at_name(name)
        return last, superseded

    def _overwrite_some(self, ncr: Request, name: bytes) -> Iterator[RetryRequest] | None:
        """Let older requests lose their reverse change to a newer one; return the others if that are many."""
        older = self._lines.overwritten(ncr, name)
        most = self._at_once()
        for count, late in enumerate(older, 1):
            self._overwrite(late)
            self.at_once -= 1
            if count == most:
                return older
        return None

    def _at_once(self) -> int:
        """Return how many older requests one that comes now may supersede, and how many it may overwrite."""
        return max(1, min(AT_ONCE, self.at_once))

    def _overwrite(self, late: RetryRequest) -> None:
        """Take the reverse change from a request: a newer one overwrites it."""
        late.reverse_left = False
        self._amend(late)
        if late.state == UNDER_WAY:
            return
        if late.forward_left:
            self._log.emit("PYD2_PTR_SUPERSEDED", late.ncr.request_id, late.ncr.address_text)
        else:
            self._supersede(late)

    def overwrite(self, most: int) -> int:
        """Go on with what many requests lose to newer ones; return how many steps it took (``most``)."""
        done = 0
        while self._overwriting and done < most:
            address, work = next(iter(self._overwriting.items()))
            late = next(work.older, None)
            if late is not None:
                done += 1
                self._overwrite(late)
                continue
            self._let_go(work.late)
            if work.behind:
                work.late = work.behind.popleft()
                work.older = self._lines.overwritten(work.late.ncr, work.late.name)
                done += 1
            else:
                del self._overwriting[address]
        return done

    @property
    def overwriting(self) -> bool:
        """Whether there is more of that to do."""
        return bool(self._overwriting)

    def _let_go(self, late: RetryRequest) -> None:
        """Let a request go on that was held until what it overwrites has been dealt with."""
        if late.state != HELD:
            return  # it has ended, or was given up before it waited
        self._lines.enter_address(late)
        if late.forward_left and not self._lines.is_first(late):
            late.state = BEHIND
        else:
            late.state = FREE
            self._free.append(late)
            self.pressing = True

    def _amend(self, late: RetryRequest) -> None:
        """Let it be known what is left of a request: after a restart it must not do more than that."""
        if late.ncr.number and (late.forward_left or late.reverse_left):
            self.amended.append(late)

    def _supersede(self, late: RetryRequest) -> None:
        self._counters.tally.superseded += 1
        self._log.emit("PYD2_REQUEST_SUPERSEDED", late.ncr.request_id, late.ncr.text())
        self._ends.finish(late.ncr)
        self.leave(late)

    # Requests that have failed.

    def has_free_place(self, late: RetryRequest, domain: Domain, wall: float) -> bool:
        """Whether a request that has failed in a domain may wait here; if not, that is counted and told."""
        share = self.shares.of(domain)
        if late.age is not None or not self.shares.is_taken(share):
            return True
        self.shares.give_up(share, wall)
        return False

    def park(self, late: RetryRequest, domain: Domain, retry: RetrySwitches, now: float) -> float:
        """Let a request wait for its next try; return how many seconds at most.

        What is left of it to do must be up to date.
        """
        pause = self._pause(late, retry)
        if (late.forward_left, late.reverse_left) != (late.ncr.forward_change, late.ncr.reverse_change):
            self._amend(late)
        if late.age is None:
            self._enter(late, domain)
            self._lines.enter_address(late)
        else:
            self._return(late, domain)
        if late.state != ENDED and late.state != BEHIND:
            return self._groups.wait(late, domain.lanes, pause, now)
        return pause

    def put_off(self, late: RetryRequest, lanes: tuple[Lane, ...], retry: RetrySwitches, now: float) -> None:
        """Let a request that could not begin wait on."""
        self._groups.wait(late, lanes, self._pause(late, retry), now)

    def make_ready(self, late: RetryRequest, lanes: tuple[Lane, ...]) -> None:
        """Let a request begin when there is room in the lanes."""
        self._groups.make_ready(late, lanes)
        self.pressing = True

    def _pause(self, late: RetryRequest, retry: RetrySwitches) -> float:
        """Draw how many seconds to wait: each time up to twice as long."""
        longest = min(retry.max_delay, retry.initial_delay * 2.0 ** min(late.pauses + 1, 32))
        late.pauses += 1
        # From half of that up to a 32nd less, by which rooms may round it up.
        return max(retry.initial_delay, longest * (0.5 + self._draw() * 15 / (32 * 65536)))

    def _enter(self, late: RetryRequest, domain: Domain | None) -> None:
        """Take in a request that was none of ours."""
        late.age = self._all.append(late)
        self.any = True
        self._count(late, 1)
        self._lines.enter_line(late)
        if domain is not None:
            self._count_in(late, domain)

    def _count_in(self, late: RetryRequest, domain: Domain) -> None:
        share = self.shares.of(domain)
        if share is not late.share:
            if late.share is not None:
                self.shares.leave(late.share, late.size)
            late.share = share
            self.shares.enter(share, late.size)

    def _return(self, late: RetryRequest, domain: Domain) -> None:
        """Take back a request that was under way and first in its line."""
        self._count(late, 1)
        self._count_in(late, domain)
        late.state = FREE
        self._lines.enter_address(late)
        if self._lines.stands(late):
            if not late.forward_left:
                self._leave_name(late)
            else:
                follower = self._lines.follower(late)
                if follower is not None and makes_superfluous(follower.ncr, late):
                    self._supersede(late)
        if late.state == FREE:
            self.emptied(late)

    # Requests that begin and end.

    def take(self, now: float) -> RetryRequest | None:
        """Return a request that may be tried now, if there is one."""
        while self._free:
            late = self._free.popleft()
            if late.state == FREE:
                return late
        found = self._groups.take(now)
        if found is None:
            self.pressing = self._groups.any_ready
        return found

    def start(self, late: RetryRequest) -> None:
        """Take it that a request is under way."""
        self._count(late, -1)
        late.state = UNDER_WAY

    def leave(self, late: RetryRequest) -> None:
        """Take it that a request has ended."""
        if late.state == UNDER_WAY:
            self._count(late, 1)
        else:
            leave_slot(late)
        self._count(late, -1)
        if late.share is not None:
            self.shares.leave(late.share, late.size)
            late.share = None
        late.state = ENDED
        late.in_slot = None
        assert late.age is not None
        self._all.remove(late.age)
        late.age = None
        self.any = bool(self._all)
        self._lines.leave_address(late)
        if late.forward_left:
            self._leave_name(late)

    def emptied(self, late: RetryRequest) -> bool:
        """Whether newer requests have left nothing of one that was under way; then it ends."""
        if late.forward_left or late.reverse_left:
            return False
        self._supersede(late)
        return True

    def under_way(self, late: RetryRequest) -> bool:
        """Whether a request has begun and neither ended nor come back."""
        return late.state == UNDER_WAY

    def _leave_name(self, late: RetryRequest) -> None:
        follower = self._lines.leave_name(late)
        if follower is not None:
            self._free.append(follower)
            self.pressing = True

    def _count(self, late: RetryRequest, by: int) -> None:
        self.waiting += by
        self.octets += by * late.size

    # Time, servers, configurations.

    def deadline(self) -> float | None:
        """Return when ``take`` has something, in monotonic seconds; None: not before something comes."""
        if self._free or self._overwriting:
            return 0.0
        return self._groups.deadline()

    def room(self, lanes: tuple[Lane, ...]) -> ParkingGroup:
        """Return where those wait who need these servers."""
        return self._groups.find(lanes)

    def lane_served(self, lane: Lane) -> None:
        """Let those begin who wait until fewer transactions wait for room in a lane."""
        if len(lane.ready) < LARGE_GROUP:
            self._groups.has_free_place(lane)
            self.pressing |= self._groups.any_ready

    def server_up(self, lane: Lane) -> None:
        """Let those begin who wait for a server that answers again."""
        self._groups.server_up(lane)
        self.pressing |= self._groups.any_ready

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        self._groups.server_down(lane)
        self.pressing |= self._groups.any_ready

    def match_again(self) -> None:
        """Let all begin that wait for servers: there is a new configuration."""
        self._groups.release()
        self.pressing = self.any

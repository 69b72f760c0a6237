"""Requests that wait to be tried again, and what must wait behind them.

Theory of operation
-------------------
A request that has failed for a reason that may pass enters the retry queue: it releases its client (its
DHCID) and waits here, longer each time, or until a server that was down answers again. Requests that need the
same servers wait in one parking group; the group is released when one of these servers answers.

Nothing may be applied out of order, so each request that comes meanwhile is checked (``admit``):

- Forward changes at one name keep their order: the newer request waits behind the retry, of whatever client.
  If it makes the older one superfluous, the older one ends instead: it is *superseded*. That is so if the
  zones end up the same without it, see ``makes_superfluous``.
- Reverse changes at one address do not wait for each other, for the newer one overwrites what the older one
  would do: that loses its reverse change. Those removals that look for their own name in the PTR first
  are safe beside changes for other names. But if the older one would have set the PTR, such a removal would
  find that of an earlier name: then the one of the two that has no forward change left removes the PTR,
  whatever name it has (``Request.ptr_removal``).

A request for another name and another address begins at once.

No call takes longer because much waits. A request that overwrites more than a few others is *held* until
``overwrite`` has dealt with them, a few in each turn of the engine; so are those for the same address that
come meanwhile.

What waits here counts as queued. ``states.py`` has the states of a request and all changes between them.
The scheduler begins the retries; ``pop`` says which one is next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import Chain
from pyd2.update.model.faults import Fault, Result
from pyd2.update.model.kinds import PTR_CHANGES, PtrChange
from pyd2.update.retry.ordering import NameQueues
from pyd2.update.retry.parking import ParkingGroup, ParkingGroups, leave_slot
from pyd2.update.retry.request import RetryRequest, makes_superfluous
from pyd2.update.retry.shares import Shares
from pyd2.update.retry.states import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.agenda import Agenda
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.model.plan import Domain
    from pyd2.update.output import OutputBuffer
    from pyd2.update.server.lane import Lane

__all__ = ["RetryQueue", "RetryRequest"]

AT_ONCE: Final = 32
"""Older requests that a newer one supersedes or overwrites when it comes; the others, later."""
AT_ONCE_TOGETHER: Final = 3 * AT_ONCE
"""The same for all newer ones of a call; from then on each does so with one."""

SHARE_FULL: Final = "the retries of its domain take up their share of the queue"
"""Why a request is not tried again, or does not wait behind one that is."""


class Overwriting:
    """A request whose reverse change overwrites those of many older ones."""

    __slots__ = ("behind", "older", "retry")

    def __init__(self, retry: RetryRequest, older: Iterator[RetryRequest]) -> None:
        self.retry = retry
        self.older = older
        """Requests that still have the reverse change."""
        self.behind: deque[RetryRequest] = deque()
        """Requests for the same address that came meanwhile."""


class RetryQueue:
    """All requests that wait to be tried again. ``now`` is monotonic seconds, ``wall`` since the epoch."""

    def __init__(
        self, counters: Counters, log: Log, draw: Callable[[], int], ends: Ends, agenda: Agenda,
        output: OutputBuffer,
    ) -> None:
        """``draw`` draws 16 random bits; ``ends`` ends requests that have no transaction."""
        self._counters = counters
        self._log = log
        self._draw = draw
        self._ends = ends
        self._agenda = agenda
        self._output = output
        self.waiting = 0
        """Retries that are not under way."""
        self.octets = 0
        """Of these."""
        self.any = False
        """Whether there are retries, those under way included."""
        self.at_once = AT_ONCE_TOGETHER
        """How many older requests this call may still supersede or overwrite."""
        self.shares = Shares(log)
        self._all: Chain[RetryRequest] = Chain()
        """In the order in which they began to wait."""
        self._names = NameQueues()
        self._groups = ParkingGroups()
        self._ready: deque[RetryRequest] = deque()
        """Requests that are READY, and some that have ended since: the next to be tried or parked."""
        self._overwriting: dict[bytes, Overwriting] = {}
        """By address, in the order of their turns."""

    # What status-get shows.

    def oldest(self) -> float | None:
        """Return since when the oldest retry has waited, in seconds since the epoch; None: there is none."""
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
        own = ncr
        if last is None and before is None:
            own = self._names.effective(ncr, name)
            older = self._overwrite_some(own, name) if own.reverse_change else None
            if older is None and own is ncr:
                return True
        elif not superseded and domain is not None and self.shares.is_taken(self.shares.of(domain)):
            self._give_up(ncr, domain, wall)
            return False
        else:
            older = self._overwrite_some(ncr, name) if ncr.reverse_change and before is None else None
        retry = RetryRequest(own, dhcid, wall)
        if own is not ncr:
            self._amend(retry)
        self._enter(retry, domain)
        if before is not None:
            retry.change(Event.OVERWRITES_MANY)
            before.behind.append(retry)
        elif older is not None:
            retry.change(Event.OVERWRITES_MANY)
            self._overwriting[ncr.address] = Overwriting(retry, older)
            self._agenda.retries_ready = True
        else:
            self._take_turn(retry)
        return False

    def _give_up(self, ncr: Request, domain: Domain, wall: float) -> None:
        """End a request that would have to wait, but whose domain has taken up its share."""
        why = "an earlier one for its name or address"
        self._counters.tally.failed += 1
        self._ends.observe(Result.FAILED, ncr, fault=Fault.SHARE_FULL)
        self._log.emit("PYD2_RETRY_ABANDONED", ncr.request_id, SHARE_FULL, why, ncr.text())
        self._ends.add_dead_letter(ncr, SHARE_FULL)
        self._ends.finish(ncr)
        self.shares.give_up(self.shares.of(domain), wall)

    def _supersede_at_name(self, ncr: Request, name: bytes) -> tuple[RetryRequest | None, bool]:
        """End the last requests in the queue of a name that a newer request makes superfluous.

        Returns the request that is last then, and whether any has ended. If very many are superfluous, some
        of them are carried out before the newer one, which comes to the same.
        """
        superseded = False
        last = self._names.last_at_name(name)
        for _ in range(self._at_once()):
            if last is None or not makes_superfluous(ncr, last):
                break
            self._supersede(last)
            self.at_once -= 1
            superseded = True
            last = self._names.last_at_name(name)
        return last, superseded

    def _overwrite_some(self, ncr: Request, name: bytes) -> Iterator[RetryRequest] | None:
        """Remove the reverse change from older requests that a newer one overwrites; return the rest."""
        older = self._names.overwritten(ncr, name)
        most = self._at_once()
        for count, retry in enumerate(older, 1):
            self._overwrite(retry, PTR_CHANGES[ncr.kind])
            self.at_once -= 1
            if count == most:
                return older
        return None

    def _at_once(self) -> int:
        """Return how many older requests a new request may supersede now, and how many it may overwrite."""
        return max(1, min(AT_ONCE, self.at_once))

    def _overwrite(self, retry: RetryRequest, newer: PtrChange) -> None:
        """Take the reverse change from a request, or make it a removal: a newer change overwrites it."""
        if newer is PtrChange.REMOVES_OWN and self._names.may_remove_ptr(retry):
            retry.ncr = retry.ncr.ptr_removal()
            self._names.enter_address(retry)
        else:
            retry.reverse_left = False
        self._amend(retry)
        if retry.state is State.UNDER_WAY:
            return
        if retry.forward_left or retry.reverse_left:
            self._log.emit("PYD2_PTR_SUPERSEDED", retry.ncr.request_id, retry.ncr.address_text)
        else:
            self._supersede(retry)

    def overwrite(self, most: int) -> int:
        """Remove ``most`` more reverse changes that newer requests overwrite; return the steps taken."""
        done = 0
        while self._overwriting and done < most:
            address, work = next(iter(self._overwriting.items()))
            retry = next(work.older, None)
            if retry is not None:
                done += 1
                self._overwrite(retry, work.retry.ptr_change)
                continue
            self._let_go(work.retry)
            if work.behind:
                newer = work.retry = work.behind.popleft()
                ncr, newer.ncr = newer.ncr, self._names.effective(newer.ncr, newer.name)
                if newer.ncr is not ncr:
                    self._amend(newer)
                work.older = self._names.overwritten(newer.ncr, newer.name)
                done += 1
            else:
                del self._overwriting[address]
        return done

    @property
    def overwriting(self) -> bool:
        """Whether ``overwrite`` has more to do."""
        return bool(self._overwriting)

    def _let_go(self, retry: RetryRequest) -> None:
        """Release a request that was HELD: what it overwrites has been dealt with."""
        if retry.state is State.HELD:  # else it has ended
            self._take_turn(retry)

    def _take_turn(self, retry: RetryRequest) -> None:
        """Let a request that came begin, or wait behind an earlier change of its name."""
        self._names.enter_address(retry)
        if self._find_turn(retry):
            self._ready.append(retry)
            self._agenda.retries_ready = True

    def _find_turn(self, retry: RetryRequest) -> bool:
        """Let a request be READY, or wait behind an earlier change of its name; return whether READY."""
        first = self._names.is_first(retry)
        retry.change(Event.IS_FIRST if first else Event.IS_BEHIND)
        return first

    def _amend(self, retry: RetryRequest) -> None:
        """Report what is left of a request: after a restart it must not do more than that."""
        if retry.ncr.number and (retry.forward_left or retry.reverse_left):
            self._output.amended.append(retry)

    def _supersede(self, retry: RetryRequest) -> None:
        self._counters.tally.superseded += 1
        self._ends.observe(Result.SUPERSEDED, retry.ncr)
        self._log.emit("PYD2_REQUEST_SUPERSEDED", retry.ncr.request_id, retry.ncr.text())
        self._ends.finish(retry.ncr)
        self.leave(retry)

    # Requests that have failed.

    def has_free_place(self, retry: RetryRequest, domain: Domain, wall: float) -> bool:
        """Whether a request that has failed in a domain may wait here; if not, that is counted and logged."""
        share = self.shares.of(domain)
        if retry.age is not None or not self.shares.is_taken(share):
            return True
        self.shares.give_up(share, wall)
        return False

    def park(self, retry: RetryRequest, domain: Domain, switches: RetrySwitches, now: float) -> float:
        """Park a request until its next try; return how many seconds that are at most.

        What is left of it to do must be up to date.
        """
        pause = self._pause(retry, switches)
        if (retry.forward_left, retry.reverse_left) != (retry.ncr.forward_change, retry.ncr.reverse_change):
            self._amend(retry)
        if retry.age is None:
            self._enter(retry, domain)
            self._find_turn(retry)
            self._names.enter_address(retry)
        else:
            self._return(retry, domain)
        if retry.state is State.READY:
            return self._groups.wait(retry, domain.lanes, pause, now)
        return pause

    def put_off(
        self, retry: RetryRequest, lanes: tuple[Lane, ...], switches: RetrySwitches, now: float
    ) -> None:
        """Park a request that could not begin."""
        self._groups.wait(retry, lanes, self._pause(retry, switches), now)

    def make_ready(self, retry: RetryRequest, lanes: tuple[Lane, ...]) -> None:
        """Park a request until its lanes have free places."""
        self._groups.make_ready(retry, lanes)
        self._agenda.retries_ready = True

    def _pause(self, retry: RetryRequest, switches: RetrySwitches) -> float:
        """Draw how many seconds to wait: each time up to twice as long."""
        longest = min(switches.max_delay, switches.initial_delay * 2.0 ** min(retry.pauses + 1, 32))
        retry.pauses += 1
        # From half of that up to a 32nd less, by which parking groups may round it up.
        return max(switches.initial_delay, longest * (0.5 + self._draw() * 15 / (32 * 65536)))

    def _enter(self, retry: RetryRequest, domain: Domain | None) -> None:
        """Add a new request, which has no turn yet."""
        retry.age = self._all.append(retry)
        self.any = True
        self._count(retry, 1)
        self._names.enter_name(retry)
        if domain is not None:
            self._count_in(retry, domain)

    def _count_in(self, retry: RetryRequest, domain: Domain) -> None:
        share = self.shares.of(domain)
        if share is not retry.share:
            if retry.share is not None:
                self.shares.leave(retry.share, retry.size)
            retry.share = share
            self.shares.enter(share, retry.size)

    def _return(self, retry: RetryRequest, domain: Domain) -> None:
        """Take back a request that was under way and first in the queue of its name."""
        self._count(retry, 1)
        self._count_in(retry, domain)
        retry.change(Event.FAILS)
        self._names.enter_address(retry)
        if self._names.is_queued(retry):
            if not retry.forward_left:
                self._leave_name(retry)
                newer = self._names.newer_change(retry) if retry.reverse_left else None
                if newer is not None:
                    self._overwrite(retry, newer)
            else:
                follower = self._names.follower(retry)
                if follower is not None and makes_superfluous(follower.ncr, retry):
                    self._supersede(retry)
        if retry.state is State.READY:
            self.emptied(retry)

    # Requests that begin and end.

    def pop(self, now: float) -> RetryRequest | None:
        """Return a request that may be tried now, if any: the caller starts it, parks it or ends it."""
        while self._ready:
            retry = self._ready.popleft()
            if retry.state is State.READY:
                return retry
        found = self._groups.pop(now)
        if found is None:
            self._agenda.retries_ready = self._groups.any_ready
        return found

    def start(self, retry: RetryRequest) -> None:
        """Note that a request is under way."""
        self._count(retry, -1)
        retry.change(Event.BEGINS)

    def leave(self, retry: RetryRequest) -> None:
        """Remove a request that has ended."""
        if retry.state is State.UNDER_WAY:
            self._count(retry, 1)
        else:
            leave_slot(retry)
        self._count(retry, -1)
        if retry.share is not None:
            self.shares.leave(retry.share, retry.size)
            retry.share = None
        retry.change(Event.ENDS)
        retry.in_slot = None
        assert retry.age is not None
        self._all.remove(retry.age)
        retry.age = None
        self.any = bool(self._all)
        self._names.leave_address(retry)
        if retry.forward_left:
            self._leave_name(retry)

    def emptied(self, retry: RetryRequest) -> bool:
        """End a request that was under way if newer ones have left nothing of it; return whether so."""
        if retry.forward_left or retry.reverse_left:
            return False
        self._supersede(retry)
        return True

    def under_way(self, retry: RetryRequest) -> bool:
        """Whether the transaction of a request is under way."""
        return retry.state is State.UNDER_WAY

    def _leave_name(self, retry: RetryRequest) -> None:
        follower = self._names.leave_name(retry)
        if follower is not None:
            self._ready.append(follower)
            self._agenda.retries_ready = True

    def _count(self, retry: RetryRequest, by: int) -> None:
        self.waiting += by
        self.octets += by * retry.size

    # Time, servers, configurations.

    def deadline(self) -> float | None:
        """Return when ``pop`` has something, in monotonic seconds; None: not before something comes."""
        if self._ready or self._overwriting:
            return 0.0
        return self._groups.deadline()

    def group(self, lanes: tuple[Lane, ...]) -> ParkingGroup:
        """Return the parking group of the requests that need these servers."""
        return self._groups.find(lanes)

    def lane_served(self, lane: Lane) -> None:
        """Let the requests begin that wait until fewer transactions wait for free places of a lane."""
        if not lane.congested:
            self._groups.no_longer_congested(lane)
            self._agenda.retries_ready |= self._groups.any_ready

    def server_up(self, lane: Lane) -> None:
        """Let the requests begin that wait for a server that answers again."""
        self._groups.server_up(lane)
        self._agenda.retries_ready |= self._groups.any_ready

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        self._groups.server_down(lane)
        self._agenda.retries_ready |= self._groups.any_ready

    def configure(self, max_entries: int) -> None:
        """Let all requests begin that wait for servers: there is a new configuration."""
        self.shares.max_entries = max_entries
        self.release()

    def release(self) -> None:
        """Let all requests begin that wait for servers or for the time of their next try."""
        self._groups.release()
        self._agenda.retries_ready = self.any

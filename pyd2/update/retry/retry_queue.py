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
- Reverse changes at one address keep their order, too (``has_ptr_turn``), but no forward change waits for
  them: a request that finds older ones makes its forward change first, and *halts*. Once that has succeeded,
  its reverse change overwrites whatever is there, so those lose theirs; before, it might still fail for good.
  Only those under way are waited for. A removal that looks for its own name in the PTR waits for all.

A request for another name and another address begins at once.

No call takes longer because much waits. A request that overwrites more than a few others is *held* until
``overwrite`` has dealt with them, a few in each turn of the engine.

What waits here counts as queued. ``states.py`` has the states of a request and all changes between them.
The scheduler begins the retries; ``pop`` says which one is next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import Chain
from pyd2.update.model.faults import Fault, Result
from pyd2.update.model.kinds import PtrChange
from pyd2.update.retry.ordering import Queues, follower, is_first, predecessor
from pyd2.update.retry.parking import ParkingGroup, ParkingGroups, leave_slot
from pyd2.update.retry.request import RetryRequest, makes_superfluous
from pyd2.update.retry.shares import Share, Shares
from pyd2.update.retry.states import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._names: Queues[RetryRequest] = Queues()
        """Those with a forward change left, by name in lower case. Only the first of each may begin."""
        self._addresses: Queues[RetryRequest] = Queues()
        """Those with a reverse change left, by address."""
        self._groups = ParkingGroups()
        self._ready: deque[RetryRequest] = deque()
        """Requests that are READY, and some that have ended since: the next to be tried or parked."""
        self._overwriting: dict[RetryRequest, None] = {}
        """Requests that overwrite many older ones, in the order of their turns."""

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
        last, superseded = self._supersede_at_name(ncr) if ncr.forward_change else (None, False)
        if last is None and not (ncr.reverse_change and self._addresses.last(ncr.address)):
            return True
        retry = RetryRequest(ncr, dhcid, wall)
        if not superseded and domain is not None and self.shares.is_taken(self.shares.of(domain)):
            if last is not None:
                self._give_up(ncr, self.shares.of(domain), "an earlier one for its name", wall)
                return False
            retry.has_place = False
        self._enter(retry, domain)
        if self._find_turn(retry):
            self._make_ready(retry)
        return False

    def _give_up(self, ncr: Request, share: Share, why: str, wall: float) -> None:
        """End a request that would have to wait, but whose domain has taken up its share."""
        self._fail(ncr, Fault.SHARE_FULL, SHARE_FULL, SHARE_FULL, why)
        self.shares.give_up(share, wall)

    def _fail(self, ncr: Request, fault: str, reason: str, why: str, last: str) -> None:
        """End a request as failed; ``reason`` is its dead letter's, the log says ``why`` and ``last``."""
        self._counters.tally.failed += 1
        self._ends.observe(Result.FAILED, ncr, fault=fault)
        self._log.emit("PYD2_RETRY_ABANDONED", ncr.request_id, why, last, ncr.text())
        self._ends.add_dead_letter(ncr, reason)
        self._ends.finish(ncr)

    def may_wait(self, retry: RetryRequest, why: str, wall: float) -> bool:
        """Whether a request may wait that cannot begin; if not, it is given up. ``why``: what keeps it."""
        share = retry.share
        if retry.has_place or share is None or not self.shares.is_taken(share):
            return True
        self._give_up(retry.ncr, share, why, wall)
        self.leave(retry)
        return False

    def _supersede_at_name(self, ncr: Request) -> tuple[RetryRequest | None, bool]:
        """End the last requests in the queue of a name that a newer request makes superfluous.

        Returns the request that is last then, and whether any has ended. If very many are superfluous, some
        of them are carried out before the newer one, which comes to the same.
        """
        name = ncr.fqdn_wire.lower()
        superseded = False
        last = self._names.last(name)
        for _ in range(self._at_once()):
            if last is None or not makes_superfluous(ncr, last):
                break
            self._supersede(last)
            self.at_once -= 1
            superseded = True
            last = self._names.last(name)
        return last, superseded

    def _at_once(self) -> int:
        """Return how many older requests a newer one may supersede or overwrite now."""
        return max(1, min(AT_ONCE, self.at_once))

    def has_ptr_turn(self, retry: RetryRequest, wall: float) -> bool:
        """Whether no older request at its address keeps one from its reverse change, all that is left of it.

        Older ones that it overwrites lose theirs. If it may not begin, it waits now, or has been given up.
        """
        if is_first(retry.in_address_queue):
            return True
        if retry.ptr_change is PtrChange.REMOVES_OWN:
            if not self.may_wait(retry, "an earlier one for its address", wall):
                return False
        else:
            for _ in range(self._at_once()):
                if not self._overwrite_one(retry):
                    break
                self.at_once -= 1
            else:
                retry.change(Event.OVERWRITES_MANY)
                self._overwriting[retry] = None
                self._agenda.retries_ready = True
                return False
            if is_first(retry.in_address_queue):
                return True
        retry.change(Event.IS_BEHIND)
        return False

    def _overwrite_one(self, retry: RetryRequest) -> bool:
        """Take the reverse change from the request before another one; False: there is none, or no more."""
        older = predecessor(retry.in_address_queue)
        if older is None or older.state is State.UNDER_WAY:
            return False
        self._leave_address(older)
        older.reverse_left = False
        if older.forward_left:
            self.amend(older)
            self._log.emit("PYD2_PTR_SUPERSEDED", older.ncr.request_id, older.ncr.address_text)
        else:
            retry.has_place |= older.has_place
            if (failure := older.forward_failure) is None:
                self._supersede(older)
            else:
                fault, reason = failure.fault, failure.reason
                self._fail(older.ncr, fault, reason, "a newer request has its PTR", reason)
                self.leave(older)
        return True

    def overwrite(self, most: int) -> int:
        """Overwrite ``most`` more reverse changes for requests that are held; return the steps taken."""
        done = 0
        while self._overwriting and done < most:
            retry = next(iter(self._overwriting))
            done += 1
            if not self._overwrite_one(retry):
                del self._overwriting[retry]
                if retry.state is State.HELD:  # else it has ended
                    retry.change(Event.IS_FIRST)
                    self._make_ready(retry)
        return done

    @property
    def overwriting(self) -> bool:
        """Whether ``overwrite`` has more to do."""
        return bool(self._overwriting)

    def _make_ready(self, retry: RetryRequest) -> None:
        """Have a request that is READY tried or parked."""
        self._ready.append(retry)
        self._agenda.retries_ready = True

    def _find_turn(self, retry: RetryRequest) -> bool:
        """Let a request be READY, or wait behind an earlier change of its name; return whether READY."""
        first = is_first(retry.in_name_queue)
        retry.change(Event.IS_FIRST if first else Event.IS_BEHIND)
        return first

    def amend(self, retry: RetryRequest) -> None:
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
        if retry.age is not None and retry.has_place:
            return True
        if not self.shares.is_taken(share):
            retry.has_place = True
            return True
        self.shares.give_up(share, wall)
        return False

    def park(self, retry: RetryRequest, domain: Domain, switches: RetrySwitches, now: float) -> float:
        """Park a request until its next try; return how many seconds that are at most."""
        pause = self._pause(retry, switches)
        if retry.age is None:
            self._enter(retry, domain)
            self._find_turn(retry)
        else:
            self._return(retry, domain)
        if retry.state is State.READY:
            return self._groups.wait(retry, domain.lanes, pause, now)
        return pause

    def halt(self, retry: RetryRequest, domain: Domain) -> None:
        """Take back a request whose forward change is made; the reverse one, in a domain, follows."""
        share = self.shares.of(domain)
        if share is not retry.share:
            retry.has_place = not self.shares.is_taken(share)
        self._return(retry, domain)
        if retry.state is State.READY:
            self._make_ready(retry)

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
        if retry.forward_left:
            retry.in_name_queue = self._names.enter(retry.name, retry)
        if retry.reverse_left:
            retry.in_address_queue = self._addresses.enter(retry.ncr.address, retry)
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
        if retry.in_name_queue is not None and not retry.forward_left:
            self._leave_name(retry)
        if retry.in_address_queue is not None:
            if not retry.reverse_left:
                self._leave_address(retry)
            else:
                self._wake_at_address(follower(retry.in_address_queue))
        newer = follower(retry.in_name_queue)
        if newer is not None and makes_superfluous(newer.ncr, retry):
            self._supersede(retry)

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
        if retry.in_address_queue is not None:
            self._leave_address(retry)
        if retry.in_name_queue is not None:
            self._leave_name(retry)

    def under_way(self, retry: RetryRequest) -> bool:
        """Whether the transaction of a request is under way."""
        return retry.state is State.UNDER_WAY

    def _leave_name(self, retry: RetryRequest) -> None:
        place, retry.in_name_queue = retry.in_name_queue, None
        assert place is not None
        first = is_first(place)
        behind = self._names.leave(retry.name, place)
        if behind is not None and first and behind.state is State.BEHIND:
            behind.change(Event.IS_FIRST)
            self._make_ready(behind)

    def _leave_address(self, retry: RetryRequest) -> None:
        place, retry.in_address_queue = retry.in_address_queue, None
        assert place is not None
        self._wake_at_address(self._addresses.leave(retry.ncr.address, place))

    def _wake_at_address(self, retry: RetryRequest | None) -> None:
        """Let a request look again for the turn of its reverse change, if it waits for that."""
        if retry is not None and retry.state is State.BEHIND and not retry.forward_left:
            retry.change(Event.IS_FIRST)
            self._make_ready(retry)

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

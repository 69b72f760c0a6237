"""The nodes of a site in virtual time: the calls of ``pyd2.cluster.owner``, with its times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.cluster.owner import ANSWER_SECONDS, COMMIT_SECONDS, LOOK_SECONDS
from pyd2.queue.shared.interface import QueuedBatch
from pyd2.queue.shared.ownership import Change
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import Record, Revision
from pyd2.queue.shared.under_way import UnderWay
from tests.cluster.month.figures import Figures
from tests.cluster.month.node import LEASE, Node, Term
from tests.cluster.month.servers import SERVERS, Servers
from tests.cluster.month.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pyd2.queue.shared.batch import BatchNumber, RequestBatch
    from pyd2.queue.shared.late import LateBatch
    from pyd2.queue.shared.ownership import Write
    from tests.cluster.month.rates import Rates

_PAUSE: Final = 0.1
"""Seconds after a call that has failed."""
_LOST: Final = 0.0001
"""The part of the answers that never arrive."""

Name = tuple[str, "BatchNumber"]


class Owners(Timeline):
    """``read``, ``carry_out``, ``append`` and ``left`` are about requests; see ``requests``."""

    def __init__(self, rates: Rates, random: Random, nodes: int) -> None:
        super().__init__()
        self.rates = rates
        self.random = random
        self.figures = Figures(sites=1, nodes=nodes)
        self.servers = Servers(rates, random)
        self.nodes = [Node(f"n{number}", random.gauss(0, rates.drift)) for number in range(nodes)]
        self.cause = "start"
        """The last fault."""
        self.serving: Node | None = None
        """The node that sends updates."""
        self._stopped_at = 0.0
        self._stopped_by = self.cause
        """Since when there is none, and the last fault before that."""

    def read(self, node: Node) -> None:
        """Read what is behind, and carry it out."""
        raise NotImplementedError

    def carry_out(self, node: Node, term: Term, numbers: Sequence[int]) -> None:
        """Carry requests out, by their numbers in the term."""
        raise NotImplementedError

    def append(self, node: Node) -> None:
        """Append the first batch of a receiver, unless one is under way."""
        raise NotImplementedError

    def left(self, batch: RequestBatch | None) -> int:
        """Return how many requests of a batch were never carried out."""
        raise NotImplementedError

    # What nodes ask of the servers.

    def call(
        self, node: Node, carry_out: Callable[[], object], answered: Callable[[object], None],
        failed: Callable[[], None],
    ) -> None:
        """Ask the servers; without an answer it fails after ANSWER_SECONDS."""
        travel = self.random.uniform(*self.rates.answer) / 2
        begun, server = self.now, node.server

        def fail() -> None:
            node.server = (node.server + 1) % SERVERS if node.server == server else node.server
            failed()

        def arrive() -> None:
            reached = not node.cut and self.servers.is_there(server)
            if reached and self.servers.answer(self.now):
                answer = carry_out()
                if self.random.random() >= _LOST:
                    self.for_node(node, travel, lambda: answered(answer))
                    return
            self.for_node(node, begun + ANSWER_SECONDS - self.now, fail)

        self.at(self.now + travel, arrive)

    def plan_turn(self, node: Node, seconds: float) -> None:
        """Let the node's next turn be then."""
        node.turn += 1
        node.turn_at = self.now + seconds
        number = node.turn
        self.for_node(node, seconds, lambda: self.turn(node) if node.turn == number else None)

    def turn(self, node: Node) -> None:
        """See pyd2.cluster.owner."""
        if node.leave_at is not None and not node.ownership.is_owner:
            self.stop(node)
        elif node.known and node.ownership.is_owner:
            self.own(node)
        else:
            self.call(node, lambda: (self.servers.revision, self.servers.record),
                      lambda answer: self.observed(node, answer), lambda: self._unanswered(node))

    def _unanswered(self, node: Node) -> None:
        node.known = False
        if node.writing:
            node.writing = False
            node.ownership.unanswered()
        self._end_if_over(node)
        self.plan_turn(node, _PAUSE)

    def observed(self, node: Node, answer: object) -> None:
        """Go on with the record as it was read."""
        assert isinstance(answer, tuple)
        self.observed_record(node, answer)
        ownership = node.ownership
        if ownership.is_owner:
            self.own(node)
        elif node.leave_at is None and ownership.may_claim(node.moment(self.now)):
            self.write(node, ownership.claim(node.moment(self.now)))
        else:
            self.plan_turn(node, LOOK_SECONDS)

    def observed_record(self, node: Node, answer: tuple[Revision, Record]) -> None:
        """Note the record as it was read."""
        node.known = True
        change = node.ownership.observed(*answer, node.moment(self.now))
        if change is Change.LOST:
            self.figures.fenced += 1
            self.end_term(node)
        self.figures.claims += change is Change.GAINED

    def own(self, node: Node) -> None:
        """Renew, and let a term begin or the node leave."""
        ownership, now = node.ownership, node.moment(self.now)
        if node.leave_at is not None:
            self._leave(node)
        elif node.term is None and ownership.may_send(now) and _is_of_record(ownership.revision):
            self._begin_term(node)
        else:
            if node.term is None:  # what is read of the late batches is as of the record
                node.renew_at = 0.0
            self._end_if_over(node)
            self.read(node)
            term = node.term
            if term is not None and now.boot < node.renew_at:
                term.work.look_for_late(self.now)
                batch = term.work.next_late()
                if batch is not None:
                    self._keep_late(node, term, batch)
                    return
            risen = term is not None and term.work.advance()
            if risen or now.boot >= node.renew_at or not ownership.may_send(now):
                self.write(node, ownership.renew(now, *self.done_so_far(node)))
            else:
                busy = term is not None and term.under_way
                wait = max(COMMIT_SECONDS, (node.renew_at - now.boot) / node.rate)
                self.plan_turn(node, COMMIT_SECONDS if busy else wait)

    def _keep_late(self, node: Node, term: Term, batch: LateBatch) -> None:
        """Write what is left of a late batch, and go on."""
        expected = node.ownership.keep(node.moment(self.now))
        node.writing = True

        def answered(revision: object) -> None:
            node.writing = False
            if not isinstance(revision, Revision):
                term.work.late_unwritten(batch)
                node.known = False
                node.ownership.refused()
                self.plan_turn(node, 0.0)
                return
            node.ownership.kept(revision, node.moment(self.now))
            term.work.late_written(batch)
            self.figures.late += 1
            self.own(node)

        def failed() -> None:
            term.work.late_unwritten(batch)
            self._unanswered(node)

        self.call(node, lambda: self.servers.keep_late(batch, expected), answered, failed)

    def done_so_far(self, node: Node) -> tuple[int, Name | None, dict[str, BatchNumber]]:
        record = node.ownership.record
        assert record is not None
        if node.term is None:
            return record.floor, record.at, dict(record.seen)
        progress = node.term.work.progress
        return progress.floor, progress.at, dict(progress.seen)

    def write(self, node: Node, write: Write) -> None:
        """Write the record."""
        node.writing = True
        self.call(node, lambda: self.replace(write), lambda revision: self._wrote(node, write, revision),
                  lambda: self._unanswered(node))

    def replace(self, write: Write) -> Revision | None:
        """Carry a write out, and count what it says is done and is not."""
        floor = self.servers.record.floor
        passed = range(floor + 1, write.record.floor + 1)
        batches = [self.servers.batches.get(sequence) for sequence in passed]
        revision = self.servers.replace(write)
        if revision is not None:
            self.figures.skipped += sum(map(self.left, batches))
        return revision

    def _wrote(self, node: Node, write: Write, answer: object) -> None:
        if answer is None:
            node.writing, node.known = False, False
            node.ownership.refused()
            self.plan_turn(node, 0.0)
            return
        claimed = not node.ownership.is_owner
        self.written(node, write, answer)
        if not node.ownership.is_owner:
            self.stop(node)
            return
        self.figures.claims += claimed
        self.plan_turn(node, 0.0 if claimed or node.term is None else COMMIT_SECONDS)

    def written(self, node: Node, write: Write, revision: object) -> None:
        """Go on when a write was carried out."""
        assert isinstance(revision, Revision)
        node.writing = False
        node.ownership.written(revision, node.moment(self.now))
        node.renew_at = write.begun.boot + LEASE / 4

    # Terms.

    def _begin_term(self, node: Node) -> None:
        record = node.ownership.record
        assert record is not None

        def begin(answer: object) -> None:
            assert isinstance(answer, tuple)
            at_floor, late = answer
            if node.ownership.is_owner and node.term is None and node.may_send(self.now):
                progress = Progress(record)
                after = progress.begin_after(at_floor)
                outdated = self.servers.record.node != node.ownership.node
                assert outdated or after == record.floor, "the batch at the floor is gone"
                term = node.term = Term(UnderWay(progress, record.epoch), after)
                self._serve(node)
                for numbers in term.work.begin_late(late):
                    self.carry_out(node, term, numbers)
                self.read(node)
            self.plan_turn(node, COMMIT_SECONDS)

        def find() -> tuple[QueuedBatch | None, list[LateBatch]]:
            batch = self.servers.batches.get(record.floor)
            found = None if batch is None else QueuedBatch(record.floor, batch)
            return found, sorted(self.servers.late.values())

        self.call(node, find, begin, lambda: self._unanswered(node))

    def end_term(self, node: Node) -> None:
        """Throw away what a term has under way."""
        if node.term is not None:
            self.figures.repeated.append(node.term.repeated)
            node.term = None
        if self.serving is node:
            self._pause()

    def _end_if_over(self, node: Node) -> None:
        if node.term is not None and not node.may_send(self.now):
            self.end_term(node)

    def _pause(self) -> None:
        self.serving, self._stopped_at, self._stopped_by = None, self.now, self.cause

    def _serve(self, node: Node) -> None:
        if self.serving is None:
            self.figures.standstills[self._stopped_by].append(self.now - self._stopped_at)
        self.serving = node

    def _leave(self, node: Node) -> None:
        ownership, term, now = node.ownership, node.term, node.moment(self.now)
        assert node.leave_at is not None
        if term is not None and term.under_way and self.now < node.leave_at:
            self.plan_turn(node, COMMIT_SECONDS)
        else:
            if term is not None and ownership.may_send(now):
                term.work.advance()
            done = self.done_so_far(node)
            self.end_term(node)
            self.write(node, ownership.leave(now, *done))

    def stop(self, node: Node) -> None:
        """End its process, which owns nothing; it is started again after an update."""
        if node.up:
            self.end(node)
            self.later(self.rates.node_restart, lambda: self.start(node))

    def end(self, node: Node) -> None:
        """End its process."""
        self.end_term(node)
        node.end()

    def start(self, node: Node) -> None:
        """Start its process, unless it runs."""
        if not node.up:
            node.start()
            self.plan_turn(node, self.random.uniform(0, LOOK_SECONDS))
            self.append(node)


def _is_of_record(revision: Revision) -> bool:
    """Whether nothing was written beside the record since."""
    return revision.last == revision.record

"""A shared queue in virtual time: nodes, receivers, a log between them, and a network that delays and loses.

Any node does any step that the rules allow at any moment, in any order: that is more than any program that
follows the rules does. Clocks run fast or slow, or stand still; processes are killed; a call may be carried
out long after its caller has given it up. ``pyd2.queue.shared`` decides, and this only carries out. A seed
makes a run again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import BatchNumber
from pyd2.queue.shared.interface import QueuedBatch
from pyd2.queue.shared.late import LATE_SECONDS, LateBatch
from pyd2.queue.shared.order import Order
from pyd2.queue.shared.outgoing import Outgoing
from pyd2.queue.shared.ownership import Change, Moment, Ownership
from pyd2.queue.shared.progress import Progress, name_of
from pyd2.queue.shared.record import NO_RECORD, Record, Revision
from pyd2.queue.shared.under_way import UnderWay
from tests.queue.shared.receivers import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.late import LateName
    from pyd2.queue.shared.order import Ready
    from pyd2.queue.shared.ownership import Write

LEASE: Final = 6.0
GRACE: Final = 1.0
RATES: Final = (0.94, 1.0, 1.06)
"""Of clocks: within a lease two of them differ by less than the grace."""
NODES: Final = 3
RECEIVERS: Final = 2
CLIENTS: Final = 2
"""Of each receiver."""

HASTE: Final = 1000 * LATE_SECONDS
"""A batch is late when it has held the floor back for a millisecond."""

Request = tuple[int, int, int]
"""Its number, its client and its version."""


class Log:
    """What the servers keep."""

    def __init__(self) -> None:
        self.batches: dict[int, RequestBatch] = {}
        self.history: list[RequestBatch] = []
        """All that were appended, in order."""
        self.last = 0
        self.has_lost = False
        """Whether it has lost anything."""
        self.records: list[tuple[Revision, Record]] = [(Revision(0, 0), NO_RECORD)]
        """All that there were, with their revisions."""
        self.late: dict[LateName, LateBatch] = {}

    @property
    def record(self) -> Record:
        return self.records[-1][1]

    def append(self, batch: RequestBatch) -> int:
        self.last += 1
        self.batches[self.last] = batch
        self.history.append(batch)
        return self.last

    def lose(self, count: int) -> None:
        """Forget the last so many, and their sequences."""
        self.has_lost = True
        for _ in range(count):
            del self.batches[self.last]
            self.last -= 1

    def replace(self, write: Write) -> Revision | None:
        """Return the new revision; None if another one was expected."""
        revision = self.records[-1][0]
        if revision != write.expected:
            return None
        new = Revision(revision.last + 1, revision.last + 1)
        self.records.append((new, write.record))
        return new

    def keep_late(self, batch: LateBatch, expected: Revision) -> Revision | None:
        """Return the new revision; None if another one was expected."""
        revision, record = self.records[-1]
        if revision != expected:
            return None
        self.late[batch.name] = batch
        if not batch.datagrams:
            del self.late[batch.name]
        self.records.append((Revision(revision.last + 1, revision.record), record))
        return self.records[-1][0]

    def drop(self, up_to: int) -> None:
        for sequence in [one for one in self.batches if one <= up_to]:
            del self.batches[sequence]


@dataclass(eq=False)
class Call:
    """A call that its caller waits for."""

    carry_out: Callable[[], object]
    """What the servers do, and what they answer."""
    answered: Callable[[object], None]
    given_up: Callable[[], None]
    answers: list[object] = field(default_factory=list)


@dataclass(eq=False)
class Node:
    """A process that may own the queue."""

    ownership: Ownership
    rate: float
    offset: float
    call: Call | None = None
    work: UnderWay | None = None
    order: Order = field(default_factory=lambda: Order(Progress(NO_RECORD)))
    read_to: int = 0
    reads_all: bool = False
    """Whether the next term is to read all that is there."""
    begun: set[tuple[str, BatchNumber]] = field(default_factory=set)
    """The batches that were begun in this term."""
    waiting: list[Request] = field(default_factory=list)
    prepared: tuple[UnderWay, Request] | None = None
    """What it has looked at the clocks for and not sent yet; it does nothing else between."""


def of_datagram(datagram: bytes) -> tuple[int, int]:
    """Return the client and the version of a request."""
    client, version = map(int, datagram.split())
    return client, version


class World:
    """Two receivers and three nodes; at the end a last node does the rest, and the zones must be right."""

    def __init__(self, random: Random, happened: Counter[str]) -> None:
        """``happened`` counts what has happened."""
        self.random = random
        self.happened = happened
        self.now = 0.0
        self.wall = random.random() < 0.5
        """Whether wall clocks are right; then the others may stand still, else the wall clocks do."""
        self.log = Log()
        self.network: list[Call | Callable[[], object]] = []
        """What is on its way to the servers; a call may be there more than once."""
        self.processes = 0
        self.nodes = [self.new_node(1.0 if self.wall else random.choice(RATES)) for _ in range(NODES)]
        self.receivers = [self.new_receiver(f"r{number}.x", number * CLIENTS) for number in range(RECEIVERS)]
        self.versions: Counter[int] = Counter()
        self.slow = random.randrange(RECEIVERS * CLIENTS)
        """A client whose updates are made seldom."""
        self.accepted: list[bytes] = []
        self.zone: dict[int, int] = {}
        self.done: set[tuple[int, int]] = set()
        self.stale: set[int] = set()
        """Clients for whom a former owner has sent what it had prepared."""

    def new_node(self, rate: float) -> Node:
        self.processes += 1
        return Node(Ownership(f"n.{self.processes}", LEASE, GRACE), rate, 100.0 * self.processes)

    def new_receiver(self, name: str, first: int) -> Receiver:
        return Receiver(name, range(first, first + CLIENTS), Outgoing(name, 1))

    def moment(self, node: Node) -> Moment:
        return Moment(node.offset + node.rate * self.now, self.now if self.wall else 0.0)

    # What happens at random.

    def run(self, steps: int) -> None:
        """Let so much happen, look after each step, and see how it ends."""
        actions = list(WEIGHTS)
        weights = list(WEIGHTS.values())
        for _ in range(steps):
            self.random.choices(actions, weights)[0](self)
            self.look()
        self.end()

    def node(self) -> Node | None:
        """Return a node, unless it is just sending."""
        node = self.random.choice(self.nodes)
        return node if node.prepared is None else None

    def worker(self) -> Node | None:
        """Return a node that has requests under way, unless it is just sending."""
        workers = [node for node in self.nodes if node.work is not None and node.prepared is None]
        return self.random.choice(workers) if workers else None

    def caller(self) -> Node | Receiver | None:
        """Return a node or a receiver with a call under way, if this one has one."""
        callers: list[Node | Receiver] = [*self.nodes, *self.receivers]
        caller = self.random.choice(callers)
        sending = isinstance(caller, Node) and caller.prepared is not None
        return None if sending or caller.call is None else caller

    # Time and faults.

    def pass_time(self) -> None:
        self.now += self.random.choice((0.1, 0.1, 0.5, 1.0, 3.0, 5.0))

    def stand_still(self) -> None:
        """A virtual machine is stopped with its clock; when it goes on its wall clock is put right."""
        if self.wall:
            seconds = self.random.choice((1.0, 6.0, 20.0))
            self.now += seconds
            self.random.choice(self.nodes).offset -= seconds

    def kill_node(self) -> None:
        which = self.random.randrange(NODES)
        self.nodes[which] = self.new_node(self.nodes[which].rate)

    def carry_out(self) -> None:
        """Something arrives at the servers, perhaps long after its sender has given it up."""
        if self.network:
            sent = self.network.pop(self.random.randrange(len(self.network)))
            if isinstance(sent, Call):
                sent.answers.append(sent.carry_out())
            else:
                sent()

    def lose(self) -> None:
        if self.network:
            self.network.pop(self.random.randrange(len(self.network)))

    def give_up(self) -> None:
        caller = self.caller()
        if caller is not None and caller.call is not None:
            call, caller.call = caller.call, None
            call.given_up()

    def answer(self) -> None:
        caller = self.caller()
        if caller is not None and caller.call is not None and caller.call.answers:
            call, caller.call = caller.call, None
            call.answered(call.answers[0])

    def call(self, caller: Node | Receiver, call: Call, *, at_once: bool = False) -> None:
        """Begin a call; most are carried out and answered without delay."""
        if at_once or self.random.random() < 0.75:
            call.answered(call.carry_out())
        else:
            caller.call = call
            self.network.append(call)

    # Receivers.

    def take(self) -> None:
        receiver = self.random.choice(self.receivers)
        datagrams = []
        for client in self.random.choices(receiver.clients, k=self.random.randint(1, 3)):
            self.versions[client] += 1
            datagrams.append(b"%d %d" % (client, self.versions[client]))
        if self.random.random() < 0.8:
            receiver.outgoing.add(datagrams, (), self.now)
            return
        receiver.outgoing.keep(receiver.keep)
        numbers = receiver.keep(datagrams)
        self.accepted += receiver.commit()
        receiver.outgoing.add(datagrams, numbers, self.now)

    def keep(self) -> None:
        """What is in memory only goes to the disk."""
        receiver = self.random.choice(self.receivers)
        receiver.outgoing.keep(receiver.keep)

    def commit(self) -> None:
        self.accepted += self.random.choice(self.receivers).commit()

    def append(self) -> None:
        receiver = self.random.choice(self.receivers)
        if receiver.call is None:
            self.append_first(receiver)

    def append_first(self, receiver: Receiver, *, at_once: bool = False) -> bool:
        """Append the batch that comes first; return whether there was one."""
        empty = receiver.disk_is_empty
        batch = receiver.outgoing.first(self.now, safe=receiver.safe, disk_is_empty=empty)
        if batch is None:
            return False

        def acknowledged(sequence: object) -> None:
            assert isinstance(sequence, int)
            self.accepted += batch.datagrams
            self.count("batch appended")
            receiver.acknowledged(batch, sequence, self.now)

        call = Call(lambda: self.log.append(batch), acknowledged, lambda: self.count("batch sent again"))
        self.call(receiver, call, at_once=at_once)
        return True

    def look_for_lost(self) -> None:
        """A receiver looks whether the servers have its oldest batch that is not done."""
        receiver = self.random.choice(self.receivers)
        if receiver.call is None:
            self.append_lost(receiver, lags=self.random.random() < 0.1)

    def append_lost(self, receiver: Receiver, *, lags: bool = False, at_once: bool = False) -> bool:
        """Append the oldest batch that is not done again, if it is not there; ``lags``: as a server says."""
        receiver.kept.done(self.log.record.seen.get(receiver.name))
        kept = receiver.kept.behind(None)
        if kept is None:
            return False
        while kept is not None and self.log.batches.get(kept.sequence) == kept.batch and not lags:
            if not at_once:
                return False
            kept = receiver.kept.behind(kept.batch.number)
        if kept is None:
            return False
        lost = kept
        self.count("batch that was lost sent again")

        def answered(sequence: object) -> None:
            assert isinstance(sequence, int)
            lost.sequence = sequence

        call = Call(lambda: self.log.append(lost.batch), answered, lambda: None)
        self.call(receiver, call, at_once=at_once)
        return True

    def learn_what_is_done(self) -> None:
        """A receiver hears of a record, which may be an old one."""
        receiver = self.random.choice(self.receivers)
        _, record = self.random.choice(self.log.records[-3:])
        receiver.kept.done(record.seen.get(receiver.name))

    def lose_acknowledged(self) -> None:
        """The servers lose the last batches, of receivers that still have them: two faults are too many."""
        most = 0
        for sequence in range(self.log.last, 0, -1):
            batch = self.log.batches.get(sequence)
            if batch is None or not any(receiver.name == batch.receiver and batch.number in receiver.appended
                                        for receiver in self.receivers):
                break
            most += 1
        if most:
            self.count("acknowledged batches lost")
            self.log.lose(self.random.randint(1, most))

    def restart_receiver(self) -> None:
        receiver = self.random.choice(self.receivers)
        done = self.log.record.seen.get(receiver.name, BatchNumber(0, 0))
        if self.log.has_lost and any(number > done for number in receiver.appended):
            return  # it may be the only one that has it: two faults are too many
        if receiver.outgoing.in_memory:
            self.count("receiver loses what is in memory only")
        receiver.restart(self.now)
        if receiver.disk:
            self.count("receiver goes on with its disk")

    # Nodes: the record.

    def observe(self) -> None:
        """Read the record; a server that was the leader may answer with an older one."""
        node = self.node()
        if node is not None and node.call is None:
            self.read_record(node, behind=self.random.choice((*[0] * 20, 1, 2, 3)))

    def read_record(self, node: Node, *, behind: int = 0, at_once: bool = False) -> None:
        def newest() -> object:
            return self.log.records[max(0, len(self.log.records) - 1 - behind)]

        call = Call(newest, lambda answer: self.observed(node, answer), lambda: None)
        self.call(node, call, at_once=at_once)

    def observed(self, node: Node, answer: object) -> None:
        assert isinstance(answer, tuple)
        revision, record = answer
        change = node.ownership.observed(revision, record, self.moment(node))
        if change is Change.LOST:
            self.count("owner lost the queue")
            self.stop(node)
        elif change is Change.GAINED:
            self.count("claim known without an answer")
            self.start(node)

    def claim(self) -> None:
        node = self.node()
        if node is not None and node.call is None and node.ownership.may_claim(self.moment(node)):
            self.write(node, node.ownership.claim(self.moment(node)))

    def renew(self) -> None:
        node = self.node()
        if node is None or node.call is not None or not node.ownership.may_write():
            return
        self.write(node, node.ownership.renew(self.moment(node), *self.done_by(node)))

    def done_by(self, node: Node) -> tuple[int, tuple[str, BatchNumber] | None, Mapping[str, BatchNumber]]:
        """Return what the record is to say of floor, batch at the floor, and batches seen."""
        work, record = node.work, node.ownership.record
        assert record is not None
        if work is None:
            return record.floor, record.at, record.seen
        work.advance()
        return work.progress.floor, work.progress.at, dict(work.progress.seen)

    def end_term(self) -> None:
        """An owner whose lease is over drops what it has; the record may still be its own."""
        node = self.node()
        if node is not None and node.work is not None and not node.ownership.may_send(self.moment(node)):
            self.count("term ended with the lease")
            self.stop(node)

    def begin_term(self) -> None:
        """It begins again when it could renew the lease."""
        node = self.node()
        if node is not None and node.call is None and node.work is None and node.ownership.is_owner \
                and node.ownership.may_send(self.moment(node)):
            self.count("another term of one owner")
            self.start(node)

    def leave(self) -> None:
        node = self.node()
        work = node.work if node is not None and node.call is None else None
        if node is not None and work is not None and node.ownership.may_write():
            self.write(node, node.ownership.leave(self.moment(node), *self.done_by(node)))

    def write(self, node: Node, write: Write, *, at_once: bool = False) -> None:
        def answered(revision: object) -> None:
            if not isinstance(revision, Revision):
                node.ownership.refused()
                self.count("write refused")
                return
            was = node.ownership.is_owner
            late = was and not node.ownership.may_send(self.moment(node))
            node.ownership.written(revision, self.moment(node))
            if not node.ownership.is_owner:
                self.count("owner left")
                self.stop(node)
            elif not was:
                self.count("claim")
                self.start(node)
            elif late:
                self.count("lease renewed when it was over")

        call = Call(lambda: self.log.replace(write), answered, node.ownership.unanswered)
        self.call(node, call, at_once=at_once)

    def start(self, node: Node) -> None:
        record = node.ownership.record
        assert record is not None
        progress = Progress(record)
        node.work = UnderWay(progress, record.epoch)
        if node.reads_all:
            progress.begin_at_start()
        node.reads_all = False
        node.begun, node.order = set(), Order(progress)
        at_floor = self.log.batches.get(progress.floor)
        node.read_to = progress.begin_after(QueuedBatch(record.floor, at_floor) if at_floor else None)
        if node.read_to != record.floor:
            self.count("batch at the floor lost")
        node.waiting = []
        late = sorted(self.log.late.values())
        for numbers, batch in zip(node.work.begin_late(late), late, strict=True):
            self.wait(node, numbers, batch.datagrams)
            self.count("late batch begun by a claim")

    def stop(self, node: Node) -> None:
        node.work = None
        node.waiting = []

    def wait(self, node: Node, numbers: Sequence[int], datagrams: Sequence[bytes]) -> None:
        node.waiting += [(number, *of_datagram(datagram))
                         for number, datagram in zip(numbers, datagrams, strict=True)]

    def keep_late(self) -> None:
        """Write what is left of a late batch."""
        node = self.worker()
        work = node.work if node is not None and node.call is None else None
        if node is None or work is None or not node.ownership.may_write():
            return
        work.look_for_late(self.now * HASTE)
        batch = work.next_late()
        if batch is None:
            return

        def answered(revision: object) -> None:
            if not isinstance(revision, Revision):
                work.late_unwritten(batch)
                node.ownership.refused()
                self.count("write refused")
                return
            node.ownership.kept(revision, self.moment(node))
            work.late_written(batch)
            self.count("late batch written" if batch.datagrams else "late batch ended")

        def given_up() -> None:
            work.late_unwritten(batch)
            node.ownership.unanswered()

        expected = node.ownership.keep(self.moment(node))
        self.call(node, Call(lambda: self.log.keep_late(batch, expected), answered, given_up))

    # Nodes: requests.

    def read(self) -> None:
        if (node := self.worker()) is not None:
            self.read_next(node)

    def read_next(self, node: Node, *, certain: bool = False) -> bool:
        behind = [sequence for sequence in self.log.batches if sequence > node.read_to]
        if node.work is None:
            return False
        there = self.log.batches.get(node.read_to)
        if node.read_to and not node.work.progress.is_last(QueuedBatch(node.read_to, there)) \
                and (certain or self.random.random() < 0.1):
            self.count("what was read last is lost")
            self.stop(node)
            return False
        if not behind:
            return False
        node.read_to = min(behind)
        batch = self.log.batches[node.read_to]
        if node.work.progress.is_new(batch):
            node.work.begin(node.read_to, batch.taken, batch.datagrams)
        else:
            self.count("batch read twice")
        self.begin(node, node.order.add(node.read_to, batch, self.now * HASTE))
        if node.order.overdue():
            self.read_all(node)
        return True

    def begin(self, node: Node, ready: list[Ready]) -> None:
        """Let batches begin."""
        assert node.work is not None
        for sequence, batch, missing in ready:
            name = batch.receiver, batch.number
            assert name not in node.begun, f"{name} is begun twice in a term"
            node.begun.add(name)
            # A former owner may read what its successor has removed.
            own = node.ownership.node == self.log.record.node
            assert not (own and missing), f"a batch is missing before {name}"
            self.wait(node, node.work.numbers(sequence), batch.datagrams)
            if len(ready) > 1:
                self.count("batch begun that has waited for another one")

    def read_again(self) -> None:
        """What is missing may have a sequence that was read as another one."""
        node = self.worker()
        if node is not None and node.order.waits:
            self.read_all(node)

    def read_all(self, node: Node) -> None:
        self.count("what is missing is read again")
        self.stop(node)
        node.reads_all = True

    def prepare(self) -> None:
        """Look at the clocks and prepare an update: that of a client's first request."""
        if (node := self.worker()) is not None:
            self.prepare_one(node)

    def prepare_one(self, node: Node) -> None:
        if node.work is not None and node.ownership.may_send(self.moment(node)):
            firsts = {request[1]: request for request in reversed(node.waiting)}
            if len(firsts) > 1 and self.random.random() < 0.75:
                firsts.pop(self.slow, None)
            if firsts:
                node.prepared = node.work, self.random.choice(list(firsts.values()))

    def send(self) -> None:
        """Send what was prepared, though time may have passed; without an answer it is sent again."""
        senders = [node for node in self.nodes if node.prepared is not None]
        if senders:
            self.send_one(self.random.choice(senders), answered=self.random.random() < 0.8)

    def send_one(self, node: Node, *, answered: bool = True) -> None:
        if node.prepared is None:
            return
        (work, request), node.prepared = node.prepared, None
        number, client, version = request
        if self.log.record.node != node.ownership.node:
            self.count("stale update, prepared before")
            self.stale.add(client)
        if self.zone.get(client, 0) > version:
            self.count("older update after a newer one")
        self.count("update")
        self.zone[client] = version
        self.done.add((client, version))
        if answered and work is node.work:
            node.waiting.remove(request)
            work.end([number])

    def drop(self) -> None:
        """Have removed what the written record says is done; that may be carried out at any time."""
        node = self.node()
        if node is not None and node.work is not None and (record := node.ownership.record) is not None:
            self.network.append(lambda: self.remove(record))

    def remove(self, record: Record) -> None:
        """Remove what a record says is done, if the batch at its floor is there."""
        if name_of(QueuedBatch(record.floor, self.log.batches.get(record.floor))) == record.at:
            self.log.drop(record.floor - 1)

    # What must hold.

    def look(self) -> None:
        """See that the node which may send is in the record, that no other could be, and the floor."""
        names = [node.ownership.node for node in self.nodes if node.ownership.may_send(self.moment(node))]
        assert names in ([], [self.log.record.node]), f"{names} may send; the record has {self.log.record}"
        claimants = [node.ownership.node for node in self.nodes if node.ownership.may_claim(self.moment(node))
                     and node.ownership._revision == self.log.records[-1][0]]
        assert not (names and claimants), f"{names} may send, and {claimants} could claim the queue"
        late = {datagram for batch in self.log.late.values() for datagram in batch.datagrams}
        record = self.log.record
        for sequence, batch in self.log.batches.items():
            last = record.seen.get(batch.receiver)
            if sequence <= record.floor and last is not None and batch.number <= last:
                # What was under way at a kill only may arrive behind what the next start appends.
                killed = batch.number.boot < last.boot
                for datagram in batch.datagrams:
                    done = datagram in late or of_datagram(datagram) in self.done
                    assert done or (killed and datagram not in self.accepted), f"{datagram!r} was skipped"

    def end(self) -> None:
        """Have one more node do what is left, and see that nothing is lost and the zones are right."""
        for receiver in self.receivers:
            while receiver.outgoing:
                self.accepted += receiver.commit()
                self.append_first(receiver, at_once=True)
            while self.append_lost(receiver, at_once=True):
                pass
        last = self.new_node(1.0)
        self.read_record(last, at_once=True)
        self.now += LEASE + GRACE + 1
        self.write(last, last.ownership.claim(self.moment(last)), at_once=True)
        for _ in range(3):
            while self.read_next(last, certain=True):
                pass
            if last.work is None or last.order.waits:
                self.read_all(last)
                self.start(last)
        assert not last.order.waits, "a batch is missing between two others"
        while last.waiting:
            self.prepare_one(last)
            self.send_one(last)
        for datagram in self.accepted:
            assert of_datagram(datagram) in self.done, f"{datagram!r} was accepted and is lost"
        wanted = self.wanted()
        wrong = {client: (version, self.zone.get(client)) for client, version in wanted.items()
                 if client not in self.stale and self.zone.get(client) != version}
        assert not wrong, f"the zones do not end with the last requests: {wrong}"

    def wanted(self) -> dict[int, int]:
        """Return the last version of each client in the order of the queue, without repetitions."""
        wanted: dict[int, int] = {}
        newest: Counter[int] = Counter()
        last: dict[str, BatchNumber] = {}
        boots: Counter[str] = Counter()
        in_time: list[RequestBatch] = []
        for batch in self.log.history:
            if batch.number.boot >= boots[batch.receiver]:  # else see ``look``
                boots[batch.receiver] = batch.number.boot
                in_time.append(batch)
        for batch in sorted(in_time, key=lambda batch: batch.number):
            if batch.receiver not in last or batch.number > last[batch.receiver]:
                last[batch.receiver] = batch.number
                wanted.update(map(of_datagram, batch.datagrams))
                newest |= Counter(wanted)
        assert wanted == newest, "a receiver has appended an older request behind a newer one, and no more"
        return wanted

    def count(self, what: str) -> None:
        self.happened[what] += 1


WEIGHTS: Final[dict[Callable[[World], None], float]] = {
    World.pass_time: 10, World.stand_still: 1, World.kill_node: 0.5, World.carry_out: 8, World.lose: 1,
    World.give_up: 2, World.answer: 8, World.take: 8, World.append: 8,
    World.restart_receiver: 1, World.keep: 1, World.commit: 3,
    World.look_for_lost: 3, World.read_again: 0.5, World.learn_what_is_done: 2, World.lose_acknowledged: 0.5,
    World.observe: 14, World.claim: 8, World.renew: 6, World.leave: 0.3,
    World.read: 10, World.prepare: 12, World.send: 14, World.drop: 2, World.end_term: 3,
    World.begin_term: 3, World.keep_late: 28,
}  # fmt: skip
"""What may happen, and how often."""

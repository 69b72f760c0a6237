"""The requests of a site in virtual time: receivers, the queue, and the DNS servers."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from pyd2.cluster.owner import COMMIT_SECONDS
from pyd2.cluster.receiver import LOGGED_SECONDS
from tests.cluster.month.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pyd2.queue.shared.batch import RequestBatch
    from tests.cluster.month.node import Node, Term
    from tests.cluster.month.rates import Rates

_AGAIN: Final = 0.5
"""Seconds until a batch is appended again."""


class Requests(Owners):
    """With what nodes do when they stand still, for it is about what they have prepared."""

    def __init__(self, rates: Rates, random: Random, nodes: int) -> None:
        super().__init__(rates, random, nodes)
        low, high = map(math.log, rates.requests)
        self.rate = math.exp(random.uniform(low, high))
        """Requests a second."""
        self.dns_down = False
        self.dns_down_since = 0.0
        self._carried_out: set[int] = set()

    def plan_arrival(self) -> None:
        """Let the next request come."""
        self.at(self.now + self.random.expovariate(self.rate), self._arrive)

    def _arrive(self) -> None:
        node = self.random.choice(self.nodes)
        if node.frozen:
            node.in_kernel += 1
        elif node.up:
            self.take(node, 1)
        self.plan_arrival()

    def take(self, node: Node, arrived: int) -> None:
        """A receiver takes so many requests."""
        if not arrived:
            return
        self.figures.requests += arrived
        numbers = range(node.last_number + 1, node.last_number + 1 + arrived)
        node.last_number = numbers[-1]
        first = self.figures.requests
        datagrams = [b"%d" % request for request in range(first - arrived, first)]
        for number, datagram in zip(numbers, datagrams, strict=True):
            node.disk[number] = self.now, datagram
        node.outgoing.add(datagrams, numbers, self.now)
        if node.spool_peak:
            node.spool_peak = max(node.spool_peak, len(node.outgoing))
        self.append(node)

    def append(self, node: Node) -> None:
        """Append the first batch, unless one is under way."""
        if node.appending or not node.up:
            return
        batch = node.first(self.now)
        if batch is None:
            return
        node.appending = True
        begun = self.now

        def carry_out() -> None:
            self.servers.append(batch)
            for one in self.nodes:
                if one.term is not None:
                    self.for_node(one, self.random.uniform(*self.rates.answer) / 2, partial(self.read, one))

        def answered(_: object) -> None:
            node.appending = False
            self.acknowledged(node)
            self.append(node)

        def failed() -> None:
            if self.now - begun >= LOGGED_SECONDS or node.spool_peak:
                node.spool_peak = max(node.spool_peak, len(node.outgoing))
            self.for_node(node, _AGAIN, again)

        def again() -> None:
            self.call(node, carry_out, answered, failed)

        again()

    def acknowledged(self, node: Node) -> None:
        """The first batch of a receiver is in the queue."""
        for number in node.outgoing.acknowledged():
            del node.disk[number]
        if node.spool_peak and not node.outgoing:
            self.figures.spools.append(node.spool_peak)
            node.spool_peak = 0

    def read(self, node: Node) -> None:
        """Read what is behind, and carry it out."""
        term = node.term
        while term is not None and term is node.term and not node.cut and term.read_to < self.servers.last:
            term.read_to += 1
            batch = self.servers.batches.get(term.read_to)
            if batch is None:  # done and removed: this owner is one no more, and does not know it yet
                assert self.servers.record.node != node.ownership.node, "a batch behind the floor is gone"
            elif term.work.progress.begin(term.read_to, batch, self.now):
                self.carry_out(node, term, term.work.begin(term.read_to, batch.taken, batch.datagrams))
            else:
                self.figures.recognised += 1

    def carry_out(self, node: Node, term: Term, numbers: Sequence[int]) -> None:
        """See Owners."""
        if not node.may_send(self.now):
            self.end_term(node)
        elif self.dns_down:
            blocked = [number for number in numbers if self._is_for_one(int(term.work.datagram(number)))]
            term.blocked += blocked
            self._send(node, term, sorted({*numbers} - {*blocked}))
        else:
            self._send(node, term, numbers)

    def left(self, batch: RequestBatch | None) -> int:
        """See Owners."""
        if batch is None:
            return 0
        left = {int(datagram) for datagram in batch.datagrams} - self._carried_out
        for late in self.servers.late.values() if left else ():
            left.difference_update(map(int, late.datagrams))
        return len(left)

    def _is_for_one(self, request: int) -> bool:
        """Whether a request is for the DNS server that may be down."""
        return request % 100 < 100 * self.rates.dns_share

    def _send(self, node: Node, term: Term, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        requests = [int(term.work.datagram(number)) for number in numbers]
        if self.servers.record.node != node.ownership.node:
            self._count_stale(node, len(requests))
        term.repeated += sum(request in self._carried_out for request in requests)
        term.under_way += 1

        def done() -> None:
            if node.term is term:
                self._carried_out.update(requests)
                term.under_way -= 1
                term.work.end(numbers)
                if node.turn_at > self.now + COMMIT_SECONDS and not node.writing and node.known:
                    self.plan_turn(node, COMMIT_SECONDS)

        self.for_node(node, self.random.uniform(*self.rates.update), done)

    def _count_stale(self, node: Node, number: int, *, prepared: bool = False) -> None:
        if self.servers.record.node == node.ownership.node:
            return
        if prepared:
            self.figures.stale_prepared += number
        elif node.wall_error:
            self.figures.stale_clocks += number
        else:
            self.figures.stale_other += number

    def dns_is_up(self) -> None:
        """The DNS server answers again."""
        self.dns_down = False
        for node in self.nodes:
            term = node.term
            if term is None:
                continue
            blocked, term.blocked = term.blocked, []
            self._send(node, term, blocked)

    def wake(self, node: Node) -> None:
        """It stands still no more."""
        if not node.frozen:
            return
        node.frozen = False
        if node.prepared:
            node.prepared = False
            self._count_stale(node, 1, prepared=True)
        if self.serving is None and node.term is not None and node.may_send(self.now) \
                and self.servers.record.node == node.ownership.node:
            self._serve(node)
        deferred, node.deferred = node.deferred, []
        for what in deferred:
            what()
        arrived, node.in_kernel = node.in_kernel, 0
        if node.up:
            self.take(node, arrived)

    def freeze(self, node: Node) -> None:
        """It stands still."""
        node.frozen = True
        chance = self.rate * self.rates.look_to_send
        node.prepared = node.term is not None and self.random.random() < chance
        if self.serving is node:
            self._pause()

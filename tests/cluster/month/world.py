"""A site for a month in virtual time: some nodes, three servers, and what happens to them.

``pyd2.queue.shared`` decides; ``owners`` and ``requests`` make the calls as ``pyd2.cluster`` does, with its
times. While nothing fails and all is done, nothing would change but the revision of the record: that time is
skipped, up to shortly before the next fault.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pyd2.cluster.owner import LOOK_SECONDS
from pyd2.queue.shared.late import LATE_SECONDS
from tests.cluster.month.node import LEASE
from tests.cluster.month.requests import Requests

if TYPE_CHECKING:
    from random import Random

    from tests.cluster.month.rates import Rates

LEAD: Final = 2.0
"""Seconds before a fault that are not skipped."""
LONGEST: Final = 300.0
"""Seconds in which a site must have settled after a fault."""
_LOOK: Final = 0.5
"""How often it is looked whether the site has settled."""


class World(Requests):
    """Faults are planned by ``later``."""

    def __init__(self, rates: Rates, random: Random, nodes: int) -> None:
        super().__init__(rates, random, nodes)
        self._settled_at = 0.0
        for node in self.nodes:
            self.plan_turn(node, self.random.uniform(0, LOOK_SECONDS))
        self.plan_arrival()
        self.at(_LOOK, self._look)

    def _look(self) -> None:
        """Skip what is quiet."""
        lead = LEAD + LATE_SECONDS if self.dns_down else LEAD  # what waits is late by then
        skipped = self._faults[0][0] - lead - self.now
        if skipped > LEAD and not any(node.frozen for node in self.nodes):
            settled = self._settled()
            if settled or self._stuck():
                self._skip(skipped, settled=settled)
                self._settled_at = self.now
        else:
            self._settled_at = self.now
        assert self.now - self._settled_at < LONGEST, f"not settled {LONGEST} s after {self.cause}"
        self.at(self.now + _LOOK, self._look)

    def _settled(self) -> bool:
        """Whether one node owns the queue and all is done, but for what waits for a DNS server."""
        owner, record = self.serving, self.servers.record
        terms = [node for node in self.nodes if node.term is not None]
        if owner is None or terms != [owner] or not self.servers.answer(self.now):
            return False
        term = owner.term
        if self.dns_down and self.now < self.dns_down_since + LEAD + LATE_SECONDS:
            return False
        if owner.cut or owner.writing or term is None or term.under_way or term.read_to < self.servers.last \
                or not owner.may_send(self.now) or record.node != owner.ownership.node:
            return False
        return all(
            node.known and not node.outgoing and node.leave_at is None and self.servers.is_there(node.server)
            and node.ownership.record is not None and node.ownership.record.epoch == record.epoch
            for node in self.nodes if node.works
        )

    def _stuck(self) -> bool:
        """Whether no node can do anything until something is mended."""
        if self.servers.quorum and any(node.works for node in self.nodes):
            return False
        return all(node.term is None for node in self.nodes)

    def _skip(self, seconds: float, *, settled: bool) -> None:
        """Pass the time up to shortly before the next fault."""
        self._heap.clear()
        self.now += seconds
        mean = self.rate * seconds / len(self.nodes)
        owner = self.serving if settled else None
        for node in self.nodes:
            arrived = self._poisson(mean)
            if node.works and settled and not self.dns_down:
                self.figures.requests += arrived
            elif node.up:
                node.appending = True
                self.take(node, arrived)
                while node.works and settled and (batch := node.first(self.now)) is not None:
                    self.servers.append(batch)
                    self.acknowledged(node)
                node.appending = False
                self.append(node)
        if owner is not None:
            assert owner.term is not None
            owner.term.work.advance()
            begun = owner.moment(self.now - self.random.uniform(0, LEASE / 4))
            write = owner.ownership.renew(begun, *self.done_so_far(owner))
            self.written(owner, write, self.replace(write))
            self.read(owner)
        for node in self.nodes:
            node.turn += 1
            if node.writing:
                node.writing, node.known = False, False
                node.ownership.unanswered()
            if node.up:
                if settled and node.works and node is not owner:
                    self.observed_record(node, (self.servers.revision, self.servers.record))
                self.plan_turn(node, self.random.uniform(0, LOOK_SECONDS))
        self.plan_arrival()

    def _poisson(self, mean: float) -> int:
        if mean > 50:
            return max(0, round(self.random.gauss(mean, math.sqrt(mean))))
        number, left = 0, self.random.expovariate(1)
        while left < mean:
            number, left = number + 1, left + self.random.expovariate(1)
        return number

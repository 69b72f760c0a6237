"""Faults of a site in virtual time: draws them for a month, and lets them happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.cluster.member import LEAVE_SECONDS
from pyd2.cluster.owner import COMMIT_SECONDS, FINISH_SECONDS
from tests.cluster.month.rates import between
from tests.cluster.month.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.month.node import Node
    from tests.cluster.month.world import World


class Faults:
    """What happens to a world."""

    def __init__(self, world: World, seconds: float) -> None:
        """Draw all for so long."""
        self._world = world
        self._rates = world.rates
        self._random = world.random
        rates = world.rates
        for node in world.nodes:
            self._draw(rates.node_crash_every, seconds, self._crash, node)
            self._draw(rates.node_restart_every, seconds, self._restart, node)
            self._draw(rates.node_freeze_every, seconds, self._freeze, node)
            self._draw(rates.node_cut_every, seconds, self._cut, node)
        for server in range(SERVERS):
            self._draw(rates.server_crash_every, seconds, self._crash_server, server)
            self._draw(rates.server_restart_every, seconds, self._restart_server, server)
            self._draw(rates.server_cut_every, seconds, self._cut_server, server)
        self._draw(rates.quorum_every, seconds, self._lose_quorum)
        self._draw(rates.dns_every, seconds, self._stop_dns)

    def _draw(self, every: float, seconds: float, fault: Callable[..., None], *arguments: object) -> None:
        at = self._random.expovariate(1 / every)
        while at < seconds:
            self._world.later(at, lambda: fault(*arguments))
            at += self._random.expovariate(1 / every)

    def _begin(self, what: str) -> None:
        self._world.cause = what
        self._world.figures.faults[what] += 1

    def _crash(self, node: Node) -> None:
        if not node.up:
            return
        self._begin("node crashes")
        self._world.end(node)
        if self._random.random() < self._rates.node_gone:
            self._world.figures.lost += node.lose_disk()
        self._world.later(between(self._random, *self._rates.node_crash), lambda: self._world.start(node))

    def _restart(self, node: Node) -> None:
        if not node.works or node.leave_at is not None:
            return
        self._begin("node is restarted")
        life = node.life
        node.leave_at = self._world.now + FINISH_SECONDS
        if not node.ownership.is_owner:
            self._world.stop(node)
            return

        def give_up() -> None:  # its lease runs out
            if node.life == life:
                self._world.stop(node)

        self._world.later(LEAVE_SECONDS, give_up)
        if node.turn_at > self._world.now:
            self._world.plan_turn(node, COMMIT_SECONDS)

    def _freeze(self, node: Node) -> None:
        if not node.up or node.frozen:
            return
        seconds = between(self._random, *self._rates.node_freeze)
        clocks = self._random.random() < self._rates.clocks_too
        self._begin("node and its clocks stop" if clocks else "node stands still")
        self._world.freeze(node)
        life = node.life

        def wake() -> None:
            if clocks:
                node.stood += seconds
                node.wall_error = -seconds
                self._world.later(between(self._random, *self._rates.wall_put_right), put_right)
            if node.life == life:
                self._world.wake(node)

        def put_right() -> None:
            node.wall_error = 0.0

        self._world.later(seconds, wake)

    def _cut(self, node: Node) -> None:
        if node.cut:
            return
        self._begin("node is cut off")
        node.cut = True

        def join() -> None:
            node.cut = False

        self._world.later(between(self._random, *self._rates.node_cut), join)

    def _crash_server(self, server: int) -> None:
        self._begin("server crashes")
        self._without([server], between(self._random, *self._rates.server_crash))

    def _restart_server(self, server: int) -> None:
        self._begin("server is restarted")
        self._without([server], self._rates.server_restart, planned=True)

    def _cut_server(self, server: int) -> None:
        self._begin("server is cut off")
        self._without([server], between(self._random, *self._rates.server_cut))

    def _lose_quorum(self) -> None:
        self._begin("all servers are gone")
        self._without([*range(SERVERS)], between(self._random, *self._rates.quorum))

    def _without(self, servers: list[int], seconds: float, *, planned: bool = False) -> None:
        for server in servers:
            self._world.servers.go(server, self._world.now, planned=planned)

        def come() -> None:
            for server in servers:
                self._world.servers.come(server, self._world.now)

        self._world.later(seconds, come)

    def _stop_dns(self) -> None:
        if self._world.dns_down:
            return
        self._begin("a DNS server is down")
        self._world.dns_down, self._world.dns_down_since = True, self._world.now
        self._world.later(between(self._random, *self._rates.dns), self._world.dns_is_up)

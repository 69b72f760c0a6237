"""What a daemon logs of its connections to the servers of NATS."""

from __future__ import annotations

import asyncio
from typing import Any

from pyd2.cluster.link import Link
from pyd2.config.nats.servers import Server
from pyd2.queue.nats.connection import Client, Connection
from pyd2.queue.nats.site import Site
from tests.update.support import MemoryLog

CLIENT = Client("test", "pyd2.inbox.test")
HERE, GONE = (Server("127.0.0.1", port, tls=False) for port in (4222, 4223))


def play(scene: Any) -> list[str]:
    """Run a scene with a link that is not connected; return the IDs of what was logged."""
    log = MemoryLog()

    async def run() -> None:
        scene(Link(CLIENT, (HERE, GONE), Site("site-a"), log))

    asyncio.run(run())
    return log.ids


def connect(link: Link, server: Server) -> None:
    link.connected(Connection(CLIENT, server))


def test_a_server_that_stays_unreachable_is_logged_once() -> None:
    """Without a quorum a connection to the last server lasts for two seconds only."""
    def scene(link: Link) -> None:
        for _ in range(3):
            connect(link, HERE)
            link.disconnected(HERE, "it does not answer")
            link.unreachable(GONE, "Connection refused")
        link.unreachable(GONE, "No route to host")

    assert play(scene).count("PYD2_CLUSTER_UNREACHABLE") == 2


def test_one_that_was_reached_since_is_logged_again() -> None:
    def scene(link: Link) -> None:
        link.unreachable(GONE, "Connection refused")
        connect(link, GONE)
        link.disconnected(GONE, "it does not answer")
        link.unreachable(GONE, "Connection refused")

    assert play(scene).count("PYD2_CLUSTER_UNREACHABLE") == 2

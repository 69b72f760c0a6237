"""How often updates over one TCP connection share a query ID: ``python -m tests.update.inflight.collisions``.

The engine sends updates over TCP in virtual time, 96 under way; the connection's other end keeps, as
``pyd2.net.tcp`` does, what is not answered by query ID.
"""

import argparse
import sys
from collections import deque
from typing import Final

from pyd2.backend import NAMES, make_backend
from pyd2.counters import Counters
from pyd2.update.engine import Engine, Outgoing
from pyd2.update.server.window import CAP
from tests.update.support import (
    MemoryLog,
    answer,
    collect_messages,
    datagram,
    domain,
    make_config,
    request,
    simple_map,
)

ROUND_TRIP: Final = 0.01
TURN: Final = 16
"""Answers that come together."""


def collisions(layer: str, count: int) -> tuple[int, int]:
    """Carry out updates; return how many had the ID of another one, and how many were under way at most."""
    counters = Counters()
    engine = Engine(counters, MemoryLog(0), make_backend(layer))
    settings = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
    now = wall = 1000.0
    engine.configure(make_config(simple_map([domain("example.com.", 1)], settings=settings)), None, now, wall)
    (lane,) = engine.lanes
    lane.slots[:] = [0, 1, 2, 3]
    requests = deque(
        datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
        for number in range(4 * CAP)
    )
    under_way: dict[int, Outgoing] = {}
    found = most = sent = 0
    while sent < count or under_way:
        while engine.queued < CAP and sent + engine.queued < count:
            engine.receive_request(requests[0], now, wall)
            requests.rotate(-1)
            for outgoing in collect_messages(engine):
                found += outgoing.query_id in under_way
                under_way[outgoing.query_id] = outgoing
                sent += 1
        most = max(most, len(under_way))
        now += ROUND_TRIP * TURN / max(TURN, len(under_way))
        for query_id in list(under_way)[:TURN]:
            outgoing = under_way.pop(query_id)
            engine.receive_reply(lane, outgoing.slot, answer(outgoing.message), now, wall)
        for outgoing in collect_messages(engine):
            found += outgoing.query_id in under_way
            under_way[outgoing.query_id] = outgoing
            sent += 1
        # A turn may leave work to the timer, and a collision keeps an update without its answer.
        timer = engine.timer()
        if timer is not None and (timer <= now or not under_way):
            now = max(now, timer)
            engine.handle_timer(now, wall)
    return found, most


def main() -> int:
    """Print the collisions on each packet layer; return 1 if there were any."""
    parser = argparse.ArgumentParser(prog="python -m tests.update.inflight.collisions", description=__doc__)
    parser.add_argument("--updates", type=int, default=1_000_000, help="how many (default %(default)s)")
    options = parser.parse_args()
    total = 0
    for layer in NAMES:
        found, most = collisions(layer, options.updates)
        print(f"{layer}: {found} collisions in {options.updates} updates over one connection, "
              f"{most} under way", flush=True)
        total += found
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())

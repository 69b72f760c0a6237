"""What waits for batches when its server no longer answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.update.support import VirtualD2, answer, domain, make_config, request, simple_map, statistics

if TYPE_CHECKING:
    from pyd2.update.engine import Outgoing

COUNT = 3000
WINDOW = 16


@pytest.mark.parametrize("batch", [1, 50])
@pytest.mark.parametrize("retry", [True, False])
def test_what_waits_goes_to_the_next_server_when_one_is_down(batch: int, retry: bool) -> None:
    """Each update that waited for a batch had to find out by itself, three times, that the server is down."""
    switches = {
        "lanes": {"batch": batch, "max-in-flight": WINDOW},
        "retry": {"enabled": retry}, "failover": {"enabled": True},
    }
    zones = simple_map([domain("example.com.", 1, 2)], [], {"user-context": {"pyd2": switches}})
    in_vain: list[Outgoing] = []
    dies_at = 0.5

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        if outgoing.lane.port == 1 and now > dies_at:
            in_vain.append(outgoing)
            return []
        return [(0.02, answer(outgoing.message, 0))]

    d2 = VirtualD2(make_config(zones), peer, 0)
    d2.keep_sent = False
    dies_at += d2.now
    for number in range(COUNT):
        d2.request(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
    d2.run()
    assert statistics(d2.counters)["update-success"] == COUNT
    assert len(in_vain) <= 2 * WINDOW

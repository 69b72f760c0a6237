"""The history of a running daemon on a disk that is full: it costs nothing but the history, and is logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import disks
from tests.kit.waiting import wait_until
from tests.web.site import Site, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.faults

AT_ONCE = 100


def send(site: Site, first: int) -> None:
    """Send requests and wait until they have ended: a busy machine may let all tries of one time out."""
    for number in range(first, first + AT_ONCE):
        site.send(f"h{number}.example.com.", f"192.0.2.{number % 250}")

    def ended() -> bool:
        requests = site.api("status")["requests"]
        return bool(requests["done"] + requests["failed"] == first + AT_ONCE)

    wait_until(ended, f"{first + AT_ONCE} requests to end")


def test_a_full_disk_costs_nothing_but_the_history(d2_binary: str, is_pyd2: bool, tmp_path: Path) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no history")
    place = tmp_path / "history"
    place.mkdir()
    history = {"enabled": True, "directory": str(place)}
    with disks.small_disk(place, 1 << 20) as mounted, running(d2_binary, tmp_path, history=history) as site:
        send(site, 0)
        site.wait_for_events(AT_ONCE)
        mend = disks.fill(site.d2.process, place, 64 << 10, mounted=mounted)
        number = AT_ONCE
        while "PYD2_HISTORY_FAILED" not in site.d2.stdout():
            send(site, number)
            number += AT_ONCE
        assert site.api("history")["rows"] >= AT_ONCE  # what was there can be read
        send(site, number)
        number += AT_ONCE
        assert site.d2.stdout().count("PYD2_HISTORY_FAILED") == 1
        status = site.api("status")
        lost = status["history"]["lost"]
        assert any("The history cannot be written: " in problem["text"] for problem in status["problems"])
        mend()
        own = site.whole["DhcpDdns"]["user-context"]["pyd2"]
        own["history"]["keep-days"] = 29  # another configuration has the file tried at once
        assert site.d2.command("config-set", site.whole)["result"] == 0
        send(site, number)
        number += AT_ONCE
        site.d2.wait_for_log("PYD2_HISTORY_RESUMED")
        assert lost > 0
        site.wait_for_events(number - lost)
        assert site.api("status")["history"] == {"on": True, "lost": lost, "fault": ""}
        assert site.api(f"hosts?q=h{number - 1}")["hosts"][0]["address"] == f"192.0.2.{(number - 1) % 250}"

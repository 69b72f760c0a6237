"""The simulation of a month: it keeps the rules, shows what it is to show, and finds rules that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.queue.shared.ownership import Ownership
from tests.cluster.month.figures import Figures
from tests.cluster.month.play import play
from tests.cluster.month.rates import DAY, Rates
from tests.queue.shared.planted import floor_does_not_wait

if TYPE_CHECKING:
    from collections.abc import Callable

ROUGH = Rates(
    node_crash_every=5 * DAY, node_restart_every=5 * DAY, node_freeze_every=3 * DAY, node_cut_every=5 * DAY,
    server_crash_every=5 * DAY, server_restart_every=5 * DAY, server_cut_every=5 * DAY,
    quorum_every=5 * DAY, quorum=(60, 600), dns_every=5 * DAY, dns=(10, 300), requests=(5, 5),
)  # fmt: skip
"""Much more fails than at a real site, so that little time is enough."""


def played(sites: int, days: float) -> Figures:
    total = Figures()
    for seed in range(sites):
        total.add(play(seed, nodes=4, seconds=days * DAY, rates=ROUGH))
    return total


def test_nothing_is_skipped_and_a_former_owner_sends_what_it_had_prepared_only() -> None:
    figures = played(3, 8)
    assert figures.stale_other == 0
    assert figures.skipped == 0
    assert figures.claims > 5
    assert figures.spools
    assert len(figures.faults) == 10
    text = "\n".join(figures.lines())
    assert text.startswith("3 sites, 12 nodes, 8 days, ")
    assert "node stands still" in text


def test_a_site_is_made_again_by_its_seed() -> None:
    assert played(1, 2) == played(1, 2)


def no_lease(patch: pytest.MonkeyPatch) -> None:
    """An owner sends without a look at the clocks."""
    patch.setattr(Ownership, "may_send", lambda self, now: self.is_owner)


@pytest.mark.parametrize("plant", [no_lease, floor_does_not_wait])
def test_a_wrong_rule_shows(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    try:
        figures = played(2, 6)
    except AssertionError:
        return  # the site does not settle
    assert figures.stale_other + figures.skipped > 0

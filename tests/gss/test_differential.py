"""pyd2 and the real server with ISC's library in the same scenarios: ``python -m tests.gss`` has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gss import differential
from tests.gss.scenarios import SCENARIOS
from tests.kit import kea

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.isc_gss]


@pytest.mark.parametrize("name", ["commands", "tkey-over-udp", "expiry"])
def test_both_do_the_same(d2_binary: str, tmp_path: Path, name: str) -> None:
    ours = differential.own(d2_binary, kea.installed(), tmp_path)
    assert differential.compare(name, differential.real(kea.chosen()), ours) == []


def test_a_difference_is_seen() -> None:
    theirs = {"0 gss-tsig-list": {"result": 0}, "records": ["a"]}
    assert differential.differences("commands", theirs, theirs) == []
    (found,) = differential.differences("commands", theirs, theirs | {"records": ["b"]})
    assert found.startswith("commands: records\n")
    assert '-"a"' in found.replace(" ", "")
    assert len(differential.differences("commands", theirs, {"records": ["a"]})) == 1
    assert {"commands", "many"} <= SCENARIOS.keys()

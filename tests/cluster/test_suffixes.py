"""What a node that claims the queue repeats changes no name: on BIND and Knot DNS."""

from __future__ import annotations

import pytest

from tests.cluster.suffixes import PAIRS, SERVERS, play
from tests.kit import ncr

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("server", SERVERS)
def test_suffixes_that_are_repeated_change_nothing(d2_binary: str, is_pyd2: bool, server: str) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    found = play(d2_binary, server)
    assert found.pairs == len(PAIRS) * len(ncr.MODES) == 44
    assert found.suffix == []
    # A single older one would: so the play can tell the difference.
    assert all(found.older.values())

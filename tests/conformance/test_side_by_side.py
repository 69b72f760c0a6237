"""A few of the invented cases, on the real D2 and on the one under test: see side_by_side.py."""

import pytest

from tests.conformance import invented, side_by_side
from tests.kit import kea

pytestmark = pytest.mark.peers


def test_invented_cases_end_alike(d2_binary: str) -> None:
    real = kea.chosen().program("kea-dhcp-ddns")
    cases = invented.drawn(seed=1, count=80, configs=6)  # each costs two starts
    done, differences = side_by_side.compare(real, d2_binary, cases, 240)
    assert not differences, "\n".join(difference.text() for difference in differences)
    assert done == len(cases)

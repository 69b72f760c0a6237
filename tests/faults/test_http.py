"""The rows of ``python -m tests.faults http`` work; a healthy zone and an operator lose nothing beside them.

Short: how long things take is for the command.
"""

import pytest

from tests.faults import http

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("attack", http.ATTACKS)
def test_nothing_is_lost_beside_an_attack(is_pyd2: bool, attack: str) -> None:
    if not is_pyd2:
        pytest.skip("the probe is for pyd2")
    row = http.measure(attack, seconds=1.0, rate=50.0)
    assert row.done > 0
    assert row.beside.sent > 0
    assert (row.alone.lost, row.beside.lost) == (0, 0), row.text()
    assert row.operator.answered > 0
    assert row.operator.failed == 0, row.text()
    assert row.grown < 160 * 1024 * 1024
    assert row.text().count("|") == http.HEAD.splitlines()[0].count("|")

"""The measured runs work; ``python -m tests.faults`` runs them for long."""

import pytest

from tests.faults.__main__ import RUNS

pytestmark = [pytest.mark.faults, pytest.mark.peers]


@pytest.mark.parametrize(("name", "rate", "told"), [
    ("dead-zone", 50.0, "0 lost"), ("reloads", 100.0, "socket kept"), ("storm", 1000.0, "forged replies"),
    ("outage", 100.0, "0 hosts not in the zones"), ("adversity", 150.0, " 0 differ"),
])
def test_a_short_one(d2_binary: str, is_pyd2: bool, name: str, rate: float, told: str,
                     capsys: pytest.CaptureFixture[str]) -> None:
    if is_pyd2:  # they are for limits that the real server does not keep
        assert RUNS[name](d2_binary, 1.0, rate)
        assert told in capsys.readouterr().out

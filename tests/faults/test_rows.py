"""The measured runs work; ``python -m tests.faults`` runs them for long."""

import pytest

from tests.faults.__main__ import RUNS

pytestmark = [pytest.mark.faults, pytest.mark.peers]


@pytest.mark.parametrize(("name", "rate", "printed"), [
    ("dead-zone", 50.0, "0 lost"), ("reloads", 100.0, "socket kept"), ("storm", 1000.0, "forged replies"),
    ("outage", 100.0, "0 hosts not in the zones"), ("adversity", 150.0, " 0 differ"),
])
def test_a_short_one(d2_binary: str, is_pyd2: bool, name: str, rate: float, printed: str,
                     capsys: pytest.CaptureFixture[str]) -> None:
    if is_pyd2:  # the real server does not keep these limits
        assert RUNS[name](d2_binary, 1.0, rate)
        assert printed in capsys.readouterr().out

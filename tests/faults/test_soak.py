"""The soak itself works; ``python -m tests.faults soak`` runs it for long."""

import pytest

from tests.faults.soak import soak

pytestmark = [pytest.mark.faults, pytest.mark.peers]


def test_a_short_one(d2_binary: str, is_pyd2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.soak.OUTAGE_SECONDS", 2.0)
    monkeypatch.setattr("tests.faults.soak.GROWTH", 1.5)  # it is hardly warm
    outcome = soak(d2_binary, 5, 100)
    assert outcome.outages > 0
    assert outcome.reloads > 0
    assert outcome.sent > 0
    if is_pyd2:
        assert outcome.complaints == []
        assert "WRONG" not in outcome.text()

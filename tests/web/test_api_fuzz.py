"""The API under odd requests, in short; ``python -m tests.fuzz --target api`` is the long form."""

from __future__ import annotations

from tests.fuzz.api_target import ApiTarget
from tests.fuzz.runner import run_target


def test_no_request_does_harm() -> None:
    target = ApiTarget()
    report = run_target(target, 1000, 1)
    target.close()
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert 20 < report.accepted < 900
    assert len(report.rejected) >= 8

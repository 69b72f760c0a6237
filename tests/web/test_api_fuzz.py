"""The page and its API under odd requests, in short.

``python -m tests.fuzz --target api --target page`` is the long form.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.api_target import ApiTarget
from tests.fuzz.runner import run_target
from tests.web.page_target import Asked, judge, run_page
from tests.web.site import SECRET


def test_no_request_does_harm() -> None:
    target = ApiTarget()
    report = run_target(target, 1000, 1)
    target.close()
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert 20 < report.accepted < 900
    assert len(report.rejected) >= 8


def test_no_client_harms_a_daemon() -> None:
    # Always pyd2, whatever --d2 says: Kea has no page.
    report = run_page(str(Path(sys.executable).with_name("pyd2")), 400, 1)
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert report.inputs == 400
    assert 50 < report.accepted < 300
    assert {"Unauthorized", "Forbidden", "Not Found", "Misdirected Request"} <= report.rejected.keys()


_STATUS = b"GET /api/v1/status HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(("asked", "status", "answer"), [
    (Asked((_STATUS,), "", whole=False), 200, {}),
    (Asked((_STATUS,), "read", whole=True, path="/api/v1/hosts/h."), 200, {"dns": []}),
    (Asked((_STATUS,), "read", whole=True, command="shutdown"), 200, [{"result": 0}]),
    (Asked((_STATUS,), "all", whole=True, path="/api/v1/status", foreign=True), 200, {}),
    (Asked((_STATUS,), "all", whole=True, path="/api/v1/status"), 404, {}),
    (Asked((_STATUS,), "all", whole=False), 500, {}),
    (Asked((_STATUS,), "all", whole=False), 200, {"servers": SECRET}),
], ids=["stranger", "dns", "command", "site", "missing", "defect", "secret"])  # fmt: skip
def test_an_answer_that_its_client_must_not_have_is_a_finding(asked: Asked, status: int, answer: Any) -> None:
    headers = {
        "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff",
    }  # fmt: skip
    with pytest.raises(AssertionError):
        judge(asked, status, headers, json.dumps(answer).encode())
    judge(asked._replace(role="all", whole=False), 200, headers, b"{}")

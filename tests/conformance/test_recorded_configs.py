"""Configurations: what -t says of them and what a start makes of them, as recorded from the real server."""

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.kit.conformance import run_config

RECORDED = cases.configs()


@pytest.mark.parametrize("name", cases.names("configs"))
def test_config(name: str, d2_binary: str, expect: Expect) -> None:
    case = RECORDED[name]
    outcome = run_config(d2_binary, case, cases.DATA / "configs")
    assert outcome == expect("configs", name, {"test": case["test"], "start": case["start"]})

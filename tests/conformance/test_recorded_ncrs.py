"""Requests, good and bad: accepted or refused, counted, logged and sent on as recorded."""

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.kit.conformance import run_ncr
from tests.kit.station import Station


@pytest.mark.parametrize("name", cases.names("ncr"))
def test_ncr(name: str, station: Station, expect: Expect) -> None:
    case = cases.load("ncr", name)
    assert run_ncr(station, case) == expect("ncr", name, case["result"])

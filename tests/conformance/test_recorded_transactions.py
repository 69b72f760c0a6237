"""Transactions: every update sent, byte for byte, the log, the statistics and the end, as recorded."""

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.kit.conformance import run_transaction
from tests.kit.station import Station


@pytest.mark.parametrize("name", cases.names("transactions"))
def test_transaction(name: str, station: Station, expect: Expect) -> None:
    case = cases.load("transactions", name)
    assert run_transaction(station, case) == expect("transactions", name, case["result"])

"""Transactions: every update sent, byte for byte, the log, the statistics and the end, as recorded."""

from tests.conformance.conftest import Expect, Stations
from tests.conformance.recordings import Recording, all_cases, outcome
from tests.kit.transactions import run_transaction


@all_cases("transactions")
def test_transaction(recording: Recording, name: str, station_of: Stations, expect: Expect) -> None:
    case = recording.cases("transactions")[name]
    ours = run_transaction(station_of(recording), case)
    assert ours == expect(recording, "transactions", name, outcome("transactions", case))

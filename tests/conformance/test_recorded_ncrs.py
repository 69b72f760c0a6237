"""Requests, good and bad: accepted or refused, counted, logged and sent on as recorded."""

from tests.conformance.conftest import Expect, Stations
from tests.conformance.recordings import Recording, all_cases, outcome
from tests.kit.transactions import run_ncr


@all_cases("ncr")
def test_ncr(recording: Recording, name: str, station_of: Stations, expect: Expect) -> None:
    case = recording.cases("ncr")[name]
    assert run_ncr(station_of(recording), case) == expect(recording, "ncr", name, outcome("ncr", case))

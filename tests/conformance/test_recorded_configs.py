"""Configurations: what -t says of them and what a start makes of them, as recorded from the real server."""

from collections.abc import Callable

from tests.conformance.conftest import Expect
from tests.conformance.recordings import Recording, all_cases, outcome
from tests.kit.conformance import run_config


@all_cases("configs")
def test_config(recording: Recording, name: str, d2_of: Callable[[Recording], str], expect: Expect) -> None:
    case = recording.cases("configs")[name]
    ours = run_config(d2_of(recording), case, recording.folder / "configs")
    assert ours == expect(recording, "configs", name, outcome("configs", case))

"""The control channel: answers byte for byte, log and exit status, as recorded."""

from collections.abc import Callable

from tests.conformance.conftest import Expect
from tests.conformance.recordings import Recording, all_cases, outcome
from tests.kit.conformance import run_commands


@all_cases("commands")
def test_commands(recording: Recording, name: str, d2_of: Callable[[Recording], str], expect: Expect) -> None:
    case = recording.cases("commands")[name]
    assert run_commands(d2_of(recording), case) == expect(
        recording, "commands", name, outcome("commands", case)
    )

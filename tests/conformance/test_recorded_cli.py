"""The command line: outputs, exit status, signals and files left behind, as recorded."""

from collections.abc import Callable

from tests.conformance.conftest import Expect
from tests.conformance.recordings import Recording, all_cases, outcome
from tests.kit.conformance import run_cli


@all_cases("cli")
def test_cli(recording: Recording, name: str, d2_of: Callable[[Recording], str], expect: Expect) -> None:
    case = recording.cases("cli")[name]
    assert run_cli(d2_of(recording), case) == expect(recording, "cli", name, outcome("cli", case))

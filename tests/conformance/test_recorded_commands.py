"""The control channel: answers byte for byte, log and exit status, as recorded."""

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.kit.conformance import run_commands


@pytest.mark.parametrize("name", cases.names("commands"))
def test_commands(name: str, d2_binary: str, expect: Expect) -> None:
    case = cases.load("commands", name)
    recorded = {key: case[key] for key in ("steps", "alive_at_end", "exit", "stderr")}
    assert run_commands(d2_binary, case) == expect("commands", name, recorded)

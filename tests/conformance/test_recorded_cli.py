"""The command line: outputs, exit status, signals and files left behind, as recorded."""

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.kit.conformance import run_cli

_INPUTS = ("name", "args", "files", "env")


@pytest.mark.parametrize("name", cases.names("cli"))
def test_cli(name: str, d2_binary: str, expect: Expect) -> None:
    case = cases.load("cli", name)
    recorded = {key: value for key, value in case.items() if key not in _INPUTS}
    assert run_cli(d2_binary, case) == expect("cli", name, recorded)

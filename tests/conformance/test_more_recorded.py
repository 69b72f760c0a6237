"""The recorded cases of data_more/: gaps of data/ filled, and what differed once."""

from typing import Any

import pytest

from tests.conformance.cases import MORE, configs, load, names
from tests.conformance.conftest import Expect
from tests.kit import conformance
from tests.kit.station import Station

CONFIGS = configs(MORE)
INPUTS = ("name", "args", "files", "env", "config")


def _recorded(case: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in case.items() if key not in INPUTS}


@pytest.mark.parametrize("name", names("configs", MORE))
def test_config(name: str, d2_binary: str, expect: Expect) -> None:
    case = CONFIGS[name]
    outcome = conformance.run_config(d2_binary, case, MORE / "configs")
    assert outcome == expect("configs", name, {"test": case["test"], "start": case["start"]})


@pytest.mark.parametrize("name", names("ncr", MORE))
def test_ncr(name: str, station: Station, expect: Expect) -> None:
    case = load("ncr", name, MORE)
    assert conformance.run_ncr(station, case) == expect("ncr", name, case["result"])


@pytest.mark.parametrize("name", names("transactions", MORE))
def test_transaction(name: str, station: Station, expect: Expect) -> None:
    case = load("transactions", name, MORE)
    assert conformance.run_transaction(station, case) == expect("transactions", name, case["result"])


@pytest.mark.parametrize("name", names("commands", MORE))
def test_commands(name: str, d2_binary: str, expect: Expect) -> None:
    case = load("commands", name, MORE)
    assert conformance.run_commands(d2_binary, case) == expect("commands", name, _recorded(case))


@pytest.mark.parametrize("name", names("cli", MORE))
def test_cli(name: str, d2_binary: str, expect: Expect) -> None:
    case = load("cli", name, MORE)
    assert conformance.run_cli(d2_binary, case) == expect("cli", name, _recorded(case))

"""The list of deviations itself: none without a reason, none without an effect, none without a case."""

import copy
import re
from pathlib import Path

import pytest

from tests.conformance import cases, deviations
from tests.kit.conformance import may_time_out

DIFFERENCES = Path(__file__).parents[2] / "docs/differences.md"


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_has_a_reason_in_the_documentation(deviation: deviations.Deviation) -> None:
    assert re.search(rf"\*\*{deviation.paragraph}\.", DIFFERENCES.read_text())


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_names_recorded_cases(deviation: deviations.Deviation) -> None:
    known = cases.names(deviation.kind) + cases.names(deviation.kind, cases.MORE)
    named = [name for name in known if re.fullmatch(deviation.names, name)]
    assert named
    for alternative in deviation.names.split("|"):
        assert any(re.fullmatch(alternative, name) for name in named), alternative


def _recorded(kind: str, name: str) -> deviations.Outcome:
    data = cases.DATA if name in cases.names(kind) else cases.MORE
    case = cases.configs(data)[name] if kind == "configs" else cases.load(kind, name, data)
    return case["result"] if kind == "transactions" else case


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_has_an_effect(deviation: deviations.Deviation) -> None:
    """On each case that it names one by one; on some case where a wildcard names them."""
    known = cases.names(deviation.kind) + cases.names(deviation.kind, cases.MORE)
    for alternative in deviation.names.split("|"):
        named = [name for name in known if re.fullmatch(alternative, name)]
        changed = []
        for name in named:
            outcome = copy.deepcopy(_recorded(deviation.kind, name))
            deviation.edit(name, outcome)
            if outcome != _recorded(deviation.kind, name):
                changed.append(name)
        assert changed if "*" in alternative else changed == named, alternative


def test_a_recorded_timeout_is_one_that_the_case_puts_in() -> None:
    """The rig chooses by its inputs how long a try may take, and so must know those that get no answer."""
    for data in (cases.DATA, cases.MORE):
        for name in cases.names("transactions", data):
            case = cases.load("transactions", name, data)
            if "result" in case and case["result"]["stats"]["update-timeout"]:
                assert may_time_out(case), name

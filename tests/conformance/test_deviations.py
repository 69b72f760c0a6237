"""The list of deviations itself: none without a reason, none without an effect, none without a case."""

import re
from pathlib import Path

import pytest

from tests.conformance import cases, deviations

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

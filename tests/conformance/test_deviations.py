"""The list of deviations itself: none without a reason, none without an effect, none without a case."""

import copy
import re
from pathlib import Path

import pytest

from tests.conformance import deviations, recordings
from tests.conformance.recordings import RECORDINGS, Recording
from tests.kit.transactions import may_time_out

DIFFERENCES = Path(__file__).parents[2] / "docs/differences.md"


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_has_a_reason_in_the_documentation(deviation: deviations.Deviation) -> None:
    assert re.search(rf"\*\*{deviation.paragraph}\.", DIFFERENCES.read_text())


def _named(deviation: deviations.Deviation, names: str) -> list[tuple[Recording, str]]:
    """Return the recorded cases of a regular expression that the deviation may apply to."""
    return [(recording, name) for recording in RECORDINGS if deviation.meant_for(recording)
            for name in recording.cases(deviation.kind) if re.fullmatch(names, name)]


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_names_recorded_cases(deviation: deviations.Deviation) -> None:
    for alternative in deviation.names.split("|"):
        assert _named(deviation, alternative), alternative


@pytest.mark.parametrize("deviation", deviations.DEVIATIONS, ids=lambda deviation: deviation.edit.__name__)
def test_each_has_an_effect(deviation: deviations.Deviation) -> None:
    """On each case that it names one by one; on some case where a wildcard names them."""
    for alternative in deviation.names.split("|"):
        named = _named(deviation, alternative)
        changed = []
        for recording, name in named:
            recorded = recordings.outcome(deviation.kind, recording.cases(deviation.kind)[name])
            outcome = copy.deepcopy(recorded)
            deviation.edit(name, outcome, recording)
            if outcome != recorded:
                changed.append((recording, name))
        assert changed if "*" in alternative else changed == named, alternative


def test_a_recorded_timeout_is_one_that_the_case_puts_in() -> None:
    """The rig chooses by its inputs how long a try may take, and so must know those that get no answer."""
    for recording in RECORDINGS:
        for name, case in recording.cases("transactions").items():
            if "result" in case and case["result"]["stats"]["update-timeout"]:
                assert may_time_out(case), name


def test_nothing_of_the_recordings_of_3_0_got_lost() -> None:
    assert recordings.digest(recordings.KEA_3_0) == recordings.CHANGES["sha256"]

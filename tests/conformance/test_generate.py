"""The generator: pointed at the D2 under test, it writes what the recorded cases make one expect."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import cases
from tests.conformance.conftest import Expect
from tests.conformance.generate import KINDS, generate
from tests.conformance.recordings import KEA_2_6, Recording


@pytest.mark.parametrize(("kind", "name"), [
    ("ncr", "basic-add"), ("transactions", "tsig-sha256-ok"), ("commands", "statistic-after-ncr"),
    ("cli", "start-sigterm"),
])
def test_a_case_recorded_again(
    tmp_path: Path, d2_of: Callable[[Recording], str], expect: Expect, kind: str, name: str
) -> None:
    assert generate(d2_of(KEA_2_6), cases.DATA, tmp_path, [kind], name) == {kind: 1}
    wanted = cases.load(kind, name)
    if "result" in wanted:
        wanted["result"] = expect(KEA_2_6, kind, name, wanted["result"])
    assert json.loads((tmp_path / kind / f"{name}.json").read_text()) == wanted


def test_a_configuration_recorded_again(tmp_path: Path, d2_of: Callable[[Recording], str]) -> None:
    d2_binary = d2_of(KEA_2_6)
    assert generate(d2_binary, cases.DATA, tmp_path, ["configs"], "include-file") == {"configs": 1}
    assert cases.configs(tmp_path) == {"include-file": cases.configs()["include-file"]}
    # What was written can be repeated in its turn.
    assert generate(d2_binary, tmp_path, tmp_path / "again", ["configs"]) == {"configs": 1}


def test_every_kind_of_the_data_is_known() -> None:
    assert {path.name for path in cases.DATA.iterdir() if path.is_dir()} == set(KINDS)

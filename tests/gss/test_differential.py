"""What the comparison of pyd2 with ISC's library calls a difference; ``python -m tests.gss`` makes it."""

from tests.gss import differential
from tests.gss.scenarios import SCENARIOS


def test_a_difference_is_seen() -> None:
    theirs = {"0 gss-tsig-list": {"result": 0}, "records": ["a"]}
    assert differential.differences("commands", theirs, theirs) == []
    (found,) = differential.differences("commands", theirs, theirs | {"records": ["b"]})
    assert found.startswith("commands: records\n")
    assert '-"a"' in found.replace(" ", "")
    assert len(differential.differences("commands", theirs, {"records": ["a"]})) == 1
    assert {"commands", "many"} <= SCENARIOS.keys()

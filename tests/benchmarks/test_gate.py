"""The gate of instruction counts: it finds increases, and nothing costs more than recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gate.__main__ import load, regressions, tools
from benchmarks.gate.count import Count, count_all, read_counts

RECORDED: dict[str, Any] = {"tools": {"compiler": "C", "python": "P"},
                            "counts": {"in c": {"own": 1000, "all": 2000},
                                       "in python": {"own": 0, "all": 5000}}}


@pytest.mark.peers
def test_no_hot_function_needs_more_than_it_did() -> None:
    assert regressions(load(), tools(), count_all()) == []


@pytest.mark.parametrize(("tools", "own", "all_", "python", "found"), [
    ({"compiler": "C", "python": "P"}, 1000, 2000, 5000, []),
    ({"compiler": "C", "python": "P"}, 1030, 2999, 5150, []),
    ({"compiler": "C", "python": "P"}, 500, 900, 1000, []),
    ({"compiler": "C", "python": "P"}, 1031, 2000, 5000,
     ["in c: 1031 instructions (own), 1000 recorded, 1.03 times"]),
    ({"compiler": "C", "python": "P"}, 1000, 3001, 5000,
     ["in c: 3001 instructions (all), 2000 recorded, 1.50 times"]),
    ({"compiler": "C", "python": "P"}, 1000, 2000, 5151,
     ["in python: 5151 instructions (all), 5000 recorded, 1.03 times"]),
    ({"compiler": "other", "python": "other"}, 1500, 3000, 7500, []),
    ({"compiler": "other", "python": "P"}, 1501, 3000, 5000,
     ["in c: 1501 instructions (own), 1000 recorded, 1.50 times"]),
    ({"compiler": "C", "python": "other"}, 1000, 2000, 7501,
     ["in python: 7501 instructions (all), 5000 recorded, 1.50 times"]),
])
def test_what_is_dearer_is_found(tools: dict[str, str], own: int, all_: int, python: int,
                                 found: list[str]) -> None:
    counts = {"in c": Count(own, all_), "in python": Count(0, python)}
    assert regressions(RECORDED, tools, counts) == found


def test_scenarios_and_records_belong_together() -> None:
    found = regressions(RECORDED, RECORDED["tools"], {"in c": Count(1, 1), "new": Count(1, 1)})
    assert found == ["new: not in counts.json; record it with --renew",
                     "in python: in counts.json, and no scenario any more; renew it with --renew"]


def test_only_what_the_program_itself_executes_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "out.2").write_text("desc: Trigger: Client Request: second\nsummary: 7\n")
    (tmp_path / "out.1").write_text("""\
desc: Trigger: Client Request: first
summary: 1000

ob=/lib/libc.so
fn=memcpy
12 100
ob=/the/program
fn=work
3 10
cob=/lib/libc.so
cfn=memcpy
calls=5 12
4 100
5 20
""")
    (tmp_path / "out.3").write_text("desc: Trigger: Program termination\nsummary: 9\n")
    assert list(read_counts(tmp_path, Path("/the/program"))) == [("first", 30, 1000), ("second", 0, 7)]

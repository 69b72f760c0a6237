"""The short form of the fuzzers: a few thousand inputs each; docs/fuzzing.md tells of the long form."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.fuzz.daemon_target import run_daemon
from tests.fuzz.guided import kept, unpack
from tests.fuzz.runner import run_target
from tests.fuzz.targets import SHORT, TARGETS

COUNT = int(os.environ.get("PYD2_FUZZ", "2000"))
SEED = int(os.environ.get("PYD2_FUZZ_SEED", "1"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.peers] if name == "ticket" else []) for name in SHORT]
)
def test_no_input_does_harm(name: str) -> None:
    target = SHORT[name]()
    report = run_target(target, COUNT, SEED)
    target.close()
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert report.inputs >= COUNT
    # Inputs that are all refused at the door, or all taken, test little.
    assert report.inputs // 50 < report.accepted < report.inputs // 2
    if COUNT >= 1000:
        assert len(report.rejected) >= 20


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_guided_fuzzing_has_kept_does_no_harm(name: str) -> None:
    target = TARGETS[name]()
    corpus = kept(name)
    assert len(corpus) > 100
    for data in corpus:
        list(target.run(unpack(data)))
    target.close()


def test_no_input_harms_a_daemon() -> None:
    # Always pyd2, whatever --d2 says: one misplaced sign in a datagram ends the real server (tests/faults).
    report = run_daemon(str(Path(sys.executable).with_name("pyd2")), max(COUNT // 4, 100), SEED)
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert report.accepted > 0
    assert report.rejected["datagrams: ncr-invalid"] > 0

"""What measures the cost of being watched, and the size and speed of the history: short runs of each."""

from __future__ import annotations

import re

import pytest

from benchmarks import history, watched
from benchmarks.daemon import default_subjects

SHORT = ("--rounds", "1", "--seconds", "0.3", "--zones", "40", "--rate", "200")


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea is not watched")


def test_what_a_scrape_and_an_answer_cost(capsys: pytest.CaptureFixture[str]) -> None:
    watched.main(["--case", "scrape", *SHORT])
    out, err = capsys.readouterr()
    assert err == ""
    found = re.findall(r"^  (\w.*?) +[\d.]+ ms +([\d.]+) ms ", out, re.MULTILINE)
    costs = {name: float(value) for name, value in found}
    assert {"a scrape", "status", "servers", "explain"} <= costs.keys()
    assert all(value > 0 for value in costs.values())
    assert re.search(r"^a scrape: [\d.]+ ms of CPU time; at most 60 is wanted: ", out, re.MULTILINE)


def test_how_long_requests_take_beside_watchers(capsys: pytest.CaptureFixture[str]) -> None:
    watched.main(["--case", "delay", *SHORT, "--every", "0.1"])
    out, err = capsys.readouterr()
    assert err == ""
    (scrapes,) = map(int, re.findall(r"(\d+) scrapes in all", out))
    assert scrapes > 0
    assert re.search(r"^  p99_ms +alone +[\d.]+ +beside +[\d.]+ +more by +-?[\d.]+$", out, re.MULTILINE)


def test_pairs_of_runs(capsys: pytest.CaptureFixture[str]) -> None:
    own = default_subjects()[0].command[0]
    watched.main(["--case", "metrics", "--case", "history", "--case", "older", "--older", own, *SHORT])
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("  rate ") == out.count("  cpu_us ") == 3


def test_an_older_pyd2_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert watched.main(["--case", "older"]) == 1
    assert "--older COMMAND names the other pyd2" in capsys.readouterr().err


def test_the_history_is_filled_and_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main(["--events", "4000", "--max-entries", "1000", "--max-bytes", "1000000"]) == 0
    out = capsys.readouterr().out
    found = {name: int(count) for name, count in re.findall(r"^(\S.*?, \w+) +(\d+) ", out, re.MULTILINE)}
    assert found["name, late"] == found["address, late"] == found["DHCID, late"] == 1
    assert found["name, never"] == found["DHCID, never"] == 0
    assert "kept to" in out
    assert out.rstrip().endswith("reached")

"""The command: cases end to end, through the D2 under test."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import __main__ as command
from benchmarks import machine
from benchmarks.build import ROOT
from benchmarks.cases import CASES
from benchmarks.daemon import TEMPLATE, Subject, is_bound
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Bench
from benchmarks.report import BEGIN, END
from tests.benchmarks.test_report import ABOUT, RESULTS, both
from tests.kit.process import Process
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.report import Runs

BY_NAME = {case.name: case for case in CASES}


def steady(name: str) -> Case:
    """Return a case in which nothing is tried again because the machine has stalled for a while."""
    case = BY_NAME[name]
    return replace(case, load=(*case.load, "--timeout", "30"),
                   settings=replace(case.settings, timeout_ms=20_000))


@pytest.fixture(scope="session")
def subject(d2_binary: str, is_pyd2: bool) -> Subject:
    return Subject("pyd2" if is_pyd2 else "kea", (d2_binary, "-c", "{}"))


@pytest.mark.parametrize("name", [
    "add-sha256-info", "mixed", "forward", "conflicts", "ipv6-sha256", "mode-no-check-with-dhcid",
    "mode-check-exists-with-dhcid", "mode-no-check-without-dhcid", "domains-100", "offered-1000", "plain",
])
def test_every_request_of_a_case_is_carried_out(name: str, subject: Subject) -> None:
    figures = Bench(0.3).run(steady(name), subject)
    assert (figures["lost"], figures["repeated"], figures["errors"], figures["timeouts"]) == (0, 0, 0, 0)
    assert figures["sent"] == figures["completed"] > 0


def test_a_callout_takes_long_for_requests_beside_only(subject: Subject, is_pyd2: bool) -> None:
    if not is_pyd2:
        return  # the real server takes no library in Python
    case = steady("blocking-select")
    figures = Bench().run(replace(case, load=(*case.load, "--rate", "500", "--seconds", "1")), subject)
    assert figures["sent"] == figures["completed"] > 0
    assert figures["beside_completed"] > 0
    assert figures["beside_max_ms"] >= 100  # so long does the callout take


def test_every_figure_is_taken(subject: Subject) -> None:
    """Of a burst, which is measured however long it takes; so many requests fit into any socket buffer."""
    case = steady("add")
    figures = Bench().run(replace(case, load=(*case.load, "--burst", "100")), subject)
    assert figures["sent"] == figures["completed"] == figures["counted"] == 100, figures
    for figure in ("rate", "cpu_us", "p50_ms", "start_ms", "start_cpu_ms", "idle_rss_kb", "peak_rss_kb"):
        assert figures[figure] > 0, figure


@pytest.mark.peers
@pytest.mark.parametrize("name", ["bind-sha256", "knot", "hook-c", "audit-py"])
def test_with_other_software(name: str, subject: Subject) -> None:
    """Real DNS servers behind, and hook libraries inside (in C++ for the real server, so it is a peer)."""
    figures = Bench(0.3).run(steady(name), subject)
    assert figures["sent"] == figures["completed"] > 0


def test_a_deep_queue_is_filled_and_kept_full(subject: Subject, is_pyd2: bool) -> None:
    if not is_pyd2:
        return  # the real server holds 1,024 requests
    figures = Bench(0.3).run(steady("queue-10000"), subject)
    assert figures["sent"] >= 10_000
    assert figures["sent"] - figures["completed"] <= 10_000
    assert figures["lost"] == 0
    assert 0 < figures["queued_bytes"] < 10_000


def test_what_is_measured_is_written_down(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    starting = replace(BY_NAME["start"], starts=1)
    monkeypatch.setattr(command, "CASES", (steady("add"), starting))
    status = command.main(["--runs", "1", "--seconds", "0.2", "--daemon",
                           f"{subject.name}={subject.command[0]} -c {{}}", "--out", str(tmp_path)])
    assert status == 0
    data = json.loads((tmp_path / "results.json").read_text())
    assert set(data["results"]) == {"add", "start"}
    assert {name: [run["lost"] for run in runs] for name, runs in data["results"]["add"].items()} == {
        subject.name: [0], "loopback": [0]}
    assert data["about"]["versions"][subject.name].startswith("2.6.3")
    assert {"commit", "cpu", "system", "python", "compiler", "runs", "seconds"} <= data["about"].keys()
    out = capsys.readouterr().out
    assert "add: additions, unsigned" in out
    assert "ms to listening" in out


def test_a_d2_that_does_not_start_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    script = "print('no such luck')"
    status = command.main(["--case", "add", "--runs", "1", "--daemon", f"x={sys.executable} -c {script!r}"])
    assert status == 1
    assert "it does not listen" in capsys.readouterr().err


def test_a_run_that_went_wrong_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios are those of runs made side by side: the second of one D2 must not meet the first of another."""
    asked: list[str] = []
    seeds: list[int] = []

    class Flaky(Bench):
        def run(self, _case: Case, subject: Subject, seed: int = 1) -> dict[str, Any]:
            asked.append(subject.name)
            seeds.append(seed)
            if asked == ["pyd2", "kea"]:
                raise BenchmarkError("once")
            return both()[subject.name][asked.count(subject.name) - 1]

    monkeypatch.setattr(command, "Bench", Flaky)
    results: dict[str, Runs] = {}
    options = command.parser().parse_args(["--runs", "2", "--seconds", "1"])
    subjects = [Subject("pyd2", ()), Subject("kea", ())]
    assert not command.measure_all([BY_NAME["remove"]], subjects, options, results)
    right = both()
    assert results == {"remove": {"pyd2": right["pyd2"], "kea": [{}, right["kea"][1]]}}
    assert seeds == [1, 1, 2, 2]  # side by side the same losses


def test_what_was_published_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"# x\n{BEGIN}\n{END}\n")
    (tmp_path / "results.json").write_text(json.dumps({"about": ABOUT, "results": RESULTS}))
    assert command.main(["--render"]) == 0
    text = (tmp_path / "README.md").read_text()
    for plot in tmp_path.glob("*.svg"):
        assert f"(results/{plot.name})" in text
    assert (tmp_path / "ratios.svg").exists()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing was published yet."""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"{BEGIN}{END}")
    return tmp_path / "results.json"


def test_publishing_part_keeps_the_rest(results: Path) -> None:
    assert command.refusal(ABOUT, {"add"}) == ""
    command.publish({"about": ABOUT, "results": {"add": both(), "a case of yore": both()}})
    assert command.refusal(ABOUT, {"remove"}) == ""
    command.publish({"about": ABOUT, "results": {"remove": both()}})
    assert json.loads(results.read_text())["results"] == {"add": both(), "remove": both()}


@pytest.mark.parametrize("change", [{"commit": "another"}, {"cpu": "another"}, {"runs": 3}, {"seconds": 9.0}],
                         ids=str)
def test_part_of_another_measurement_is_not_published(results: Path, change: dict[str, Any],
                                                      monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    """The heading of the tables describes the measurement once for all cases."""
    command.publish({"about": ABOUT, "results": {"add": both(), "remove": both()}})
    before = results.read_text()
    monkeypatch.setattr(machine, "about", lambda _: ABOUT | change)
    options = ["--runs", str(change.get("runs", 2)), "--seconds", str(change.get("seconds", 1.0))]
    assert command.main(["--publish", "--case", "add", *options]) == 2
    name, value = next(iter(change.items()))
    assert f"has 1 other cases, of {name} {ABOUT[name]}, now {value}." in capsys.readouterr().err
    assert results.read_text() == before
    assert command.refusal(ABOUT | change, {"add", "remove"}) == ""  # nothing of the old is left


def test_what_was_stopped_is_not_published_in_place_of_all(results: Path, monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    def measure(_cases: object, _subjects: object, _options: object, into: dict[str, Runs]) -> bool:
        into["add"] = both()
        raise KeyboardInterrupt

    command.publish({"about": ABOUT, "results": {"add": both(), "remove": both()}})
    before = results.read_text()
    monkeypatch.setattr(machine, "about", lambda _: ABOUT | {"commit": "another"})
    monkeypatch.setattr(command, "measure_all", measure)
    assert command.main(["--publish", "--runs", "2", "--seconds", "1"]) == 1
    assert "not published" in capsys.readouterr().err
    assert results.read_text() == before


@pytest.mark.parametrize(("options", "names", "runs", "seconds"), [
    (["--case", "add"], ["add"], 5, 2.0),
    (["--case", "hook*", "--runs", "3"], ["hook-cc", "hook-c", "hook-py"], 3, 2.0),
    (["--quick"], [case.name for case in CASES if case.quick], 2, 1.0),
    (["--quick", "--case", "remove", "--seconds", "4"], ["remove"], 2, 4.0),
    ([], [case.name for case in CASES], 5, 2.0),
])
def test_cases_are_chosen(options: list[str], names: list[str], runs: int, seconds: float) -> None:
    asked = command.parser().parse_args(options)
    assert [case.name for case in command.chosen(asked)] == names
    assert (asked.runs, asked.seconds) == (runs, seconds)


def test_the_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(BY_NAME)


def test_a_case_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--case", "no-such-case"]) == 2
    assert "--list shows them" in capsys.readouterr().err


def test_a_d2_is_a_name_a_command_and_a_template() -> None:
    assert command.parse_subject("x=/bin/d2 -c {}") == Subject("x", ("/bin/d2", "-c", "{}"), TEMPLATE)
    assert str(command.parse_subject("x@/a/t.json=d2 {}").template) == "/a/t.json"
    with pytest.raises(Exception, match="not NAME=COMMAND"):
        command.parse_subject("just a command")


def test_nothing_is_left_behind(subject: Subject) -> None:
    bench = Bench(0.1)
    bench.run(BY_NAME["add"], subject)
    assert not is_bound(bench.ncr_port)
    with pytest.raises(BenchmarkError):
        bench.run(BY_NAME["add"], Subject("x", (sys.executable, "-c", "import time; print('x')")))
    assert not is_bound(bench.dns_port)


def test_sigterm_ends_what_a_benchmark_has_started(tmp_path: Path, is_pyd2: bool) -> None:
    if not is_pyd2:
        return  # it is no matter of the D2
    argv = [sys.executable, "-m", "benchmarks", "--case", "add", "--runs", "1", "--seconds", "60",
            "--out", str(tmp_path)]
    with Process(argv, ROOT, logs=tmp_path) as bench:
        wait_until(lambda: any("d2.json" in line for line in descendants(bench.pid).values()), "a daemon")
        started = descendants(bench.pid)
        assert bench.stop(signal.SIGTERM) == 1
    assert bench.stderr().endswith("ended by SIGTERM\n")
    left = {pid: line for pid, line in started.items() if command_line(pid) == line}
    assert not left


def descendants(pid: int) -> dict[int, str]:
    """Return the command lines of the processes that a process has started, and these, by number."""
    found: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                child = int(stat.parent.name)
                found |= {child: command_line(child)} | descendants(child)
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process, "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""

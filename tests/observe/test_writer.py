"""The thread that writes the log, above all while its disk does not answer."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.observe import log as log_module
from pyd2.observe import writer
from tests.kit.profile import message_log
from tests.kit.waiting import TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.observe.log import MessageLog

NOTED, URGENT = "DHCP_DDNS_STARTED", "DHCP_DDNS_QUEUE_MGR_START_ERROR"


class Disk:
    """Writes to the files of a directory hang on request."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.hanging = threading.Event()
        """Something hangs."""
        self._answers = threading.Event()
        self._answers.set()
        self._write = os.write
        monkeypatch.setattr(os, "write", self._slow_write)

    def _slow_write(self, fd: int, data: bytes) -> int:
        if str(Path(f"/proc/self/fd/{fd}").readlink()).startswith(str(self.directory)):
            if not self._answers.is_set():
                self.hanging.set()
            self._answers.wait()
        return self._write(fd, data)

    def stall(self) -> None:
        self.hanging.clear()
        self._answers.clear()

    def go_on(self) -> None:
        self._answers.set()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(tmp_path, monkeypatch)
    yield disk
    disk.go_on()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MessageLog]:
    """A log with a thread that writes ``a.log``."""
    monkeypatch.setattr(writer, "FLUSH_SECONDS", TIMEOUT)
    log = message_log({"KEA_LOCKFILE_DIR": str(tmp_path), "KEA_LOGGER_DESTINATION": "/dev/null"})
    configure(log, tmp_path / "a.log")
    log.start_writer()
    yield log
    log.close()


def configure(log: MessageLog, *paths: Path) -> None:
    outputs = tuple(OutputOption(str(path), pattern="%m%n") for path in paths)
    log.configure((Logger(ROOT_LOGGER, "INFO", 0, outputs, None),))


def note(log: MessageLog, text: object) -> None:
    log.emit(NOTED, text)


def noted(path: Path) -> list[str]:
    return re.findall(r"^DHCP_DDNS_STARTED .* version (.*) started$", path.read_text(), re.MULTILINE)


def hang(disk: Disk, log: MessageLog) -> None:
    """Make the thread hang while it writes the line ``0``."""
    disk.stall()
    note(log, 0)
    assert disk.hanging.wait(TIMEOUT)


def test_logging_does_not_wait_for_the_disk(disk: Disk, log: MessageLog, tmp_path: Path) -> None:
    hang(disk, log)
    for number in range(1, 1000):
        note(log, number)
    log.emit(URGENT, "text")
    log.logger("hook").message(Severity.ERROR, 0, "HOOK", "text")
    assert noted(tmp_path / "a.log") == []
    disk.go_on()
    log.flush()
    assert noted(tmp_path / "a.log") == [str(number) for number in range(1000)]
    assert (tmp_path / "a.log").read_text().splitlines()[-1] == "HOOK text"


def test_a_flush_waits_once_for_a_disk_that_does_not_answer(
    disk: Disk, log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(disk, log)
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.01)
    log.flush()
    monkeypatch.setattr(writer, "FLUSH_SECONDS", threading.TIMEOUT_MAX)
    log.flush()
    disk.go_on()
    overdue = log._writer._overdue
    assert overdue is not None
    assert overdue.wait(TIMEOUT)
    note(log, 1)
    log.flush()
    note(log, 2)
    log.flush()
    assert noted(tmp_path / "a.log") == ["0", "1", "2"]


def test_outputs_change_while_the_disk_does_not_answer(
    disk: Disk, log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(disk, log)
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.01)
    note(log, "before")
    configure(log, tmp_path / "b.log", tmp_path / "c.log")
    note(log, "between")
    configure(log, tmp_path / "a.log")
    note(log, "after")
    assert not (tmp_path / "b.log").exists()
    disk.go_on()
    monkeypatch.undo()
    wait_until(lambda: noted(tmp_path / "a.log") == ["0", "before", "after"], "all lines")
    assert noted(tmp_path / "b.log") == noted(tmp_path / "c.log") == ["between"]


def test_a_file_is_there_when_it_is_configured(log: MessageLog, tmp_path: Path) -> None:
    note(log, 1)
    (tmp_path / "a.log").rename(tmp_path / "old.log")
    note(log, 2)
    configure(log, tmp_path / "a.log")
    assert (tmp_path / "a.log").read_text() == ""
    assert noted(tmp_path / "old.log") == ["1", "2"]


def test_calls_come_after_what_was_emitted_before(disk: Disk, log: MessageLog, tmp_path: Path) -> None:
    seen: list[tuple[str, list[str], str]] = []

    def see(name: str) -> None:
        seen.append((name, noted(tmp_path / "a.log"), threading.current_thread().name))

    hang(disk, log)
    log.after_written(lambda: see("first"))
    note(log, 1)
    log.after_written(lambda: see("second"))
    assert seen == []
    disk.go_on()
    log.flush()
    assert [name for name, _, _ in seen] == ["first", "second"]
    assert seen[0][1][0] == "0"
    assert seen[1][1] == ["0", "1"]
    assert {thread for _, _, thread in seen} == {"pyd2-log"}


def test_many_urgent_lines_share_rounds(log: MessageLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the log thread takes the interpreter from the update thread for each of them."""
    log.flush()
    rounds: list[float] = []
    written = log._writer._write_pending

    def write() -> None:
        rounds.append(time.monotonic())
        written()

    monkeypatch.setattr(log._writer, "_write_pending", write)
    began = time.monotonic()
    while time.monotonic() < began + 10 * writer.URGENT_SECONDS:
        log.emit(URGENT, "reason")
        time.sleep(0)  # the log thread may run now
    log.flush()
    # Each begins so long after the one before; the flush hurries one, and does not count.
    assert len(rounds) - 2 <= (rounds[-1] - began) / writer.URGENT_SECONDS


def test_a_call_with_nothing_before_it_is_run_at_once(log: MessageLog) -> None:
    log.flush()
    seen: list[int] = []
    wait_until(lambda: not log._writer._taken, "the thread to be done")
    log.after_written(lambda: seen.append(threading.get_ident()))
    assert seen == [threading.get_ident()]


def test_without_a_thread_all_is_done_at_once(tmp_path: Path) -> None:
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    configure(log, tmp_path / "a.log")
    note(log, 1)
    assert noted(tmp_path / "a.log") == ["1"]
    seen: list[int] = []
    log.after_written(lambda: seen.append(1))
    log.flush()
    assert seen == [1]
    log.close()


def test_a_call_is_run_though_lines_are_lost(log: MessageLog, capfd: pytest.CaptureFixture[str]) -> None:
    configure(log, Path("/dev/full"))
    note(log, 1)
    done = threading.Event()
    log.after_written(done.set)
    assert done.wait(TIMEOUT)
    assert "Unable to write log lines to /dev/full" in capfd.readouterr().err


def test_a_call_that_fails_costs_nothing_but_itself(disk: Disk, log: MessageLog, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("no loop")

    hang(disk, log)
    done = threading.Event()
    log.after_written(fail)
    log.after_written(done.set)
    disk.go_on()
    assert done.wait(TIMEOUT)
    log.flush()
    text = (tmp_path / "a.log").read_text()
    assert "PYD2_INTERNAL_ERROR" in text
    assert "RuntimeError: no loop" in text


def test_waiting_lines_are_limited_and_lost_ones_are_reported(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAITING_LIMIT", 10_000)
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    configure(log, tmp_path / "a.log", tmp_path / "b.log")
    log.start_writer()
    hang(disk, log)
    for number in range(1, 1000):
        note(log, number)
    called: list[int] = []
    log.after_written(lambda: called.append(1))
    assert called == [1]
    disk.go_on()
    for name in ("a.log", "b.log"):
        report = re.compile(f"PYD2_LOG_LINES_LOST ([0-9]+) log lines for {tmp_path / name} were lost")
        wait_until(lambda report=report: report.search((tmp_path / "a.log").read_text()), "the report")  # type: ignore[misc]
        found = report.search((tmp_path / "a.log").read_text())
        assert found
        kept = noted(tmp_path / name)
        assert kept == [str(number) for number in range(len(kept))]
        assert len(kept) + int(found[1]) == 1000
        assert 10_000 / 200 < len(kept) < 10_000 / 128 + 2
    log.flush()  # until the report's round ends, what it writes counts towards the limit
    note(log, "later")
    log.close()
    assert noted(tmp_path / "b.log")[-1] == "later"


def test_the_end_does_not_wait_for_the_disk(
    disk: Disk, log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    hang(disk, log)
    for number in range(1, 6):
        note(log, number)
    monkeypatch.setattr(log_module, "LAST_TIMEOUT", 0.01)
    log.close()
    wait_until(lambda: "up to 6 log lines are lost: " in capfd.readouterr().err, "the last word")
    disk.go_on()
    wait_until(lambda: noted(tmp_path / "a.log") == [str(number) for number in range(6)], "the lines")


def test_the_end_writes_what_is_left(log: MessageLog, tmp_path: Path) -> None:
    for number in range(1000):
        note(log, number)
    log.close()
    note(log, "not any more")
    assert noted(tmp_path / "a.log") == [str(number) for number in range(1000)]
    assert threads() == []


def test_errors_do_not_wait_for_others(
    log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GATHER_SECONDS", threading.TIMEOUT_MAX)
    note(log, 1)
    log.emit(URGENT, "text")
    wait_until(lambda: "text" in (tmp_path / "a.log").read_text(), "the error")
    assert noted(tmp_path / "a.log") == ["1"]


def test_signals_are_not_for_the_thread(log: MessageLog) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    (thread,) = threads()
    assert thread.daemon
    assert signal.SIGTERM not in before
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    found = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert found
    blocked = int(found[1], 16)
    assert all(blocked >> number - 1 & 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    assert log.on


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pyd2-log"]


def test_many_threads_and_changes_of_outputs_lose_and_double_nothing(log: MessageLog, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.log" for number in range(8)]
    missing: list[int] = []

    def work(name: int) -> None:
        for number in range(3000):
            note(log, f"{name} {number}")
            if NOTED not in log.on:
                missing.append(number)

    workers = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    configure(log, paths[0])
    for worker in workers:
        worker.start()
    for path in paths[1:]:
        configure(log, path)
    for worker in workers:
        worker.join()
    log.close()
    assert not missing
    written = [line for path in paths for line in noted(path)]
    for name in range(4):
        of_one = [line for line in written if line.startswith(f"{name} ")]
        assert of_one == [f"{name} {number}" for number in range(3000)]

"""The progress of long work: a line on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pyd2.tools import progress
from pyd2.tools.cli import main
from pyd2.tools.progress import Progress
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Terminal:
    """A terminal: what programs write to it."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.stream = os.fdopen(self.slave, "w")
        self._shown = b""

    def shown(self) -> str:
        """Return all that was written so far."""
        try:
            while part := os.read(self.master, 65536):
                self._shown += part
        except BlockingIOError:
            pass
        return self._shown.decode()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone
            self.stream.close()
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line appears at once."""
    monkeypatch.setattr(progress, "_FIRST", 0.001)
    monkeypatch.setattr(progress, "_EVERY", 0.001)


@pytest.mark.parametrize(("total", "done", "note", "text"), [
    (0, 0, "", "sending: 3 s"),
    (0, 7, "", "sending: 7, 3 s"),
    (40, 7, "", "sending: 7 of 40 (17%), 3 s"),
    (40, 40, "2 failed", "sending: 40 of 40 (100%), 3 s, 2 failed"),
])
def test_the_line(total: int, done: int, note: str, text: str) -> None:
    shown = Progress("sending", total)
    shown.done, shown.note = done, note
    assert shown.text(3.4) == text


@pytest.mark.usefixtures("soon")
def test_it_follows_the_work_and_is_erased(terminal: Terminal) -> None:
    with Progress("sending", 4, terminal.stream) as shown:
        for done in (1, 4, 2):
            shown.done = done
            wait_until(lambda text=f"sending: {done} of 4": text in terminal.shown(),  # type: ignore[misc]
                       "the line")
    last = terminal.shown().split("\r")
    assert last[-1] == ""
    assert last[-2].strip() == ""
    assert len(last[-2]) == len(last[-3].rstrip())


def test_what_is_short_shows_nothing(terminal: Terminal) -> None:
    with Progress("sending", stream=terminal.stream):
        pass
    assert terminal.shown() == ""


@pytest.mark.usefixtures("soon")
def test_where_there_is_no_terminal_nothing_is_written() -> None:
    stream = io.StringIO()
    with Progress("sending", stream=stream) as shown:
        assert shown._thread is None
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("soon")
def test_a_terminal_that_goes_away_ends_no_work(terminal: Terminal) -> None:
    with Progress("sending", stream=terminal.stream) as shown:
        wait_until(lambda: "sending" in terminal.shown(), "the line")
        os.close(terminal.master)
        thread = shown._thread
        assert thread is not None
        wait_until(lambda: not thread.is_alive(), "the end of the thread")
        terminal.master = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.usefixtures("soon")
def test_a_command_shows_it(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for the writer of its file."""
    fifo = tmp_path / "requests"
    os.mkfifo(fifo)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    reader = os.open(fifo, os.O_RDWR)  # so that opening it does not wait
    os.write(reader, b"{}\n" * 3)

    def end() -> bool:
        if "sending: 3, " not in terminal.shown():
            return False
        os.close(reader)
        return True

    ending = threading.Thread(target=wait_until, args=(end, "three requests to be shown"))
    ending.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        assert main(["send", "--file", str(fifo), "--to", f"127.0.0.1:{target.getsockname()[1]}"]) == 0
    ending.join()

"""How far a long work is: one line on a terminal, after a second. Where stderr is none, nothing."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from typing import TextIO

_FIRST: Final = 1.0
"""Seconds after which the line appears: what takes less needs none."""
_EVERY: Final = 0.5


class Progress:
    """A line such as ``sending: 1200 of 5000 (24%), 3 s`` while the block lasts; it is erased at the end.

    The work sets ``done`` and whatever else has changed. A thread writes, so that work that is one long call
    is shown, too.
    """

    def __init__(self, what: str, total: int = 0, stream: TextIO | None = None) -> None:
        self.what = what
        self.total = total
        """0: how much there is to do is not known."""
        self.done = 0
        self.note = ""
        """Shown at the end of the line."""
        self._stream = stream or sys.stderr
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._width = 0
        """Columns that the line takes up now."""

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()

    def text(self, seconds: float) -> str:
        """Return the line after so many seconds of work."""
        parts = []
        if self.total:
            parts.append(f"{self.done} of {self.total} ({100 * self.done // self.total}%)")
        elif self.done:
            parts.append(str(self.done))
        parts.append(f"{seconds:.0f} s")
        if self.note:
            parts.append(self.note)
        return f"{self.what}: {', '.join(parts)}"

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._show()

    def _show(self) -> None:
        start = time.monotonic()
        pause = _FIRST
        while not self._end.wait(pause):
            self._write(self.text(time.monotonic() - start))
            pause = _EVERY
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text.ljust(self._width)}")
        self._stream.flush()
        self._width = len(text)

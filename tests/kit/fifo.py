"""A FIFO whose writer never waits: a D2 that does not read it fails a test and does not hang it."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.d2 import D2
from tests.kit.waiting import wait_until


class Fifo:
    """Use it as a context manager. Readers find a writer that says nothing until ``give``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._end != -1:
            os.close(self._end)

    def wait_for_reader(self, d2: D2) -> None:
        """Wait until the D2 has opened it, or has ended."""
        wait_until(lambda: not d2.alive or self._is_open_in(d2), "the D2 to open the FIFO")

    def _is_open_in(self, d2: D2) -> bool:
        for entry in Path(f"/proc/{d2.process.pid}/fd").iterdir():
            try:
                if entry.samefile(self._path):
                    return True
            except OSError:
                continue
        return False

    def give(self, text: str) -> None:
        """Write a text and end."""
        os.write(self._end, text.encode())
        os.close(self._end)
        self._end = -1

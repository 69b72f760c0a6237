"""The daemon with a probe in the thread of its updates: ``python -m tests.faults.probe FILE ARGUMENTS``.

A timer of that thread's loop runs each millisecond and notes how long it was since the last time, by the
clock and in CPU time of the thread: what lies between two runs is work that nothing else could interrupt. On
a machine that does much else the clock also tells of others' work; the CPU time does not.
"""

import mmap
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import uvloop

import pyd2.service
from pyd2.cli import main

TICK: Final = 0.001
BOUND: Final = 0.005
"""Seconds that the thread may be held."""
_LAYOUT: Final = struct.Struct("=ddQQ")
SIZE: Final = _LAYOUT.size + 1


class Holds(NamedTuple):
    """What the probe has seen; times are in seconds."""

    clock: float
    """The longest time between two runs, by the clock."""
    cpu: float
    """The same in CPU time."""
    beyond: int
    """How often the CPU time was beyond BOUND."""
    runs: int


class Probe:
    """The timer. ``file`` is shared with its reader, and cleared when its last octet is not 0."""

    def __init__(self, loop: Any, file: Path) -> None:
        self._loop = loop
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), SIZE)
        self._clear()

    def _clear(self) -> None:
        self._clock = self._cpu = 0.0
        self._beyond = self._runs = 0
        self._last = time.monotonic(), time.thread_time()

    def run(self) -> None:
        """Look how long it was."""
        if self._shared[-1]:
            self._shared[-1] = 0
            self._clear()
        now = time.monotonic(), time.thread_time()
        clock, cpu = now[0] - self._last[0] - TICK, now[1] - self._last[1]
        self._last = now
        self._runs += 1
        self._beyond += cpu > BOUND
        self._clock, self._cpu = max(self._clock, clock), max(self._cpu, cpu)
        _LAYOUT.pack_into(self._shared, 0, self._clock, self._cpu, self._beyond, self._runs)
        self._loop.call_later(TICK, self.run)


def read(file: Path, *, clear: bool = False) -> Holds:
    """Return what a probe has seen since it was cleared last, and clear it again."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), SIZE) as shared:
        seen = Holds(*_LAYOUT.unpack_from(shared))
        if clear:
            shared[-1] = 1
        return seen


def _main(file: str, *arguments: str) -> int:
    def new_event_loop() -> Any:
        loop = uvloop.new_event_loop()
        loop.call_soon(Probe(loop, Path(file)).run)
        return loop

    vars(pyd2.service)["uvloop"] = SimpleNamespace(new_event_loop=new_event_loop)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))

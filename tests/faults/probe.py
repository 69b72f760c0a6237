"""The daemon with a probe in the thread of its updates: ``python -m tests.faults.probe FILE ARGUMENTS``.

A timer of that thread's loop runs each millisecond and notes how long it was since the last time, by the
clock and in CPU time of the thread: what lies between two runs is work that nothing else could interrupt. On
a machine that does much else the clock also counts the work of others; the CPU time does not. But in a
virtual machine the CPU time of a thread also counts what the host takes away meanwhile ("steal" in
proc_stat(5), in parts of 10 ms): holds during which the host took something are counted apart.
"""

import mmap
import os
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import uvloop

import pyd2.service
from pyd2.cli import main

TICK: Final = 0.001
BOUND: Final = 0.005
"""Seconds that the thread may be held."""
_LAYOUT: Final = struct.Struct("=dddQQQ")
SIZE: Final = _LAYOUT.size + 1


class Holds(NamedTuple):
    """What the probe has seen; times are in seconds."""

    clock: float
    """The longest time between two runs, by the clock."""
    cpu: float
    """The same in CPU time, of holds during which the host took no time away."""
    stolen: float
    """The same of the holds during which it did."""
    beyond: int
    """How often the CPU time was beyond BOUND, without those with stolen time."""
    beyond_stolen: int
    """The same of those with stolen time."""
    runs: int


class Probe:
    """The timer. ``file`` is shared with its reader, and cleared when its last octet is not 0."""

    def __init__(self, loop: Any, file: Path) -> None:
        self._loop = loop
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), SIZE)
        self._stat = os.open("/proc/stat", os.O_RDONLY)
        self._clear()

    def _clear(self) -> None:
        self._clock = self._cpu = self._in_stolen = 0.0
        self._beyond = self._beyond_stolen = self._runs = 0
        self._unjudged: tuple[float, int] | None = None
        """A hold, and what the host had taken before it: the kernel may count it a moment later."""
        self._steal = self._stolen()
        self._last = time.monotonic(), time.thread_time()

    def _stolen(self) -> int:
        """Return what the host has taken from all processors since the start, in ticks."""
        return int(os.pread(self._stat, 200, 0).split(None, 9)[8])

    def run(self) -> None:
        """Look how long it was."""
        if self._shared[-1]:
            self._shared[-1] = 0
            self._clear()
        now = time.monotonic(), time.thread_time()
        clock, cpu = now[0] - self._last[0] - TICK, now[1] - self._last[1]
        self._runs += 1
        self._clock = max(self._clock, clock)
        before, self._steal = self._steal, self._stolen()
        if self._unjudged is not None:
            self._judge(*self._unjudged)
        self._unjudged = (cpu, before) if cpu > BOUND else None
        if cpu <= BOUND:
            self._cpu = max(self._cpu, cpu)
        _LAYOUT.pack_into(self._shared, 0, self._clock, self._cpu, self._in_stolen, self._beyond,
                          self._beyond_stolen, self._runs)
        self._last = time.monotonic(), time.thread_time()
        self._loop.call_later(TICK, self.run)

    def _judge(self, cpu: float, before: int) -> None:
        """Count a hold beyond BOUND where it belongs."""
        if self._steal > before:
            self._in_stolen = max(self._in_stolen, cpu)
            self._beyond_stolen += 1
        else:
            self._cpu = max(self._cpu, cpu)
            self._beyond += 1


def read(file: Path, *, clear: bool = False) -> Holds:
    """Return what a probe has seen since it was cleared last, and clear it again."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), SIZE) as shared:
        seen = Holds(*_LAYOUT.unpack_from(shared))
        if clear:
            shared[-1] = 1
        return seen


def run(file: str, arguments: Sequence[str], **keywords: Any) -> int:
    """Run the daemon with the probe; ``keywords`` are those of ``pyd2.cli.main``."""

    def new_event_loop() -> Any:
        loop = uvloop.new_event_loop()
        loop.call_soon(Probe(loop, Path(file)).run)
        return loop

    vars(pyd2.service)["uvloop"] = SimpleNamespace(new_event_loop=new_event_loop)
    return main(arguments, **keywords)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))

"""The metrics of the process, from ``/proc``."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyd2.metrics.exposition import Exposition

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def add_process(exposition: Exposition) -> None:
    """Add what the system says of the process; nothing where there is no ``/proc``."""
    with suppress(OSError, ValueError, IndexError):
        # Behind the name, which may hold anything, a field is two places before that of proc(5).
        fields = (_PROC / "self/stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(_PROC / "self/fd"))  # noqa: PTH208  iterdir makes a path of each
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        exposition.one("process_cpu_seconds", (int(fields[11]) + int(fields[12])) / _TICKS)
        exposition.one("process_open_fds", descriptors)
        exposition.one("process_max_fds", most)
        exposition.one("process_resident_memory_bytes", int(fields[21]) * _PAGE)
        exposition.one("process_virtual_memory_bytes", int(fields[20]))
        # Not by /proc/stat, which a hardened unit hides.
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS
        exposition.one("process_start_time_seconds", time.time() - age)

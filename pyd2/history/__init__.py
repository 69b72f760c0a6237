"""The history: what became of each request, in a file that ``pyd2ctl why`` searches."""

from __future__ import annotations

from typing import Final

FILE: Final = "pyd2-history.sqlite3"
"""The name of the file in its directory."""
LOCK: Final = "pyd2-history.lock"
"""The file that keeps other processes from writing the history."""

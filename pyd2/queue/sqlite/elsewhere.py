"""Requests of the durable queue in directories that are not in use, and the note that names them.

A note in a directory names those in which a daemon that was configured for it has left requests. The disks of
such directories may fail or hang, which may be why they were left: threads of their own look at them, and
leave notes there, so that the queue in use waits for none of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.database import failing, open_plain
from pyd2.queue.sqlite.folder import give_to_owner, sync
from pyd2.queue.sqlite.salvage import count

if TYPE_CHECKING:
    from collections.abc import Sequence

Report = Callable[..., None]
"""Logs a message, by its ID, with its arguments."""

UNKNOWN: Final = "an unknown number of"
"""For what cannot be counted, in messages."""

_NOTE: Final = f"{FOLDER}.elsewhere"
"""The note: a JSON list of directories."""
_MOST_OCTETS: Final = 65536
_WRITING: Final = threading.Lock()


def named(directory: str) -> list[str]:
    """Return the directories that the note in a directory names."""
    # A note that is no plain file, or cannot be read, names none.
    with contextlib.suppress(OSError, ValueError), open_plain(Path(directory, _NOTE)) as note:
        return [name for name in json.loads(note.read(_MOST_OCTETS)) if isinstance(name, str)]
    return []


def point(directory: str, to: Sequence[str]) -> None:
    """Note in a directory that others hold requests; for none the note is removed. Raises StoreError."""
    note = Path(directory, _NOTE)
    with _WRITING, failing():
        if not to:
            note.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileExistsError):
            Path(directory).mkdir(0o750)
        new = Path(directory, f"{_NOTE}.new")
        new.unlink(missing_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with os.fdopen(file, "w", encoding="utf-8") as written:
            json.dump(list(to), written)
            written.flush()
            os.fsync(file)
        give_to_owner(directory, new)
        new.rename(note)
        sync(directory)


def leave_note(directory: str, present: str, seconds: float) -> str | None:
    """Add the present directory to the note in the one that the next start uses; see QueueStores."""
    texts: list[str | None] = [". No note of that is there yet: the disk does not answer"]

    def leave() -> None:
        try:
            if is_same(directory, present):
                texts.append(None)
                return
            point(directory, list(dict.fromkeys([*named(directory), present])))
            texts.append("")
        except StoreError as error:
            texts.append(f". No note of that could be left there: {error}")

    _started(leave).join(seconds)
    return texts[-1]


def report_named(directory: str, report: Report) -> None:
    """Log, from a thread, the requests in the directories that the note in this one names."""
    names = named(directory)

    def look() -> None:
        left = []
        for other in names:
            number = _left_in(other)
            if number != 0:
                left.append(other)
                report("PYD2_QUEUE_ELSEWHERE", Path(other, DATABASE), number or UNKNOWN, other, directory)
        if left != names:
            with contextlib.suppress(StoreError):  # the next start reports it again
                point(directory, left)

    if names:
        _started(look)


def report_left(directory: str, report: Report) -> None:
    """Log, from a thread, requests that are left where the configuration asks for no durable queue now."""

    def look() -> None:
        number = _left_in(directory)
        if number != 0:
            report("PYD2_QUEUE_NOT_USED", Path(directory, DATABASE), number or UNKNOWN)

    _started(look)


def is_same(one: str, other: str) -> bool:
    """Whether two paths lead to one directory that is there."""
    with contextlib.suppress(OSError):
        return Path(one).samefile(other)
    return False


def _left_in(directory: str) -> int | None:
    """Return how many requests a directory holds; None when that cannot be told."""
    path = Path(directory, DATABASE)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0
    except OSError:
        return None
    return count(path)


def _started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, name="pyd2-queue-elsewhere", daemon=True)
    thread.start()
    return thread

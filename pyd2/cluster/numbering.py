"""What numbers the batches of a receiver: a file that counts its starts, beside its durable queue.

Numbers of batches must only rise, whatever a clock does, or batches would be taken for repetitions and
skipped. So the count of starts is in a file, and a receiver whose file cannot be read, or was copied to
another machine, is another receiver, with a random name of its own. A file that was restored, with its
machine or from a backup, has a count that was used since: so a count is at least the time in seconds.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from pyd2.regular import read_regular

FILE: Final = "pyd2-receiver.json"
"""In the directory of the durable queue, whose lock protects it."""

_MACHINE_ID: Final = "/etc/machine-id"
_MOST: Final = 4096
_MOST_BOOTS: Final = 10**12


class Numbering(NamedTuple):
    """What tells the batches of one start of a receiver from others."""

    instance: str
    """Tells receivers of one name apart."""
    boot: int
    """Rises with each start of this instance."""


def next_numbering(directory: str, now: float | None = None, *, machine_id: str = _MACHINE_ID) -> Numbering:
    """Count a start, on the disk. If that cannot be read or written, this is the first of a new instance.

    ``now`` is in seconds since the epoch.
    """
    now = time.time() if now is None else now
    path = Path(directory, FILE)
    machine = _read_machine(machine_id)
    numbering = Numbering(_new_instance(), 1)
    with suppress(OSError, ValueError, KeyError, TypeError):
        fields = orjson.loads(read_regular(str(path), _MOST))
        instance, boot = fields["instance"], fields["boot"]
        known = isinstance(instance, str) and len(instance) == len(numbering.instance) \
            and instance.isalnum() and instance.isascii() and type(boot) is int and 0 < boot < _MOST_BOOTS
        if known and fields["machine"] == machine:
            numbering = Numbering(instance, max(boot + 1, int(now)))
    try:
        _write(path, orjson.dumps({**numbering._asdict(), "machine": machine}))
    except OSError:
        return Numbering(_new_instance(), 1)
    return numbering


def _new_instance() -> str:
    return os.urandom(8).hex()


def _read_machine(path: str) -> str:
    try:
        return read_regular(path, _MOST).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _write(path: Path, text: bytes) -> None:
    """Put a file in its place, complete and on the disk."""
    new = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, text)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.rename(path)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""Cuts of power: what a disk may hold then, made from the trace of faults.c.

Of a file there is for certain what it held at its last fsync; of what was written since, any sectors may be
there. Names (made, renamed, removed) are on the disk when their directory was synced; of later ones those up
to some moment are, as with a journaling file system.
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.queue.model.faults import KINDS
from tests.queue.model.scenario import LIVES, Snapshot, live
from tests.queue.model.steps import Steps, finish
from tests.queue.model.world import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.queue.model.process import Server

_HEAD: Final = struct.Struct("<QQIIII")
_SECTOR: Final = 512


class Change(NamedTuple):
    """A system call that has changed something."""

    number: int
    offset: int
    kind: str
    path: str
    other: str
    octets: bytes


def read_trace(path: Path) -> Iterator[Change]:
    """Return the changes of a trace."""
    octets = path.read_bytes() if path.exists() else b""
    at = 0
    while at + _HEAD.size <= len(octets):
        number, offset, kind, path_size, other_size, size = _HEAD.unpack_from(octets, at)
        at += _HEAD.size
        parts = []
        for length in (path_size, other_size, size):
            parts.append(octets[at : at + length])
            at += length
        yield Change(number, offset, KINDS[kind], parts[0].decode(), parts[1].decode(), parts[2])


class _File:
    def __init__(self, octets: bytes = b"") -> None:
        self.synced = bytes(octets)
        self.since: list[tuple[int, bytes | None]] = []
        """Writes at offsets, and cuts to a size, since the last fsync."""

    def whole(self) -> bytes:
        """Return what the process sees."""
        return self.some(lambda: True)

    def some(self, survives: Callable[[], bool]) -> bytes:
        """Return what may be on the disk."""
        octets = bytearray(self.synced)
        for offset, written in self.since:
            if written is None:
                if survives():
                    octets[:] = octets[:offset].ljust(offset, b"\0")
                continue
            at = 0
            while at < len(written):
                size = _SECTOR - (offset + at) % _SECTOR
                if survives():
                    octets[:] = octets.ljust(offset + at, b"\0")
                    octets[offset + at : offset + at + size] = written[at : at + size]
                at += size
        return bytes(octets)


_Names = dict[str, "_File | None"]
"""Files by their paths; None is a directory."""


class Disk:
    """What is on the disk, and what is not yet."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self._now: _Names = {}
        for root in roots:
            for path in [root, *sorted(root.rglob("*"))] if root.is_dir() else ():
                self._now[str(path)] = None if path.is_dir() else _File(path.read_bytes())
        self._synced = dict(self._now)
        self._waiting: list[Callable[[_Names], None]] = []
        self._parents: list[set[str]] = []

    def apply(self, change: Change) -> None:
        """Take in a change."""
        path = change.path
        file = self._now.get(path)
        if change.kind == "create":
            made = _File()
            self._name(lambda names: names.__setitem__(path, made), path)
        elif change.kind == "mkdir":
            self._name(lambda names: names.__setitem__(path, None), path)
        elif change.kind in ("unlink", "rmdir"):
            self._name(lambda names: _pop(names, path), path)
        elif change.kind == "rename":
            self._name(lambda names: _rename(names, path, change.other), path, change.other)
        elif change.kind == "fsync":
            if file is not None:
                file.synced, file.since = file.whole(), []
            else:
                self._sync_names(path)
        elif file is not None and change.kind == "write":
            file.since.append((change.offset, change.octets))
        elif file is not None and change.kind == "ftruncate":
            file.since.append((change.offset, None))
        elif file is not None and change.kind == "open-truncate":
            file.since.append((0, None))

    def _name(self, do: Callable[[_Names], None], *paths: str) -> None:
        do(self._now)
        self._waiting.append(do)
        self._parents.append({str(Path(path).parent) for path in paths})

    def _sync_names(self, directory: str) -> None:
        """Have all up to the last change in a directory on the disk."""
        last = max((at for at, parents in enumerate(self._parents) if directory in parents), default=-1)
        for do in self._waiting[: last + 1]:
            do(self._synced)
        del self._waiting[: last + 1], self._parents[: last + 1]

    def cut(self, base: Path, chance: random.Random, share: float) -> None:
        """Put below ``base`` what the disk may hold; a ``share`` of what is not synced is there."""
        names = dict(self._synced)
        upto = chance.randint(0, len(self._waiting)) if share else 0
        for do in self._waiting[:upto]:
            do(names)
        for name, file in sorted(names.items(), key=lambda item: item[0].count("/")):
            path = Path(name)
            if not path.is_relative_to(base) or name.endswith("-shm"):
                continue  # what is shared is made again
            if file is None:
                path.mkdir(parents=True, exist_ok=True)
            elif path.parent.is_dir():
                path.write_bytes(file.some(lambda: chance.random() < share))


def _pop(names: _Names, path: str) -> None:
    names.pop(path, None)


def _rename(names: _Names, old: str, new: str) -> None:
    for path in [path for path in names if path == new or path.startswith(f"{new}/")]:
        del names[path]
    for path in [path for path in names if path == old or path.startswith(f"{old}/")]:
        names[new + path[len(old) :]] = names.pop(path)


class PowerTable:
    """What was cut."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.syncs = self.cuts = self.violations = 0
        self.kinds: Counter[str] = Counter()

    def __str__(self) -> str:
        kinds = ", ".join(f"{times} {kind}" for kind, times in self.kinds.items())
        return (f"{self.syncs} fsyncs, {self.cuts} cuts of power ({kinds}), {self.violations} violations, "
                f"{time.monotonic() - self._began:.0f} s")


_SHARES: Final = {"all unsynced dropped": 0.0, "a half of it there": 0.5, "most of it there": 0.9}


def cut_power(
    server: Server, scratch: Path, *, every: int = 1, seed: int = 1,
    said: Callable[[str], None] = lambda _: None, most_lives: int = len(LIVES),
) -> PowerTable:
    """Cut the power before and after each fsync of the scenario, and when requests are taken."""
    table, chance = PowerTable(), random.Random(seed)
    world = Steps(server, scratch / "world")
    for root in world.directories:
        root.mkdir()  # how a file system treats the name of what it was given is not pyd2's
    turn = 0
    for number, script in enumerate(LIVES[:most_lives]):
        if any(name == "place_foreign" for name, _ in script):
            continue  # what the operator moves is in no trace
        first = next(at for at, (name, _) in enumerate(script) if name == "begin")
        live(world, script[:first])
        before = Snapshot(world, scratch / f"snapshot-{number}")
        world.trace = scratch / f"trace-{number}"
        live(world, script[first:])
        world.trace = None
        events, world.heard = world.heard, []
        after = Snapshot(world, scratch / f"snapshot-{number}-after")
        requests = list(world.requests.values())
        changes = list(read_trace(scratch / f"trace-{number}"))
        world = before.restore()
        disk = Disk(world.directories)
        reported = {event["at"] for event in events if event["event"] == "out"}
        for change in changes:
            moments = ["after"] if change.number in reported else []
            if change.kind == "fsync":
                table.syncs += 1
                moments = ["before", "after"]
            for moment in ("before", "after"):
                if moment == "after":
                    disk.apply(change)
                for kind, share in _SHARES.items() if moment in moments else ():
                    turn += 1
                    if turn % every:
                        continue
                    world = before.restore()
                    world.hear_again(events, change.number - (moment == "before"), requests)
                    world.lose_power(partial(disk.cut, chance=chance, share=share))
                    table.cuts += 1
                    table.kinds[kind] += 1
                    try:
                        finish(world)
                    except Violation as violation:
                        table.violations += 1
                        said(f"life {number}, {moment} operation {change.number}, "
                             f"{change.kind} of {change.path}, {kind}: {violation}")
                    finally:
                        world.kill()
        world = after.restore()
    return table

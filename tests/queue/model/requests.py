"""What the model knows of requests, of the log, and of the files that lie about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.queue.model.contents import everything, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class Request:
    """What became of one request."""

    which: int
    client: int
    place: Path
    """The directory in use when it was sent."""
    forms: list[tuple[bool, bool]] = field(default_factory=lambda: [(True, True)])
    """Changes that are left, forward and reverse: the newest last; earlier ones may be on the disk."""
    every_form: list[tuple[bool, bool]] = field(default_factory=lambda: [(True, True)])
    """All that it ever had."""
    taken: bool = False
    ended: bool = False
    dead: bool = False
    sealed: bool = False
    """Whether its end is on the disk."""
    loose: bool = False
    """Whether it may come back though it is done: an older file was put there, or the file failed."""
    destroyed: int | None = None
    """The number of messages before the operator destroyed the file that held it."""
    reported: bool = False
    """Whether it is accounted for by a message, for good."""
    handed: int = 0
    """How often it was processed."""
    overtaken_by: list[Request] = field(default_factory=list, repr=False, compare=False)
    """Newer requests of the same client that were done when this one came back."""


@dataclass
class Message:
    """A line of the log."""

    id: str
    text: str
    process: int


class Files:
    """What lies where at one moment, each file read once and only when it is asked for."""

    def __init__(self, base: Path, named: Sequence[Path]) -> None:
        self.named: Final = named
        """Those that messages name."""
        self._base = base
        self._read: dict[Path, set[int]] = {}
        self._all: dict[Path, set[int]] | None = None

    def in_one(self, path: Path) -> set[int]:
        """Return which requests a file or folder holds, waiting or dead."""
        if path not in self._read:
            contents = read(path)
            self._read[path] = contents.waiting.keys() | contents.dead.keys()
        return self._read[path]

    def holding(self, which: int) -> set[Path]:
        """Return the files that hold a request."""
        if self._all is None:
            self._all = everything(self._base)
        return {path for path, numbers in self._all.items() if which in numbers}

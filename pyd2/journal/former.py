"""Writers of the durable queue that have been replaced, until they have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.journal.entry import Entry
    from pyd2.journal.writer import Writer


class FormerWriters:
    """Those of directories before, and those that were told to end."""

    def __init__(self) -> None:
        self._former: list[Writer] = []
        """Those of directories before, until the present one has taken their entries over."""
        self._ended: list[Writer] = []
        """Threads that were told to end; the next one in their directory waits for them."""

    def add(self, writer: Writer) -> None:
        """Keep one up to date until the present directory has taken its entries over."""
        self._former.append(writer)

    def amend(self, entries: Sequence[Entry]) -> None:
        """Hand over entries in their present form."""
        for writer in self._former:
            writer.amend(entries)

    def remove(self, numbers: Sequence[int]) -> None:
        """Hand over the numbers of entries that are done."""
        for writer in self._former:
            writer.remove(numbers)

    def failed(self, writer: Writer) -> None:
        """Take it that a thread has ended with a fault."""
        if writer in self._former:
            self._former.remove(writer)
            self.end(writer)

    def empty(self) -> None:
        """Give up the directories of before: the present file holds all that is not done."""
        for writer in self._former:
            writer.replace(())
        self.leave()

    def leave(self) -> None:
        """Let the threads of the directories of before end, with what they hold in their files."""
        for writer in self._former:
            self.end(writer)
        self._former.clear()

    def end(self, writer: Writer) -> None:
        """Let a thread end; it may take its time."""
        writer.close(None)
        self._ended = [ended for ended in self._ended if not ended.over]
        self._ended.append(writer)

    def has(self, directory: str) -> bool:
        """Whether one of those of directories before has this one."""
        return any(writer.directory == directory for writer in self._former)

    def take_back(self, directory: str) -> Writer | None:
        """Return the one that still has a directory, to work with it again."""
        for writer in self._former:
            if writer.directory == directory:
                self._former.remove(writer)
                return writer
        return None

    def ending(self, directory: str) -> list[Writer]:
        """Return the threads that still have a directory."""
        return [writer for writer in self._ended if writer.directory == directory and not writer.over]

    def close(self, timeout: float) -> None:
        """Write what was handed over to the directories of before; waits ``timeout`` seconds for each."""
        for writer in self._former:
            writer.close(timeout)

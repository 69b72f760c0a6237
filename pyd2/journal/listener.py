"""What the writer's thread of the durable queue tells the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyd2.journal.entry import Entries, Identity, StoreError
    from pyd2.journal.writer import Writer


class Listener(Protocol):
    """Who is told of what the thread has done; in the loop's thread, in order."""

    def found(self, writer: Writer, entries: Entries) -> None:
        """Some of the requests of a file that was unread; there may be more."""

    def opened(self, writer: Writer, identity: Identity) -> None:
        """All of them were told of, and the file can be written."""

    def ready(self, writer: Writer) -> None:
        """The disk answers: the thread waits for what the file is to hold, by ``hold``."""

    def restored(self, writer: Writer, identity: Identity) -> None:
        """The file holds it."""

    def buried(self, writer: Writer, count: int) -> None:
        """So many of the dead letters that were handed over are on the disk, the first ones."""

    def safe(self, writer: Writer, number: int) -> None:
        """The entries up to this number are on the disk."""

    def failed(self, writer: Writer, fault: StoreError) -> None:
        """The file cannot be used."""

    def tell(self, writer: Writer, message_id: str, *arguments: object) -> None:
        """Something to be logged."""

    def ended(self, writer: Writer) -> None:
        """The thread was told to close, and has ended."""

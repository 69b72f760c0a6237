"""The SQLite database of the durable queue: whose it is, how it is set up, and what its errors mean."""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pyd2.queue.interface import StoreError
from pyd2.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

VERSION: Final = 6
"""The form of the file, in ``PRAGMA user_version``."""

_APPLICATION_ID: Final = 0x70796432
_WAL_HEADER: Final = 32
"""Octets."""
_WAL_LIMIT: Final = 16 * 1024 * 1024
"""Octets to which a WAL file that had to grow is cut again."""
PAGE: Final = 8192
"""Octets of a page in a new file: half as many to write as with SQLite's 4096, and no more octets."""
_CHECKPOINT: Final = 1500
"""Pages in the WAL that move to the database together: most were written again and again meanwhile."""
_FREE_PAGES: Final = 512
"""Unused pages that the file may keep."""
_MARK: Final = "at-work"
_REPLACED: Final = "{}: it has been removed, or another file has been put in its place"
_TO_WRITE: Final = "make it writable for the daemon, with its folder: 'chown -R' to the daemon's user"
_MENDS: Final = {
    sqlite3.SQLITE_FULL: "free some space there",
    sqlite3.SQLITE_READONLY: _TO_WRITE,
    sqlite3.SQLITE_CANTOPEN: "see that it and its folder belong to the daemon's user ('chown -R')",
    sqlite3.SQLITE_PERM: _TO_WRITE,
    sqlite3.SQLITE_IOERR: "check the disk",
}


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading, but no link, and nothing that could block. Raises OSError."""
    return os.fdopen(open_regular(str(path), follow=False), "rb")


def os_fault(error: OSError) -> StoreError:
    """Return an error of the operating system as one of the store."""
    mend = " (make the daemon's user its owner: 'chown -R')" if isinstance(error, PermissionError) else ""
    return StoreError(f"{error.filename}: {error.strerror}{mend}")


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn errors of the operating system into the store's."""
    try:
        yield
    except OSError as error:
        raise os_fault(error) from error


def map_mark(database: Path) -> mmap.mmap | None:
    """Make a new mark beside a database; None if that fails.

    It is mapped into memory, and what is written there outlives the process: the number of the request on
    which a hook library works, in 8 octets.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        with os.fdopen(os.open(database.with_name(_MARK), flags, 0o640), "rb") as file:
            os.ftruncate(file.fileno(), 8)
            mark = mmap.mmap(file.fileno(), 8)
        mark[:] = bytes(8)
        return mark
    return None


def read_mark(database: Path) -> int:
    """Return the number of the request that a killed process has left in its mark; else 0."""
    with contextlib.suppress(OSError), open_plain(database.with_name(_MARK)) as mark:
        return int.from_bytes(mark.read(8), "little")
    return 0


class Database:
    """An open file. Any method raises StoreError; it is of no further use then, but for ``close``."""

    def __init__(self, path: Path, *, read_only: bool, create: bool) -> None:
        """Open the file; ``create`` makes it if it is not there. It is to be checked before anything else."""
        self.path: Final = path
        self._files: Final = path, path.with_name(path.name + "-wal")
        mode = "ro" if read_only else "rwc" if create else "rw"
        with self.failing():
            # In a directory that belongs to another user than the daemon's a link could lead anywhere.
            linked = path.is_symlink() or path.parent.is_symlink()
            if linked or (path.exists() and not path.is_file()):
                text = f"{path}: it, or its folder, is a symbolic link or no plain file"
                raise StoreError(text, foreign=True)
            before = path.stat() if path.exists() else None
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._sqlite = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            try:
                opened = path.stat()
            except OSError:
                self._sqlite.close()
                raise
        self.execute: Final = self._sqlite.execute
        """SQLite's; only within ``failing`` or a transaction."""
        self.device_and_inode: Final = opened.st_dev, opened.st_ino
        """Of the file that SQLite has open."""
        self._seen = [(*self.device_and_inode, 0)]
        """Device, inode and size of the database and its WAL behind the last commit."""
        self._compacted = False
        """Whether pages were given back."""
        if before is not None and not os.path.samestat(before, opened):
            self.close()
            raise StoreError(_REPLACED.format(path))

    @property
    def has_wal(self) -> bool:
        """Whether the WAL is there and holds more than its header."""
        with contextlib.suppress(OSError):
            return self._files[1].stat().st_size > _WAL_HEADER
        return False

    def close(self, *, worked_in: bool = False) -> None:
        """Close the file; what was committed stays. ``worked_in``: nothing is left for a mark to tell."""
        try:
            if worked_in:
                with contextlib.suppress(OSError):
                    self.path.with_name(_MARK).unlink()
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._sqlite.close()

    def check(self, *, may_be_empty: bool) -> bool:
        """See that it is pyd2's; return whether it is empty."""
        with self.failing():
            version = self.value("PRAGMA user_version")
            application = self.value("PRAGMA application_id")
            empty: bool = self.value("SELECT count(*) FROM sqlite_schema") == 0
        if empty and not may_be_empty:
            raise StoreError(f"{self.path}: it is empty", damaged=True)
        if not empty and application != _APPLICATION_ID:
            raise StoreError(f"{self.path} is no file of pyd2: move it away", foreign=True)
        if not empty and version != VERSION:
            text = (
                f"{self.path} has version {version}, and this pyd2 knows {VERSION}: "
                "let the pyd2 that wrote it work it off, or move the file away"
            )
            raise StoreError(text, foreign=True)
        return empty

    def set_up(self, *, empty: bool) -> None:
        """Set the ways of working that are not kept in the file, and in an empty one those that are."""
        with self.failing():
            if empty:
                self.execute(f"PRAGMA page_size = {PAGE}")
                self.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self.execute("PRAGMA temp_store = MEMORY")
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = FULL")
            self.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
            self.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")

    def make(self, schema: Sequence[str]) -> None:
        """Make it pyd2's, in the present form, with these tables; within a transaction."""
        self.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        for statement in schema:
            self.execute(statement)
        self.execute(f"PRAGMA user_version = {VERSION}")

    def note_place(self) -> None:
        """Keep how the files look behind a commit, for ``check_place``; they must be those of before it."""
        # A commit may cut the WAL to its limit, and after compact the database.
        least = (0 if self._compacted else sys.maxsize), _WAL_LIMIT
        self._seen = self._look([(*one[:2], min(one[2], size))
                                 for one, size in zip(self._seen, least, strict=False)])  # fmt: skip

    def check_place(self) -> None:
        """Check that the files are in their place: SQLite also writes into files that were removed."""
        self._look(self._seen)

    def _look(self, known: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Return how the files look: not removed, replaced or shorter than what is known of them."""
        with self.failing():
            found = [path.stat() for path in self._files]
        seen = [(one.st_dev, one.st_ino, one.st_size) for one in found]
        for path, before, now in zip(self._files, known, seen, strict=False):
            if now[:2] != before[:2]:
                raise StoreError(_REPLACED.format(path))
            if now[2] < before[2]:
                raise StoreError(f"{path}: it has been cut from {before[2]} to {now[2]} octets")
        return seen

    def compact(self) -> None:
        """Give unused pages back to the file system, some at a time."""
        with self.failing():
            free: int = self.value("PRAGMA freelist_count")
            if free > _FREE_PAGES:
                # It steps once for each page; execute would stop at the first.
                self._compacted = True
                self._sqlite.executescript(f"PRAGMA incremental_vacuum({_FREE_PAGES})")
                self.note_place()

    def value(self, statement: str, *values: int | bytes) -> Any:  # noqa: ANN401  what SQLite returns
        """Return the first value that a statement finds; only within ``failing`` or a transaction."""
        return self.execute(statement, values).fetchone()[0]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes or none. On leaving, they are on the disk."""
        with self.failing():
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self._sqlite.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Turn SQLite's errors, and the operating system's, into the store's."""
        try:
            with failing():
                yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The text of an error may name what is damaged.
            # Extended codes have the primary one in their low octet.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
            mend = f" ({_MENDS[code]})" if code in _MENDS else ""
            raise StoreError(f"{self.path}: {error}{mend}", damaged=damaged) from error

"""Reads the file of the history: beside the daemon that writes it, or a copy."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.data.counted import counted
from pyd2.data.inet import AF_INET, AF_INET6, inet_ntop
from pyd2.history.layout import FORWARD, FORWARD_DONE, REVERSE, REVERSE_DONE, VERSION, table
from pyd2.ncr import RequestKind
from pyd2.update.model.faults import Result
from pyd2.update.model.kinds import KINDS
from pyd2.update.model.reasons import Reason, reason_of_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WAIT: Final = 5.0
"""Seconds to wait for the daemon, which writes for a moment at a time."""
_DHCID: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){16,}")
_NO_NAME: Final = re.compile(rf"{_DHCID.pattern}|(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}")
_KINDS: Final = tuple(RequestKind)
_RESULTS: Final = {result: result.word for result in Result}
_FAILURES: Final = (Result.FAILED, Result.EXPIRED, Result.UNMATCHED, Result.RETRYING)
_FAILED: Final = f"result IN ({', '.join(str(int(result)) for result in _FAILURES)})"
_STEPS: Final = 100_000
"""Steps of SQLite, some milliseconds, between two readings of the clock."""


class HistoryError(Exception):
    """There is no history, or it cannot be read; the text says why."""


class SearchTimeoutError(HistoryError):
    """The search has taken too long."""


class Event(NamedTuple):
    """What became of a request."""

    id: int
    at: float
    """Seconds since the epoch."""
    operation: str
    """``add`` or ``remove``."""
    name: str
    """In lower case, with its final dot."""
    address: str
    client: str
    """The DHCID in upper-case hex: the request ID of the log."""
    mode: str
    result: str
    """``done``, ``failed``, ``expired``, ``superseded``, ``unmatched``, or ``retrying``."""
    forward: str
    """``done``, ``not done``, or empty if it was not asked for."""
    reverse: str
    zone: str
    server: str
    key: str
    fault: str
    """An RCODE or another name of the table of reasons; empty if nothing has failed."""
    step: str
    tries: int
    ms: float | None
    """From reading the request; None: not known."""
    note: str
    why: str
    mend: str


class Query(NamedTuple):
    """A condition of SQL, with its values."""

    condition: str
    values: tuple[Any, ...]


def parse_query(text: str) -> Query:
    """Return what to look for.

    ``text`` is an address, a network such as 192.0.2.0/24, a DHCID in hex, or a name: with its final dot the
    whole name, with a final ``*`` what names begin with, else the labels that names begin with.
    Raises ValueError for a network that is none.
    """
    if "/" in text:
        network = ip_network(text, strict=False)
        size = len(network.network_address.packed)
        ends = (network.network_address.packed, network.broadcast_address.packed)
        return Query("address BETWEEN ? AND ? AND length(address) = ?", (*ends, size))
    try:
        return Query("address = ?", (ip_address(text).packed,))
    except ValueError:
        pass
    if _DHCID.fullmatch(text):
        client = bytes.fromhex(text)
        return Query("substr(client, -4) = ? AND client = ?", (client[-4:], client))
    name = _as_stored(text)
    if name.endswith("*"):
        return _beginning(name[:-1])
    if name.endswith("."):
        return Query("name = ?", (name,))
    return _beginning(f"{name}.")


def parse_host_query(text: str) -> Query:
    """Return what hosts to look for: as ``parse_query``, but a name need not end between two labels."""
    other = any(char in text for char in ":/") or _NO_NAME.fullmatch(text)
    return parse_query(text if other or text.endswith((".", "*")) else f"{text}*")


def _as_stored(name: str) -> str:
    r"""Return a name as the history has it: in lower case, with other octets than ASCII's as ``\ddd``."""
    octets = name.encode("utf-8", "surrogateescape")
    return "".join([chr(octet) if octet < 0x80 else f"\\{octet:03}" for octet in octets]).lower()


def _beginning(text: str) -> Query:
    return (
        Query("name >= ? AND name < ?", (text, f"{text[:-1]}{chr(ord(text[-1]) + 1)}"))
        if text
        else Query("1", ())
    )


class History:
    """The open file; ``path`` is the file, of any name."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise HistoryError(f"there is no history at {path}")
        self._database = _open(path)
        try:
            _check_version(self._database, path)
            words = self._database.execute("SELECT id, text FROM words")
            self._words: dict[int, str] = {0: "", **dict(words)}
            rows = self._database.execute("SELECT number FROM segments ORDER BY number DESC")
            self._segments: list[int] = [number for (number,) in rows]
        except sqlite3.Error as error:
            self._database.close()
            raise HistoryError(f"{path} cannot be read: {error}") from error
        except HistoryError:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def find(self, query: Query, *, limit: int = 50, before: int | None = None) -> Iterator[Event]:
        """Return events, the newest first; ``before`` is an ID: only earlier ones."""
        condition, values = query
        if before is not None:
            condition, values = f"({condition}) AND id < ?", (*values, before)
        for number in self._segments:
            if limit <= 0:
                return
            for event in self._select(
                number, f"WHERE {condition} ORDER BY id DESC LIMIT ?", (*values, limit)
            ):
                limit -= 1
                yield event

    def find_failures(
        self, zone: str, server: str, fault: str, *, limit: int = 50, before: int | None = None
    ) -> Iterator[Event]:
        """Return the requests that did not end well, or are tried again, the newest first; empty: any."""
        given = (("zone", zone), ("server", server), ("fault", fault))
        wanted = [(name, text) for name, text in given if text]
        numbers = [number for _, text in wanted for number, word in self._words.items() if word == text]
        if len(numbers) == len(wanted):
            condition = " AND ".join((_FAILED, *(f"{name} = ?" for name, _ in wanted)))
            yield from self.find(Query(condition, tuple(numbers)), limit=limit, before=before)

    def find_hosts(self, query: Query, *, limit: int = 50, before: int | None = None) -> Iterator[Event]:
        """Return the newest event of each host, the newest first; ``before`` is as in ``find``."""
        seen: set[str] = set()
        for number in self._segments:
            statement = f"SELECT id, name FROM {table(number)} WHERE {query.condition}"  # noqa: S608
            for found, name in self._rows(f"{statement} ORDER BY id DESC", query.values):
                if name in seen:
                    continue
                seen.add(name)
                if before is not None and found >= before:
                    continue
                yield from self._select(number, "WHERE id = ?", (found,))
                limit -= 1
                if limit <= 0:
                    return

    def limit_time(self, seconds: float) -> None:
        """End what takes longer from now on with SearchTimeoutError."""
        ends = time.monotonic() + seconds
        self._database.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)

    def span(self) -> tuple[int, float | None]:
        """Return how many events there are, and since when (seconds since the epoch)."""
        rows, since = 0, None
        for number in self._segments:
            statement = f"SELECT count(*), min(at) FROM {table(number)}"  # noqa: S608
            for count, first in self._rows(statement, ()):
                rows += count
                since = since if first is None else first / 1000
        return rows, since

    def _select(self, number: int, rest: str, values: Sequence[Any]) -> list[Event]:
        statement = f"SELECT * FROM {table(number)} {rest}"  # noqa: S608
        rows = list(self._rows(statement, values))
        try:
            return [self._event(*row) for row in rows]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise HistoryError(
                "the history has an event that this pyd2 cannot read: another release has written it, or it "
                f"is damaged ({error})"
            ) from error

    def _rows(self, statement: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a segment; none if the daemon has dropped it meanwhile."""
        try:
            yield from self._run(statement, values)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                text = "the search has taken too long; look for something narrower"
                raise SearchTimeoutError(text) from error
            if "no such table" not in str(error):
                raise HistoryError(str(error)) from error

    def _word(self, number: int) -> str:
        """Return a text by its number; it may have been written since the file was opened."""
        if number not in self._words:
            self._words.update(self._run("SELECT id, text FROM words"))
        return self._words.get(number, "")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def _event(
        self,
        number: int,
        at: int,
        kind: int,
        name: str,
        address: bytes,
        client: bytes,
        result: int,
        ways: int,
        fault: int,
        step: int,
        zone: int,
        server: int,
        key: int,
        tries: int,
        us: int | None,
        note: str | None,
    ) -> Event:
        word = self._word
        named, step_name = word(fault), word(step)
        found = _reason(kind, named, step_name)
        return Event(
            number,
            at / 1000,
            _KINDS[kind].change_type.name.lower(),
            name,
            address_text(address),
            client.hex().upper(),
            _KINDS[kind].mode.value,
            _RESULTS[Result(result)],
            _way(ways, FORWARD, FORWARD_DONE),
            _way(ways, REVERSE, REVERSE_DONE),
            word(zone),
            word(server),
            word(key),
            named,
            step_name,
            tries,
            None if us is None else us / 1000,
            note or "",
            found.why,
            found.mend,
        )


def address_text(octets: bytes) -> str:
    """Return the text of an address."""
    return inet_ntop(AF_INET if len(octets) == 4 else AF_INET6, octets)


def _reason(kind: int, fault: str, step: str) -> Reason:
    if not fault:
        return Reason("", "")
    try:
        return reason_of_step(fault, KINDS[kind], step)
    except (KeyError, IndexError):  # written by another release
        return Reason(f"It failed: {fault}.", "")


def _way(ways: int, asked: int, done: int) -> str:
    if not ways & asked:
        return ""
    return "done" if ways & done else "not done"


def _check_version(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        other = f": it has version {version} of the layout, and this one knows {VERSION}" if version else ""
        raise HistoryError(f"{path} is no history that this pyd2 knows{other}")


def _open(path: Path) -> sqlite3.Connection:
    """Open the file to read it, as a copy if its other files are missing and cannot be made."""
    place = path.absolute().as_uri()
    faults = []
    for options in ("mode=ro", "mode=ro&immutable=1"):
        database = sqlite3.connect(f"{place}?{options}", uri=True, timeout=WAIT, isolation_level=None)
        try:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            database.close()
            faults.append(str(error))
        else:
            return database
    raise HistoryError(f"{path} cannot be read: {faults[0]}")


def forget(path: Path, query: Query) -> int:
    """Remove events for good, beside a daemon that writes the file, too; return how many."""
    if not path.is_file():
        raise HistoryError(f"there is no history at {path}")
    removed = 0
    try:
        with closing(sqlite3.connect(path, timeout=WAIT, isolation_level=None)) as database:
            _check_version(database, path)
            database.execute("PRAGMA secure_delete = ON")
            database.execute("BEGIN IMMEDIATE")
            for (number,) in database.execute("SELECT number FROM segments").fetchall():
                statement = f"DELETE FROM {table(number)} WHERE {query.condition}"  # noqa: S608  ours
                removed += database.execute(statement, query.values).rowcount
            database.execute("COMMIT")
            # What was removed is also in the file of the last changes, until this one has them.
            ((busy, _, _),) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: {error}") from error
    if busy:
        raise HistoryError(
            f"{counted(removed, 'request')} removed, but another program reads the history just now, and so "
            f"{path}-wal still has them for a while; run this again to be sure that they are gone"
        )
    return removed

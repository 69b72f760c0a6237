"""The record of a shared queue: lease, epoch and checkpoint in one, so that no write can change one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from pyd2.errors import Pyd2Error
from pyd2.queue.shared.batch import BatchError, BatchNumber, read_number

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 1


class RecordError(Pyd2Error):
    """The record is damaged, or of a later pyd2: a node that cannot read it must not claim the queue."""


class Revision(NamedTuple):
    """Tells a record from the ones before and behind it."""

    last: int
    """The sequence of the last write beside the queue: of the record, or of what else its owner keeps."""
    record: int
    """The sequence of the record: of a server that lags behind the two may not belong together."""


class Record(NamedTuple):
    """Who owns a queue, and how far it is worked off."""

    node: str
    """The owner: its name and, behind a dot, what tells this process from others; empty: there is none."""
    epoch: int
    """Counts the owners."""
    floor: int
    """The requests up to this sequence are done."""
    at: tuple[str, BatchNumber] | None
    """Receiver and number of the batch with the sequence ``floor``; None: there is none."""
    seen: Mapping[str, BatchNumber]
    """The last batch up to ``floor`` of each receiver."""


NO_RECORD: Final = Record("", 0, 0, None, {})
"""What holds before the first one is written."""


def write_record(record: Record) -> bytes:
    """Return the octets of a record."""
    return orjson.dumps({
        "format": FORMAT, "node": record.node, "epoch": record.epoch, "floor": record.floor,
        "at": None if record.at is None else [record.at[0], str(record.at[1])],
        "seen": {receiver: str(number) for receiver, number in record.seen.items()},
    })  # fmt: skip


def read_record(octets: bytes) -> Record:
    """Read a record. Raises RecordError."""
    try:
        fields = orjson.loads(octets)
        if fields["format"] != FORMAT:
            raise RecordError(f"the record has the format {fields['format']}, and this pyd2 knows {FORMAT}")
        at, seen = fields["at"], fields["seen"]
        return Record(
            _text(fields["node"]), _count(fields["epoch"]), _count(fields["floor"]),
            None if at is None else (_text(at[0]), read_number(_text(at[1]))),
            {receiver: read_number(_text(number)) for receiver, number in seen.items()},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, BatchError) as error:
        raise RecordError(f"the record is damaged: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value

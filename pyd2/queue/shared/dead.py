"""A dead letter of a site as octets."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import orjson

from pyd2.queue.interface import DeadLetter
from pyd2.queue.shared.batch import BatchError

FORMAT: Final = 1


def write_dead(dead_letter: DeadLetter) -> bytes:
    """Return the octets of a dead letter; its number is that of its place."""
    return orjson.dumps({
        "format": FORMAT, "taken": dead_letter.taken, "died": dead_letter.died, "reason": dead_letter.reason,
        "datagram": base64.b64encode(dead_letter.datagram).decode(),
    })  # fmt: skip


def read_dead(number: int, octets: bytes) -> DeadLetter:
    """Read a dead letter, which has this number. Raises BatchError."""
    try:
        fields = orjson.loads(octets)
        if fields["format"] != FORMAT:
            raise BatchError(f"it has the format {fields['format']}, and this pyd2 knows {FORMAT}")
        datagram = base64.b64decode(fields["datagram"], validate=True)
        return DeadLetter(
            number, float(fields["taken"]), float(fields["died"]), str(fields["reason"]), datagram
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise BatchError(f"it is damaged: {error!r}") from error

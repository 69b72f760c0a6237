"""What is left of a request, as a request."""

from __future__ import annotations

import orjson

from pyd2.data.element import Element
from pyd2.data.json import from_json


def with_changes(datagram: bytes, *, forward: bool, reverse: bool) -> bytes:
    """Return a valid request's datagram again, as a request for these changes only."""
    length = int.from_bytes(datagram[:2], "big")
    fields = from_json(datagram[2 : 2 + length]).map_value()
    fields |= {"forward-change": Element(forward), "reverse-change": Element(reverse)}
    text = orjson.dumps({name: element.plain() for name, element in fields.items()})
    return len(text).to_bytes(2, "big") + text

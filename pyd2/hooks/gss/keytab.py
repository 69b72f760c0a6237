"""Reads which principals a keytab has keys of: MIT's file format, version 2."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

_VERSION: Final = b"\x05\x02"
_SIZE: Final = Struct(">i")
_COUNT: Final = Struct(">H")


def principals(octets: bytes) -> set[str]:
    """Return the principals in the content of a keytab; raises ValueError when it is none."""
    if octets[:2] != _VERSION:
        raise ValueError("it is no keytab of MIT's format, version 2")
    found = set()
    at = len(_VERSION)
    while at + _SIZE.size <= len(octets):
        (size,) = _SIZE.unpack_from(octets, at)
        at += _SIZE.size
        if size > 0:  # else a hole: an entry that was removed
            found.add(_principal(octets[at : at + size]))
        elif size == 0:
            break
        at += abs(size)
    return found


def _principal(entry: bytes) -> str:
    """Return the principal of an entry: the number of its names, its realm, its names."""
    parts = []
    at = 0
    try:
        (count,) = _COUNT.unpack_from(entry, at)
        at += _COUNT.size
        for _ in range(count + 1):
            (size,) = _COUNT.unpack_from(entry, at)
            at += _COUNT.size
            parts.append(entry[at : at + size].decode(errors="replace"))
            at += size
    except error as fault:
        raise ValueError(f"an entry of the keytab is cut short: {fault}") from fault
    realm, *names = parts
    return f"{'/'.join(names)}@{realm}"

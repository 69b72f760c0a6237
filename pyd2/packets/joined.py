"""Datagrams in a row, each behind its length: a batch of the shared queue, in C (``cbridge/wire/joined.h``).

``pyd2.queue.shared.batch`` does the same in Python.
"""

from __future__ import annotations

from typing import Any, Final

from pyd2.packets.batch import DatagramBatch
from pyd2.packets.wire import ffi, lib

_LENGTH: Final = 2
_new: Final = ffi.new_allocator(should_clear_after_alloc=False)


def write(datagrams: DatagramBatch) -> bytes:
    """Return the datagrams in a row."""
    count = len(datagrams)
    buffer: Any = _new("uint8_t[]", lib.wire_joined_size(datagrams.sizes, count))
    size = lib.wire_joined_write(datagrams.buffer, datagrams.stride, datagrams.sizes, count, buffer)
    octets: bytes = ffi.buffer(buffer, size)[:]
    return octets


def count(octets: bytes) -> int:
    """Return how many datagrams are in a row; less than 0: it ends in the middle of one."""
    found: int = lib.wire_joined_count(ffi.from_buffer(octets), len(octets))
    return found


def read(octets: bytes, datagrams: int) -> DatagramBatch:
    """Return the datagrams of a row, which has so many."""
    buffer: Any = _new("uint8_t[]", len(octets) - _LENGTH * datagrams)
    sizes: Any = _new("uint32_t[]", datagrams)
    lib.wire_joined_read(ffi.from_buffer(octets), datagrams, buffer, sizes)
    return DatagramBatch(buffer, 0, sizes, datagrams)


def clients(octets: bytes, datagrams: int) -> list[int]:
    """Return the numbers of the clients of a row, which has so many datagrams; 0: Python is to find it."""
    numbers: Any = _new("uint64_t[]", datagrams)
    lib.wire_joined_clients(ffi.from_buffer(octets), datagrams, numbers)
    found: list[int] = ffi.unpack(numbers, datagrams)  # type: ignore[assignment]
    return found

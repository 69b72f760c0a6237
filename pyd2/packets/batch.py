"""Datagrams that lie in one piece of memory, for C; for Python they are a sequence of octet strings."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

from pyd2.packets.wire import ffi


class DatagramBatch(Sequence[bytes]):
    """Datagrams as ``wire_receive`` leaves them. What lies there may change when the owner receives again."""

    __slots__ = ("_count", "room", "sizes", "stride")

    def __init__(self, room: Any, stride: int, sizes: Any, count: int) -> None:  # noqa: ANN401  cffi's objects
        self.room = room
        """The octets of all."""
        self.stride = stride
        """How far the beginnings of two neighbours are apart."""
        self.sizes = sizes
        self._count = count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        octets = ffi.buffer(self.room, self._count * self.stride)
        sizes: list[int] = ffi.unpack(self.sizes, self._count)  # type: ignore[assignment]
        begins = range(0, self._count * self.stride, self.stride)
        return iter([octets[begin : begin + size] for begin, size in zip(begins, sizes, strict=True)])

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> DatagramBatch: ...
    def __getitem__(self, index: int | slice) -> bytes | DatagramBatch:
        if isinstance(index, slice):
            first, end, _ = index.indices(self._count)
            return DatagramBatch(
                self.room + first * self.stride, self.stride, self.sizes + first, max(0, end - first)
            )
        if not 0 <= index < self._count:
            raise IndexError(index)
        return bytes(ffi.buffer(self.room + index * self.stride, self.sizes[index]))


def in_batches(datagrams: Sequence[bytes], most: int) -> Iterator[DatagramBatch]:
    """Return datagrams in batches of at most ``most``."""
    if len(datagrams) <= most:
        yield to_batch(datagrams)
        return
    for first in range(0, len(datagrams), most):
        yield to_batch(datagrams[first : first + most])


def to_batch(datagrams: Sequence[bytes]) -> DatagramBatch:
    """Return datagrams as a batch; those that are one already are not copied."""
    if isinstance(datagrams, DatagramBatch):
        return datagrams
    stride = max(map(len, datagrams), default=0) or 1
    room = ffi.new("uint8_t[]", b"".join(datagram.ljust(stride, b"\0") for datagram in datagrams) or 1)
    sizes = ffi.new("uint32_t[]", array("I", map(len, datagrams)).tolist() or 1)
    return DatagramBatch(room, stride, sizes, len(datagrams))

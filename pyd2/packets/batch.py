"""Datagrams in one piece of memory, for C; for Python they are a sequence of octet strings."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, overload

from pyd2.packets.wire import ffi


class DatagramBatch(Sequence[bytes]):
    """Datagrams as C reads them. Those of ``wire_receive`` may change with its next call."""

    __slots__ = ("_count", "_whole", "buffer", "sizes", "stride")

    def __init__(self, buffer: Any, stride: int, sizes: Any, count: int) -> None:  # noqa: ANN401  cffi's objects
        self.buffer = buffer
        """The octets of all."""
        self.stride = stride
        """Octets between the beginnings of two datagrams; 0: they follow each other directly."""
        self.sizes = sizes
        self._count = count
        self._whole: DatagramBatch
        """What this is a part of, and whose memory it has; not set if it is none."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        sizes: list[int] = ffi.unpack(self.sizes, self._count)  # type: ignore[assignment]
        end = self._begin(self._count)
        begins = range(0, end, self.stride) if self.stride else accumulate(sizes, initial=0)
        octets = ffi.buffer(self.buffer, end)
        return iter([octets[begin : begin + size] for size, begin in zip(sizes, begins, strict=False)])

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> DatagramBatch: ...
    def __getitem__(self, index: int | slice) -> bytes | DatagramBatch:
        if isinstance(index, slice):
            first, end, _ = index.indices(self._count)
            part = DatagramBatch(
                self.buffer + self._begin(first), self.stride, self.sizes + first, max(0, end - first)
            )
            part._whole = self
            return part
        if not 0 <= index < self._count:
            raise IndexError(index)
        return bytes(ffi.buffer(self.buffer + self._begin(index), self.sizes[index]))

    def _begin(self, index: int) -> int:
        """Return where a datagram begins, or the end of all."""
        if self.stride:
            return index * self.stride
        sizes: list[int] = ffi.unpack(self.sizes, index)  # type: ignore[assignment]
        return sum(sizes)


def in_batches(datagrams: Sequence[bytes], most: int) -> Sequence[DatagramBatch]:
    """Return datagrams in batches of at most ``most``."""
    count = len(datagrams)
    if count <= most:
        return (to_batch(datagrams),)
    return [to_batch(datagrams[first : first + most]) for first in range(0, count, most)]


def to_batch(datagrams: Sequence[bytes]) -> DatagramBatch:
    """Return datagrams as a batch; those that are one already are not copied."""
    if isinstance(datagrams, DatagramBatch):
        return datagrams
    buffer = ffi.from_buffer("uint8_t[]", b"".join(datagrams))
    sizes = ffi.from_buffer("uint32_t[]", array("I", map(len, datagrams)))
    return DatagramBatch(buffer, 0, sizes, len(datagrams))

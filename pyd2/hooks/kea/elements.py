"""JSON values to and from the bridge's blocks (cbridge/kea/elements.h)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from pyd2.data.element import BigInteger, Element, Position
from pyd2.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = Struct("<I")
_HEAD = Struct("<cIII")
_INTEGER = Struct("<q")
_REAL = Struct("<d")

_INT64 = 1 << 63
_U32 = 0xFFFFFFFF


def encode(element: Element) -> bytes:
    """Return the block of a value."""
    files: dict[str, int] = {}
    parts: list[bytes] = []
    _encode(element, files, parts.append)
    return b"".join((_NUMBER.pack(len(files)), *map(_text, files), *parts))


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return _NUMBER.pack(len(data)) + data


def _encode(element: Element, files: dict[str, int], put: Callable[[bytes], None]) -> None:
    value, (file, line, column) = element.value, element.position

    def head(kind: bytes) -> bytes:
        return _HEAD.pack(kind, files.setdefault(file, len(files)), line & _U32, column & _U32)

    if value is None:
        put(head(b"n"))
    elif isinstance(value, bool):
        put(head(b"t" if value else b"f"))
    elif isinstance(value, int):
        if type(value) is BigInteger or not -_INT64 <= value < _INT64:
            put(head(b"g") + _text(str(int(value))))
        else:
            put(head(b"i") + _INTEGER.pack(value))
    elif isinstance(value, float):
        put(head(b"d") + _REAL.pack(value))
    elif isinstance(value, str):
        put(head(b"s") + _text(value))
    elif isinstance(value, list):
        put(head(b"l") + _NUMBER.pack(len(value)))
        for item in value:
            _encode(item, files, put)
    else:
        put(head(b"m") + _NUMBER.pack(len(value)))
        for name, item in value.items():
            put(_text(name))
            _encode(item, files, put)


def decode(block: bytes) -> Element:
    """Return the value of a block. Raises BridgeError when it is malformed."""
    try:
        return _Reader(block).read()
    except (LookupError, ValueError, OverflowError) as error:
        raise BridgeError(f"a value from the bridge cannot be read: {error}") from error


class _Reader:
    __slots__ = ("_at", "_block", "_files")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0
        self._files: list[str] = []

    def read(self) -> Element:
        self._files = [self._text() for _ in range(self._number())]
        return self._value()

    def _take(self, size: int) -> bytes:
        begin, self._at = self._at, self._at + size
        if self._at > len(self._block):
            raise ValueError("it ends too soon")
        return self._block[begin : self._at]

    def _number(self) -> int:
        number: int = _NUMBER.unpack(self._take(4))[0]
        return number

    def _text(self) -> str:
        return self._take(self._number()).decode("utf-8", "surrogateescape")

    def _value(self) -> Element:
        kind, file, line, column = _HEAD.unpack(self._take(_HEAD.size))
        position = Position(self._files[file], line, column)
        if kind == b"s":
            return Element(self._text(), position)
        if kind == b"i":
            return Element(_INTEGER.unpack(self._take(8))[0], position)
        if kind == b"m":
            return Element({self._text(): self._value() for _ in range(self._number())}, position)
        if kind == b"l":
            return Element([self._value() for _ in range(self._number())], position)
        if kind == b"d":
            return Element(_REAL.unpack(self._take(8))[0], position)
        if kind == b"g":
            return Element(BigInteger(self._text()), position)
        return Element({b"n": None, b"t": True, b"f": False}[kind], position)

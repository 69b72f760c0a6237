"""Domain names: text to wire and back, compression, reverse names (RFC 1035, sections 3.1 and 4.1.4).

A name on the wire is its labels, each behind its length, and the zero octet of the root. Lengths are
at most 63 and so never look like upper-case letters: ``wire.lower()`` folds the case of a whole name.
"""

from __future__ import annotations

from pyd2.errors import DomainNameError

MAX_NAME = 255
"""Octets of a name on the wire, the root's included."""
MAX_LABEL = 63
ROOT = b"\x00"

_MAX_POINTER = 0x3FFF
_POINTER_MARK = 0xC000
_BACKSLASH = 0x5C
_DOT = 0x2E
_LENGTHS = tuple(bytes((length,)) for length in range(MAX_LABEL + 1))

_ASSERTION = "name.cc:190 (ndata.size() < Name::MAX_WIRE) failed"

_SPECIAL = frozenset(b'"().;\\@$')
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet not in _SPECIAL)
_TEXTS = tuple(
    f"\\{octet:c}" if octet in _SPECIAL else f"{octet:c}" if 0x20 < octet < 0x7F else f"\\{octet:03d}"
    for octet in range(256)
)


def parse_name(text: str) -> bytes:
    r"""Return a name's uncompressed wire form; its case is kept, a final dot may be missing.

    Understands ``\X`` and ``\DDD``; octets above 127 stand for themselves. ``.`` and ``@`` are the root.
    Raises DomainNameError with Kea's reason (contract, section 3).
    """
    raw = text.encode("utf-8", "surrogateescape")
    bare = raw.removesuffix(b".")
    if _BACKSLASH not in raw and raw != b"@" and len(bare) + 2 <= MAX_NAME:
        lengths = [len(label) for label in bare.split(b".")]
        if min(lengths) > 0 and max(lengths) <= MAX_LABEL:
            return plain_name_wire(bare)
    return _parse_carefully(raw, text)


def plain_name_wire(text: bytes) -> bytes:
    """Return the wire form of a text without final dot, known to be a name and to have no escapes."""
    return b"".join([_LENGTHS[len(label)] + label for label in text.split(b".")]) + ROOT


def _parse_carefully(raw: bytes, text: str) -> bytes:
    """Parse a text that has escapes or is wrong. The leftmost of several faults is Kea's reason."""
    if raw in {b".", b"@"}:
        return ROOT
    if not raw:
        raise DomainNameError("incomplete textual name in <empty>")
    if raw[0] == _DOT:
        raise DomainNameError(f"non terminating empty label in {text}")
    wire = bytearray()
    begin = -1  # the offset of the length octet of the current label
    at = 0
    while at < len(raw):
        opening = begin < 0
        if opening:
            begin = len(wire)
            wire.append(0)
        octet = raw[at]
        if len(wire) >= MAX_NAME:
            # At the beginning of a label an assertion of Kea fails, and its text becomes the reason.
            assertion = opening and octet != _BACKSLASH
            raise DomainNameError(_ASSERTION if assertion else f"name is too long for termination in {text}")
        at += 1
        if octet == _DOT:
            if opening:
                raise DomainNameError(f"duplicate period in {text}")
            wire[begin] = len(wire) - begin - 1
            begin = -1
            continue
        if octet == _BACKSLASH:
            # A bit string label of RFC 2673, which RFC 6891 made obsolete.
            if opening and raw.startswith(b"[", at):
                raise DomainNameError(f"invalid label type in {text}")
            octet, at = _unescape(raw, at, text)
        if len(wire) - begin > MAX_LABEL:
            raise DomainNameError(f"label is too long in {text}")
        wire.append(octet)
    if begin >= 0:
        if len(wire) >= MAX_NAME:
            raise DomainNameError(f"name is too long for termination in {text}")
        wire[begin] = len(wire) - begin - 1
    return bytes(wire) + ROOT


def _unescape(raw: bytes, at: int, text: str) -> tuple[int, int]:
    """Return the octet of the escape whose backslash is before ``at``, and the offset behind the escape."""
    escape = raw[at : at + 3]
    if not escape:
        raise DomainNameError(f"incomplete textual name in {text}")
    if not escape[:1].isdigit():
        return escape[0], at + 1
    if not escape.isdigit():
        raise DomainNameError(f"mixture of escaped digit and non-digit in {text}")
    if len(escape) < 3:
        raise DomainNameError(f"incomplete textual name in {text}")
    if int(escape) > 255:
        raise DomainNameError(f"escaped decimal is too large in {text}")
    return int(escape), at + 3


def name_text(wire: bytes) -> str:
    r"""Return the text of an uncompressed name, final dot included, in Kea's spelling.

    The characters that zone files treat specially get a backslash, octets outside printable ASCII
    and the blank become ``\DDD``.
    """
    if wire == ROOT:
        return "."
    parts = []
    at = 0
    while length := wire[at]:
        label = wire[at + 1 : at + 1 + length]
        # The octets that are not plain need escapes; nearly every label has none.
        special = label.translate(None, _PLAIN)
        parts.append("".join([_TEXTS[octet] for octet in label]) if special else label.decode("ascii"))
        at += 1 + length
    parts.append("")
    return ".".join(parts)


def lower(wire: bytes) -> bytes:
    """Return the name with its ASCII letters in lower case: the form in which names compare."""
    return wire.lower()


class CompressionTable:
    """The names in a message that later names can point to (RFC 1035, section 4.1.4).

    Suffixes match ignoring case, so the earlier spelling wins; the longest match is used, and the
    root is never replaced by a pointer, all as Kea does it (contract, section 6).
    """

    __slots__ = ("_longest", "_pointers")

    def __init__(self, name: bytes, offset: int) -> None:
        """Begin with one uncompressed name at an offset of the message."""
        self._pointers: dict[bytes, bytes] = {}
        self._longest = len(ROOT)
        self.add(name, offset)

    def copy(self) -> CompressionTable:
        """Return a table of the same names that can grow on its own."""
        other = CompressionTable(ROOT, 0)
        other._pointers = dict(self._pointers)
        other._longest = self._longest
        return other

    def add(self, name: bytes, offset: int) -> None:
        """Add a name that was written at an offset, and those of its suffixes that are new."""
        folded = name.lower()
        at = 0
        while folded[at] and offset + at <= _MAX_POINTER:
            suffix = folded[at:]
            if suffix in self._pointers:
                return
            self._pointers[suffix] = (_POINTER_MARK | offset + at).to_bytes(2, "big")
            self._longest = max(self._longest, len(suffix))
            at += 1 + folded[at]

    def compress(self, name: bytes) -> bytes:
        """Return the name's octets for this message, the longest known suffix as a pointer."""
        folded = name.lower()
        at = 0
        # Longer than all that is known: no need to look it up. Reverse names of IPv6 have 24 such suffixes.
        last = len(folded) - self._longest
        while at < last:
            at += 1 + folded[at]
        while folded[at]:
            pointer = self._pointers.get(folded[at:])
            if pointer is not None:
                return name[:at] + pointer
            at += 1 + folded[at]
        return name


def reverse_name(address: bytes) -> str:
    """Return the name of the PTR record of a 4 or 16 byte address, with upper-case nibbles.

    RFC 1035, section 3.5, and RFC 3596, section 2.5; the case is Kea's (contract, section 4).
    """
    if len(address) == 4:
        return f"{address[3]}.{address[2]}.{address[1]}.{address[0]}.in-addr.arpa."
    return ".".join(address.hex().upper()[::-1]) + ".ip6.arpa."


def reverse_name_wire(address: bytes) -> bytes:
    """Return the wire form of reverse_name."""
    if len(address) == 4:
        return b"".join([_DECIMAL_LABELS[octet] for octet in reversed(address)]) + _IN_ADDR_ARPA
    return b"".join([_NIBBLE_LABELS[octet] for octet in reversed(address)]) + _IP6_ARPA


_DECIMAL_LABELS = tuple(_LENGTHS[len(str(octet))] + str(octet).encode() for octet in range(256))
_NIBBLE_LABELS = tuple(b"\x01%X\x01%X" % (octet & 15, octet >> 4) for octet in range(256))
_IN_ADDR_ARPA = parse_name("in-addr.arpa.")
_IP6_ARPA = parse_name("ip6.arpa.")

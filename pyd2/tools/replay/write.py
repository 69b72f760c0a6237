"""Writes requests as a capture, and moves the ends of their leases."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pyd2.capture.lines import request_line

if TYPE_CHECKING:
    from typing import BinaryIO

    from pyd2.tools.replay.source import Request

_EXPIRES: Final = re.compile(rb'("lease-expires-on"\s*:\s*")([0-9]{14})(")')
_FORM: Final = "%Y%m%d%H%M%S"
_RAW_IP: Final = 101
"""The link type of packets that begin with the IP header."""
_PORT: Final = 53001


def shifted(octets: bytes, seconds: float) -> bytes:
    """Return a request whose lease ends so much later; one without such a time is not changed."""
    if not seconds:
        return octets

    def later(match: re.Match[bytes]) -> bytes:
        try:
            moment = datetime.strptime(match[2].decode(), _FORM).replace(tzinfo=UTC)
            text = (moment + timedelta(seconds=round(seconds))).strftime(_FORM)
        except (ValueError, OverflowError):
            return match[0]
        return match[1] + text.encode() + match[3]

    return _EXPIRES.sub(later, octets)


class LineWriter:
    """Writes JSON lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, request: Request) -> None:
        """Write a request."""
        self._file.write(request_line(request.at or 0.0, request.datagram))


class PcapWriter:
    """Writes packets from 127.0.0.1 to its port 53001."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _RAW_IP))

    def add(self, request: Request) -> None:
        """Write a request."""
        udp = struct.pack("!4H", _PORT, _PORT, 8 + len(request.datagram), 0) + request.datagram
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + b"\x7f\0\0\x01" * 2
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~(total + (total >> 16)) & 0xFFFF
        packet = head[:10] + checksum.to_bytes(2, "big") + head[12:] + udp
        seconds, micro = divmod(round((request.at or 0.0) * 1e6), 1_000_000)
        self._file.write(struct.pack("<4I", seconds, micro, len(packet), len(packet)) + packet)

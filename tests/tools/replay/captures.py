"""Capture files, written by the drafts of the formats and not by pyd2."""

from __future__ import annotations

import struct
from fractions import Fraction
from ipaddress import ip_address
from typing import NamedTuple

ETHERNET, NULL, RAW, COOKED, COOKED2 = 1, 0, 101, 113, 276
REQUESTS = 53001


class Frame(NamedTuple):
    """A packet of a file."""

    octets: bytes
    at: float = 1_800_000_000.25
    missing: int = 0
    """Octets that were not captured."""


def udp(
    payload: bytes,
    port: int = REQUESTS,
    source: str = "192.0.2.1",
    to: str = "192.0.2.2",
    *,
    extensions: bytes = b"",
    fragment: int = 0,
) -> bytes:
    """Return an IP packet. ``extensions``: headers of IPv6 before UDP; ``fragment``: the field of IPv4."""
    datagram = struct.pack("!4H", 40000, port, 8 + len(payload), 0) + payload
    addresses = ip_address(source).packed + ip_address(to).packed
    if len(addresses) == 8:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 7, fragment, 64, 17, 0)
        return head + addresses + datagram
    following = 60 if extensions else 17
    return (
        struct.pack("!IHBB", 6 << 28, len(extensions) + len(datagram), following, 64)
        + addresses
        + extensions
        + datagram
    )


def framed(packet: bytes, link: int, tags: int = 0) -> bytes:
    """Return a packet in a frame of a link type, with VLAN tags."""
    ether = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    for tag in reversed(range(tags)):
        packet = struct.pack("!HH", 100 + tag, ether) + packet
        ether = 0x8100
    if link == ETHERNET:
        return bytes(12) + struct.pack("!H", ether) + packet
    if link == COOKED:
        return struct.pack("!HHH8sH", 0, 772, 6, bytes(8), ether) + packet
    if link == COOKED2:
        return struct.pack("!HHIHBB8s", ether, 0, 1, 772, 0, 6, bytes(8)) + packet
    if link == NULL:
        return struct.pack("<I", 2 if ether == 0x0800 else 30) + packet
    return packet


def pcap(frames: list[Frame], link: int = ETHERNET, order: str = "<", *, nanoseconds: bool = False) -> bytes:
    """Return a file of pcap."""
    magic, units = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    found = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for frame in frames:
        seconds, fraction = divmod(round(Fraction(frame.at) * units), units)
        size = len(frame.octets)
        found += struct.pack(f"{order}4I", seconds, fraction, size, size + frame.missing) + frame.octets
    return found


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a block of pcapng."""
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack(f"{order}2I", kind, length) + body + struct.pack(f"{order}I", length)


def option(code: int, value: bytes, order: str) -> bytes:
    """Return an option of pcapng."""
    return struct.pack(f"{order}2H", code, len(value)) + value + bytes(-len(value) % 4)


def pcapng(
    frames: list[Frame], link: int = ETHERNET, order: str = "<", resolution: int = 6, offset: int = 0
) -> bytes:
    """Return a file of pcapng; ``resolution`` is the power of ten, from 128 on of two."""
    found = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    options = option(2, b"lo", order) + option(9, bytes([resolution]), order)
    options += option(14, struct.pack(f"{order}q", offset), order) + option(0, b"", order)
    found += block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    for frame in frames:
        ticks = round((Fraction(frame.at) - offset) * units)
        size = len(frame.octets)
        head = struct.pack(f"{order}5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, size, size + frame.missing)
        found += block(5, b"statistics are left out", order)
        found += block(6, head + frame.octets, order)
    return found

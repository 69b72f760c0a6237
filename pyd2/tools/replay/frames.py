"""What a captured packet carries: a datagram of UDP over IPv4 or IPv6, or something else."""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.tools.replay.errors import CaptureError

if TYPE_CHECKING:
    from pyd2.tools.replay.pcap import Packet

_ETHERNET: Final = 1
_NULL: Final = 0
_LOOP: Final = 108
_RAW: Final = frozenset({12, 14, 101, 228, 229})
_COOKED: Final = 113
_COOKED2: Final = 276

_PLACES: Final = {_ETHERNET: (12, 14), _COOKED: (14, 16), _COOKED2: (0, 20)}
"""Where the EtherType is, and what it says the beginning of."""

_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
"""The EtherTypes of VLAN tags."""

_UDP: Final = 17
_FRAGMENT: Final = 44
_EXTENSIONS: Final = frozenset({0, 43, 60})
"""The headers of IPv6 that say themselves how long they are: hop by hop, routing, destination."""


class LeftOut(StrEnum):
    """Why a packet gives no datagram."""

    OTHER = "other packets"
    FRAGMENT = "fragments"
    CUT = "packets captured in part"


class Datagram(NamedTuple):
    """A datagram of UDP."""

    port: int
    """Where it went."""
    payload: bytes


def datagram_of(packet: Packet) -> Datagram | LeftOut:
    """Return what a packet carries. Raises CaptureError for a link type that is not known."""
    found = _network(packet)
    if found is None:
        return LeftOut.OTHER
    protocol, octets = found
    try:
        if protocol == _IPV4:
            return _ipv4(octets)
        if protocol == _IPV6:
            return _ipv6(octets)
    except (struct.error, IndexError):
        return LeftOut.OTHER if packet.whole else LeftOut.CUT
    return LeftOut.OTHER


def _network(packet: Packet) -> tuple[int, bytes] | None:
    """Return EtherType and octets of the network layer; None if the packet is too short for them."""
    link, octets = packet.link, packet.octets
    if link in _PLACES:
        place, at = _PLACES[link]
        found = int.from_bytes(octets[place : place + 2], "big")
        while found in _TAGS:
            found = int.from_bytes(octets[at + 2 : at + 4], "big")
            at += 4
        return found, octets[at:]
    if link in {_NULL, _LOOP}:
        octets = octets[4:]
    elif link not in _RAW:
        raise CaptureError(
            f"octet {packet.place}: link type {link} is not known; capture on an Ethernet or "
            "loopback interface, or with 'tcpdump -i any'"
        )
    version = octets[0] >> 4 if octets else 0
    protocol = {4: _IPV4, 6: _IPV6}.get(version)
    return None if protocol is None else (protocol, octets)


def _ipv4(octets: bytes) -> Datagram | LeftOut:
    length, _, fragment, _, protocol = struct.unpack_from("!HHHBB", octets, 2)
    head = 4 * (octets[0] & 0x0F)
    if protocol != _UDP or head < 20 or octets[0] >> 4 != 4:
        return LeftOut.OTHER
    if fragment & 0x3FFF:  # more of them follow, or this one is not the first
        return LeftOut.FRAGMENT
    return _udp(octets[head : length or None])


def _ipv6(octets: bytes) -> Datagram | LeftOut:
    length, protocol = struct.unpack_from("!HB", octets, 4)
    octets = octets[40 : 40 + length]
    while protocol in _EXTENSIONS:
        protocol, octets = octets[0], octets[8 * (octets[1] + 1) :]
    if protocol == _FRAGMENT:
        protocol = octets[0]
        if int.from_bytes(octets[2:4], "big") & 0xFFF9:
            return LeftOut.FRAGMENT if protocol == _UDP else LeftOut.OTHER
        octets = octets[8:]
    return _udp(octets) if protocol == _UDP else LeftOut.OTHER


def _udp(octets: bytes) -> Datagram | LeftOut:
    port, length = struct.unpack_from("!HH", octets, 2)
    if length < 8:
        return LeftOut.OTHER
    if length > len(octets):
        return LeftOut.CUT
    return Datagram(port, octets[8:length])

"""``pyd2ctl send``: send requests to a daemon, from options or from a file."""

from __future__ import annotations

import argparse
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.ncr import ChangeType, ConflictResolutionMode
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.requests import Identifier, Sender, datagram, dhcid, encode, request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ETHERNET = b"\x01"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl send``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the client's domain name")
    parser.add_argument("address", nargs="?", metavar="ADDRESS", help="its IPv4 or IPv6 address")
    parser.add_argument("--to", type=Endpoint.parse, default=Endpoint("127.0.0.1", 53001),
                        metavar="ADDRESS:PORT", help="the daemon (default: 127.0.0.1:53001)")
    parser.add_argument("--remove", action="store_true", help="remove the entries; default: add them")
    add_client_arguments(parser)
    parser.add_argument("--no-forward", action="store_true", help="leave A and AAAA alone")
    parser.add_argument("--no-reverse", action="store_true", help="leave PTR alone")
    parser.add_argument("--mode", choices=[str(mode) for mode in ConflictResolutionMode],
                        default=str(ConflictResolutionMode.CHECK_WITH_DHCID),
                        help="the conflict resolution mode (default: check-with-dhcid)")
    parser.add_argument("--ttl", type=int, default=3600, metavar="SECONDS", help="default: 3600")
    parser.add_argument("--file", metavar="FILE",
                        help="send each line of FILE (-: standard input) as it stands, as one request")
    parser.add_argument("--rate", type=_rate, metavar="N", help="with --file: at most N requests a second")


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say who the client is."""
    client = parser.add_mutually_exclusive_group()
    client.add_argument("--mac", metavar="ADDRESS", help="the client's Ethernet address")
    client.add_argument("--client-id", type=_octets, metavar="HEX", help="its DHCPv4 client identifier")
    client.add_argument("--duid", type=_octets, metavar="HEX", help="its DUID")
    client.add_argument("--dhcid", type=_octets, metavar="HEX", help="the DHCID itself")


def client_dhcid(arguments: argparse.Namespace) -> str | None:
    """Return the DHCID that the client options ask for, in hex; None without any.

    Raises ValueError when the MAC address or the name is malformed.
    """
    if arguments.dhcid is not None:
        return str(arguments.dhcid.hex().upper())
    if arguments.duid is not None:
        return dhcid(Identifier.DUID, arguments.duid, arguments.name)
    if arguments.client_id is not None:
        return dhcid(Identifier.CLIENT_ID, arguments.client_id, arguments.name)
    if arguments.mac is not None:
        address = bytes.fromhex(arguments.mac.replace(":", "").replace("-", ""))
        return dhcid(Identifier.HARDWARE_ADDRESS, _ETHERNET + address, arguments.name)
    return None


def run(arguments: argparse.Namespace) -> int:
    """Send; exit status 1 when something could not be sent."""
    try:
        payloads = _from_file(arguments.file) if arguments.file else [_from_options(arguments)]
        with Sender(arguments.to) as sender:
            sent = _send(sender, payloads, arguments.rate)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        print(f"pyd2ctl send: {reason}", file=sys.stderr)
        return 1
    print(f"sent {sent} request{'' if sent == 1 else 's'} to {arguments.to}; "
          "what became of them stands in the daemon's log and statistics")
    return 0


def _from_options(arguments: argparse.Namespace) -> bytes:
    if arguments.name is None or arguments.address is None:
        raise ValueError("needs a NAME and an ADDRESS, or --file")
    client = client_dhcid(arguments)
    if client is None:
        raise ValueError("needs the client: one of --mac, --client-id, --duid and --dhcid")
    return encode(request(
        ChangeType.REMOVE if arguments.remove else ChangeType.ADD,
        arguments.name,
        str(ip_address(arguments.address)),
        client,
        forward=not arguments.no_forward,
        reverse=not arguments.no_reverse,
        mode=ConflictResolutionMode(arguments.mode),
        ttl=arguments.ttl,
    ))


def _from_file(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from _from_lines(sys.stdin.buffer)
    else:
        with Path(name).open("rb") as file:
            yield from _from_lines(file)


def _from_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (datagram(line.rstrip(b"\r\n")) for line in lines if line.strip())


def _send(sender: Sender, payloads: Iterable[bytes], rate: float | None) -> int:
    """Send all and return how many. The nth waits until n/rate seconds after the first."""
    start = time.monotonic()
    sent = 0
    for payload in payloads:
        if rate is not None:
            time.sleep(max(0.0, start + sent / rate - time.monotonic()))
        sender.send(payload)
        sent += 1
    return sent


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return rate


def _octets(text: str) -> bytes:
    try:
        octets = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not hex: {text}") from None
    if not octets:
        raise argparse.ArgumentTypeError("empty")
    return octets

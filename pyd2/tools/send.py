"""``pyd2ctl send``: send requests to a daemon, from options or from a file."""

from __future__ import annotations

import argparse
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.data.counted import counted
from pyd2.ncr import ChangeType, ConflictResolutionMode
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.progress import Progress
from pyd2.tools.requests import Identifier, Sender, datagram, dhcid, encode, request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ETHERNET = b"\x01"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl send``."""
    add_request_arguments(parser, nargs="?")
    parser.add_argument("--to", type=Endpoint.parse, default=Endpoint("127.0.0.1", 53001),
                        metavar="ADDRESS:PORT", help="the daemon (default: 127.0.0.1:53001)")
    parser.add_argument("--file", metavar="FILE",
                        help="send each line of FILE (-: standard input) unchanged, as one request")
    parser.add_argument("--rate", type=_rate, metavar="N", help="with --file: at most N requests a second")


def add_request_arguments(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Declare what describes one request; ``nargs`` is that of its name and its address."""
    parser.add_argument("name", nargs=nargs, type=_name, metavar="NAME", help="the client's domain name")
    parser.add_argument("address", nargs=nargs, type=_address, metavar="ADDRESS",
                        help="its IPv4 or IPv6 address")
    parser.add_argument("--remove", action="store_true", help="the lease ends; default: it begins")
    parser.add_argument("--no-forward", action="store_true", help="do not change A and AAAA")
    parser.add_argument("--no-reverse", action="store_true", help="do not change the PTR")
    parser.add_argument("--mode", choices=[str(mode) for mode in ConflictResolutionMode],
                        default=str(ConflictResolutionMode.CHECK_WITH_DHCID),
                        help="the conflict resolution mode (default: check-with-dhcid)")
    parser.add_argument("--ttl", type=_ttl, default=3600, metavar="SECONDS",
                        help="the lease's length (default: 3600)")
    client = parser.add_mutually_exclusive_group()
    client.add_argument("--mac", type=_mac, metavar="ADDRESS", help="the client's Ethernet address")
    client.add_argument("--client-id", type=_octets, metavar="HEX", help="its DHCPv4 client identifier")
    client.add_argument("--duid", type=_octets, metavar="HEX", help="its DUID")
    client.add_argument("--dhcid", type=_octets, metavar="HEX", help="the DHCID itself")


def client_dhcid(arguments: argparse.Namespace) -> str | None:
    """Return the DHCID that the client options ask for, in hex; None without any.

    Raises ValueError when the name is malformed.
    """
    if arguments.dhcid is not None:
        return str(arguments.dhcid.hex().upper())
    if arguments.duid is not None:
        return dhcid(Identifier.DUID, arguments.duid, arguments.name)
    if arguments.client_id is not None:
        return dhcid(Identifier.CLIENT_ID, arguments.client_id, arguments.name)
    if arguments.mac is not None:
        return dhcid(Identifier.HARDWARE_ADDRESS, _ETHERNET + arguments.mac, arguments.name)
    return None


def request_datagram(arguments: argparse.Namespace, client: str) -> bytes:
    """Return the request that the options describe; ``client`` is its DHCID in hex.

    Raises ValueError when it asks for nothing.
    """
    if arguments.no_forward and arguments.no_reverse:
        raise ValueError("--no-forward and --no-reverse together leave nothing to do")
    return encode(request(
        ChangeType.REMOVE if arguments.remove else ChangeType.ADD,
        arguments.name,
        arguments.address,
        client,
        forward=not arguments.no_forward,
        reverse=not arguments.no_reverse,
        mode=ConflictResolutionMode(arguments.mode),
        ttl=arguments.ttl,
    ))


def run(arguments: argparse.Namespace) -> int:
    """Send; exit status 1 when something could not be sent."""
    try:
        payloads = [_from_options(arguments)] if arguments.file is None else _from_file(arguments)
        with Sender(arguments.to) as sender, Progress("sending") as progress:
            sent = _send(sender, payloads, arguments.rate, progress)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        print(f"pyd2ctl send: {place}{reason}", file=sys.stderr)
        return 1
    print(f"sent {counted(sent, 'request')} to {arguments.to}; "
          "see the daemon's log and statistics for the outcome")
    return 0


def _from_options(arguments: argparse.Namespace) -> bytes:
    if arguments.name is None or arguments.address is None:
        raise ValueError("needs a NAME and an ADDRESS, or --file")
    client = client_dhcid(arguments)
    if client is None:
        raise ValueError("needs the client: one of --mac, --client-id, --duid and --dhcid")
    return request_datagram(arguments, client)


def _from_file(arguments: argparse.Namespace) -> Iterator[bytes]:
    if arguments.name is not None:
        raise ValueError("needs a NAME and an ADDRESS, or --file, not both")
    if arguments.file == "-":
        yield from _from_lines(sys.stdin.buffer)
    else:
        with Path(arguments.file).open("rb") as file:
            yield from _from_lines(file)


def _from_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (datagram(line.rstrip(b"\r\n")) for line in lines if line.strip())


def _send(sender: Sender, payloads: Iterable[bytes], rate: float | None, progress: Progress) -> int:
    """Send all and return how many. The nth waits until n/rate seconds after the first."""
    start = time.monotonic()
    sent = 0
    for payload in payloads:
        if rate is not None:
            time.sleep(max(0.0, start + sent / rate - time.monotonic()))
        sender.send(payload)
        progress.done = sent = sent + 1
    return sent


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return rate


def _name(text: str) -> str:
    if not text.isascii():
        raise argparse.ArgumentTypeError(f"not ASCII: {text}; such a name is xn--... in the DNS")
    return text


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an IP address: {text}") from None


def _ttl(text: str) -> int:
    ttl = int(text)
    if not 0 <= ttl < 1 << 32:
        raise argparse.ArgumentTypeError(f"not from 0 to 4294967295: {text}")
    return ttl


def _mac(text: str) -> bytes:
    octets = _octets(text)
    if len(octets) != 6:
        raise argparse.ArgumentTypeError(f"not six octets: {text}")
    return octets


def _octets(text: str) -> bytes:
    try:
        octets = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not hex: {text}") from None
    if not octets:
        raise argparse.ArgumentTypeError("empty")
    return octets

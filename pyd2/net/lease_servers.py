"""Asks DHCP servers whether two clients are one host, for the policy ``dual-stack`` ``same-host``.

A DHCPv4 and a DHCPv6 client are one host if their leases have the same hardware address, or if the DUID has
the address of the other lease in it. Which leases are theirs, the DHCIDs say. The servers need Kea's hook
library ``libdhcp_lease_cmds.so``.
"""

from __future__ import annotations

from binascii import unhexlify
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from pyd2.command_client import EMPTY, SUCCESS, ask_unix, read_command_answer
from pyd2.dns.dhcid import CLIENT_ID, DUID, make_dhcid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.command_client import CommandAnswer
    from pyd2.config.policy import PolicySwitches

TIMEOUT: Final = 1.0
"""Seconds without progress after which a server is given up."""
DEADLINE: Final = 3.0
"""Seconds for a whole answer: no command is carried out meanwhile."""
_LONGEST: Final = 1 << 20
"""Octets of an answer."""
_ETHERNET: Final = b"\x01"
_LLT, _LL = b"\0\1", b"\0\3"
"""How DUIDs begin that hold a hardware address (RFC 8415, section 11)."""
_LLT_HEAD, _LL_HEAD = 8, 4
_HARDWARE: Final = 0

Lease = dict[str, Any]


def what_differs(policy: PolicySwitches, name: bytes, text: str, dhcids: tuple[bytes, bytes]) -> str:
    """Return how the leases of two clients with one name show that they are not one host; empty: they are.

    ``name`` is on the wire in lower case, ``text`` the same as text; ``dhcids`` are those of the client of
    DHCPv4 and of that of DHCPv6. Raises OSError or ValueError if a server gives no usable answer.
    """
    lease4 = _find(_leases(policy.dhcp4_socket, 4, text), name, dhcids[0])
    if lease4 is None:
        return f"the DHCPv4 server has no lease of the client with the name {text}"
    lease6 = _find(_leases(policy.dhcp6_socket, 6, text), name, dhcids[1])
    if lease6 is None:
        return f"the DHCPv6 server has no lease of the client with the name {text}"
    own = _octets(lease4, "hw-address")
    others = {_octets(lease6, "hw-address"), _address_in(_octets(lease6, "duid"))} - {b""}
    if own and own in others:
        return ""
    shown = " and ".join(sorted(other.hex(":") for other in others)) or "none"
    mine = own.hex(":") or "none"
    return (f"the DHCPv4 lease of {lease4.get('ip-address')} has the hardware address {mine}, "
            f"the DHCPv6 lease of {lease6.get('ip-address')} has {shown}")


def _find(leases: Iterator[Lease], name: bytes, dhcid: bytes) -> Lease | None:
    """Return the lease of the client with a DHCID."""
    for lease in leases:
        for kind, identifier in _identifiers(lease):
            with suppress(ValueError):
                if make_dhcid(kind, identifier, name) == dhcid:
                    return lease
    return None


def _identifiers(lease: Lease) -> Iterator[tuple[int, bytes]]:
    yield DUID, _octets(lease, "duid")
    yield CLIENT_ID, _octets(lease, "client-id")
    if not lease.get("client-id") and not lease.get("duid"):
        yield _HARDWARE, _ETHERNET + _octets(lease, "hw-address")


def _octets(lease: Lease, key: str) -> bytes:
    text = lease.get(key)
    if not isinstance(text, str):
        return b""
    try:
        return unhexlify(text.replace(":", ""))
    except ValueError:
        return b""


def _address_in(duid: bytes) -> bytes:
    """Return the hardware address in a DUID; empty: it has none."""
    if duid[:2] == _LLT:
        return duid[_LLT_HEAD:]
    return duid[_LL_HEAD:] if duid[:2] == _LL else b""


def _leases(path: str, family: int, text: str) -> Iterator[Lease]:
    """Return the leases with a hostname, with and without the final dot: as the server has got it."""
    bare = text.lower().removesuffix(".")
    for hostname in (bare, f"{bare}."):
        command = {"command": f"lease{family}-get-by-hostname", "arguments": {"hostname": hostname}}
        answer = _ask(path, command)
        if answer.result not in {SUCCESS, EMPTY}:
            raise ValueError(f"the server at {path} answers to {command['command']}: {answer.text}")
        yield from (lease for lease in answer.arguments.get("leases", ()) if isinstance(lease, dict))


def _ask(path: str, command: dict[str, Any]) -> CommandAnswer:
    """Return the answer of a server. Raises OSError or ValueError with the socket's path."""
    try:
        return read_command_answer(ask_unix(path, orjson.dumps(command), TIMEOUT, _LONGEST, DEADLINE))
    except OSError as error:
        raise OSError(f"no answer from the server at {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"no usable answer from the server at {path}: {error}") from error

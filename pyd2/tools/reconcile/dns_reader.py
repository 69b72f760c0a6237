"""Reads records from DNS servers: whole zones by transfer (RFC 5936), and single names by queries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from pyd2.dns.constants import RRType
from pyd2.dns.names import lower, name_text, reverse_name_wire
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.records import KEPT, NOT_DATA, Node, Records, type_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyd2.tools.reconcile.d2_config import Server, Zone
    from pyd2.tools.reconcile.lease import Lease

_TIMEOUT: Final = 5.0
"""Seconds without an answer."""
_TRIES: Final = 3
_NOT_ALLOWED: Final = frozenset({Rcode.REFUSED, Rcode.NOTAUTH, Rcode.NOTIMP})
"""How servers refuse a transfer that they do not permit."""
_HALF: Final = 1 << 31
_EVERY: Final = 10_000
"""Records between two notes of progress."""


class NotAllowedError(Exception):
    """A server does not permit zone transfers; the text is its RCODE."""


class Pace:
    """Lets something happen at most so many times a second."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._step = 1 / rate
        self._clock, self._sleep = clock, sleep
        self._next = clock()

    def wait(self) -> None:
        """Return when the next one may happen."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + self._step


class DnsReader:
    """Asks the servers of zones."""

    def __init__(self, rate: float, progress: Callable[[str], None]) -> None:
        """``rate`` is the most queries a second; zone transfers are not paced."""
        self._pace = Pace(rate)
        self._progress = progress
        self._chosen: dict[bytes, Server] = {}

    def transfer(self, zone: Zone, records: Records) -> None:
        """Read a whole zone. Raises NotAllowedError, and ReconcileError for all else.

        Servers that permit transfers by address may refuse those that are signed, so both are tried.
        """
        serial = self._serial(zone)
        server = self._chosen[zone.name]
        try:
            self._transfer(zone, records, server, serial)
        except NotAllowedError:
            if server.key is None:
                raise
            self._transfer(zone, records, server._replace(key=None), serial)

    def _transfer(self, zone: Zone, records: Records, server: Server, serial: int) -> None:
        count = 0
        transferred = None
        try:
            for message in dns.query.xfr(server.endpoint.address, dns.name.from_wire(zone.name, 0)[0],
                                         port=server.endpoint.port, timeout=_TIMEOUT, lifetime=None,
                                         relativize=False, **_signing(server)):
                for rrset in message.answer:
                    if transferred is None:
                        transferred = rrset[0].serial
                    count += len(rrset)
                    if count // _EVERY > (count - len(rrset)) // _EVERY:
                        self._progress(f"{zone.text}: {count} records")
                    _take(records, zone, rrset)
        except dns.query.TransferError as error:
            if error.rcode in _NOT_ALLOWED:
                raise NotAllowedError(dns.rcode.to_text(error.rcode)) from None
            raise ReconcileError(f"{zone.text}: {server.endpoint}: zone transfer: {error}") from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise ReconcileError(f"{zone.text}: {server.endpoint}: zone transfer: {_reason(error)}") from None
        if transferred is None or (transferred - serial) % (1 << 32) >= _HALF:
            raise ReconcileError(f"{zone.text}: {server.endpoint}: the zone transfer has the serial "
                                 f"{transferred}, which is older than {serial}, with which it answers")
        records.complete.add(zone.name)

    def server(self, zone: Zone) -> Server:
        """Return the server of a zone that is asked. Raises ReconcileError if none answers."""
        if zone.name not in self._chosen:
            self._serial(zone)
        return self._chosen[zone.name]

    def look_up(self, zone: Zone, name: bytes, types: Iterable[int]) -> Node:
        """Return the present records of a name, of these types. Raises ReconcileError."""
        server = self.server(zone)
        node = Node(name)
        for rdtype in types:
            self._pace.wait()
            response = self._ask(server, zone, name, rdtype)
            for rrset in response.answer:
                if lower(rrset.name.to_wire() or b"") == name:
                    node.owner = rrset.name.to_wire() or name
                    node.add(rrset.rdtype, rrset.ttl, (rdata.to_wire() or b"" for rdata in rrset))
        return node

    def types_of(self, zone: Zone, name: bytes) -> set[int]:
        """Return which types of records a name has, as far as the server says it. Raises ReconcileError.

        It is asked over TCP: many servers give only a part over UDP. One that never tells is no reason to
        fail.
        """
        server = self.server(zone)
        self._pace.wait()
        try:
            response = self._ask(server, zone, name, RdataType.ANY, tcp=True)
        except ReconcileError:
            return set()
        return {int(rrset.rdtype) for rrset in response.answer} - NOT_DATA

    def look_up_all(self, leases: Iterable[Lease], records: Records) -> None:
        """Read the records of all names and addresses of leases in zones that were not transferred."""
        for lease in leases:
            rdtype = RRType.A if len(lease.address) == 4 else RRType.AAAA
            wanted = [(lease.name, (rdtype, RRType.DHCID))] if lease.forward else []
            if lease.reverse:
                wanted.append((lower(reverse_name_wire(lease.address)), (RRType.PTR, RRType.DHCID)))
            for name, types in wanted:
                zone = records.zone_of(name)
                if zone is None or zone.name in records.complete:
                    continue
                asked = records.nodes.setdefault(name, Node(name))
                found = self.look_up(zone, name, [one for one in types if one not in asked.rrsets])
                asked.owner = found.owner
                asked.rrsets.update(found.rrsets)
                if len(records.nodes) % _EVERY == 0:
                    self._progress(f"{len(records.nodes)} names asked for")

    def _serial(self, zone: Zone) -> int:
        """Choose the first server of a zone that answers for it; return the serial that it has."""
        failures = []
        for server in zone.servers:
            try:
                response = self._ask(server, zone, zone.name, RdataType.SOA)
            except ReconcileError as error:
                failures.append(str(error))
                continue
            for rrset in response.answer:
                if rrset.rdtype == RdataType.SOA:
                    self._chosen[zone.name] = server
                    return int(rrset[0].serial)
            failures.append(f"{zone.text}: {server.endpoint}: it does not have the zone")
        raise ReconcileError("; ".join(failures))

    def _ask(self, server: Server, zone: Zone, name: bytes, rdtype: int, *,
             tcp: bool = False) -> dns.message.Message:
        """Return the authoritative answer to a query. Raises ReconcileError."""
        place = f"{zone.text}: {server.endpoint}: {name_text(name)} {type_text(rdtype)}"
        query = dns.message.make_query(dns.name.from_wire(name, 0)[0], RdataType.make(rdtype), flags=0)
        if server.key is not None:
            query.use_tsig(server.key)
        for left in reversed(range(_TRIES)):
            try:
                address, port = server.endpoint.address, server.endpoint.port
                if tcp:
                    response = dns.query.tcp(query, address, _TIMEOUT / _TRIES, port)
                else:
                    response, _ = dns.query.udp_with_fallback(query, address, _TIMEOUT / _TRIES, port)
                break
            except dns.exception.Timeout:
                if not left:
                    raise ReconcileError(f"{place}: no answer") from None
            except (dns.exception.DNSException, OSError, EOFError) as error:
                raise ReconcileError(f"{place}: {_reason(error)}") from None
        if response.rcode() not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
            raise ReconcileError(f"{place}: {dns.rcode.to_text(response.rcode())}")
        if not response.flags & dns.flags.AA:
            raise ReconcileError(f"{place}: the server is not authoritative for it")
        return response


def _signing(server: Server) -> dict[str, Any]:
    """Return the arguments by which dnspython signs a transfer."""
    if server.key is None:
        return {}
    return {"keyring": {server.key.name: server.key}, "keyname": server.key.name,
            "keyalgorithm": server.key.algorithm}


def _take(records: Records, zone: Zone, rrset: dns.rrset.RRset) -> None:
    """Put the records of a transfer to their names, unless they belong to another zone."""
    rdtype = int(rrset.rdtype)
    if rdtype in NOT_DATA:
        return
    owner = rrset.name.to_wire() or b""
    name = lower(owner)
    if records.zone_of(name) is not zone:
        return
    node = records.nodes.get(name)
    if node is None:
        node = records.nodes[name] = Node(owner)
    data = [rdata.to_wire() or b"" for rdata in rrset] if rdtype in KEPT else ()
    node.add(rdtype, rrset.ttl, data)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__

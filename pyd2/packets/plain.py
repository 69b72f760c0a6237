"""The packet layer in Python: the reference, and what an installation without a C compiler gets."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from pyd2 import ncr
from pyd2.data.zone import NO_INTERFACES
from pyd2.dns import reply, update
from pyd2.dns.batch import BatchPart, encode_batch
from pyd2.dns.names import reverse_name_wire
from pyd2.dns.tsig import HmacKey
from pyd2.dns.update import Zone
from pyd2.errors import NcrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.data.zone import Interfaces
    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.dns.update import UpdateTemplate
    from pyd2.ncr import NameChangeRequest
    from pyd2.packets.layer import DomainNumbers, EndedTally, Index, Request


class PlainLayer:
    """See PacketLayer."""

    name = "plain"
    problem = ""
    interfaces: Interfaces = NO_INTERFACES
    read_at = 0.0

    def decode(self, datagram: bytes) -> NameChangeRequest:
        """Return the request that a datagram holds."""
        return ncr.decode(datagram, self.interfaces)

    def read_requests(
        self, datagrams: Sequence[bytes], _index: Index, numbers: Sequence[int] = ()
    ) -> Sequence[Request | NcrError]:
        """Return for each datagram the request that it holds, or why there is none."""
        return [self._read(*each) for each in zip(datagrams, numbers or repeat(0), strict=False)]

    def _read(self, datagram: bytes, number: int) -> NameChangeRequest | NcrError:
        try:
            request = self.decode(datagram)
        except NcrError as error:
            return error
        request.number, request.read_at = number, self.read_at
        return request

    def new_tally(self, _bounds: Sequence[float]) -> EndedTally | None:
        """Return None: there is nothing to count together."""
        return None

    def make_index(self, _domains: DomainNumbers) -> Index:
        """Return None: matching is left to Python."""
        return None

    def match(self, request: Request, _index: Index) -> Request:
        """Return the request: it does not say its domains."""
        return request

    def zone(self, name: str) -> Zone:
        """Return a prepared zone."""
        return Zone(name)

    def key(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> HmacKey:
        """Return a prepared key."""
        return HmacKey(name, algorithm, secret, digest_bits)

    def prepare_key(self, key: SigningKey) -> SigningKey:
        """Return the key: there is nothing to prepare."""
        return key

    def encode_update(
        self, template: UpdateTemplate, zone: Zone, owner: bytes, target: bytes, address: bytes, dhcid: bytes,
        ttl: int,
    ) -> bytes:
        """Return an UPDATE message with query ID 0 and without TSIG."""
        owner = owner or reverse_name_wire(address)
        return update.encode_update(template, zone, owner, target, address, dhcid, ttl)

    def encode_batch(
        self, zone: Zone, updates: Sequence[tuple[UpdateTemplate, Request]], *, forward: bool
    ) -> bytes:
        """Return an UPDATE message with the changes of several requests, with query ID 0 and without TSIG."""
        parts = []
        for template, request in updates:
            fqdn, address = request.fqdn_wire, request.address
            owner = fqdn if forward else reverse_name_wire(address)
            parts.append(BatchPart(template, owner, fqdn, address, request.dhcid, request.lease_length))
        return encode_batch(zone, parts)

    def read_reply(self, datagram: bytes, context: SigningContext | None, wall: int) -> int:
        """Return the response code of a server's reply."""
        return reply.read_reply(datagram, context, wall)

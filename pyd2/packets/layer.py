"""The interface of a packet layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.counters import Histogram
    from pyd2.data.zone import Interfaces
    from pyd2.dns.tsig import HmacKey, SigningContext, SigningKey
    from pyd2.dns.update import UpdateTemplate, Zone
    from pyd2.errors import NcrError
    from pyd2.ncr import NameChangeRequest
    from pyd2.packets.packed import PackedRequest

Request: TypeAlias = "NameChangeRequest | PackedRequest"
Index: TypeAlias = "object | None"
"""The domains of a configuration as a layer wants them; None: it leaves matching to Python."""


class DomainNumbers(NamedTuple):
    """The domains of a configuration by what they match, each as a number from 1 on; 0 stands for none."""

    names: Mapping[str, int]
    """Forward domains, by name in lower case with its final dot."""
    octets: Mapping[bytes, int]
    """Reverse domains, by what their IPv4 addresses begin with."""
    nibbles: Mapping[str, int]
    """Reverse domains, by what their IPv6 addresses begin with, in hexadecimal."""
    forward_wildcard: int
    reverse_wildcard: int


class EndedTally(Protocol):
    """Counts requests that have ended, many in each call. Its counts by domain change with the plan."""

    def new_counts(self, domains: int) -> object:
        """Return counts for domains with numbers below this; another thread may make them."""

    def use(self, counts: object) -> None:
        """Count in these from now on."""

    def read(self, counts: object) -> list[int]:
        """Return counts by the numbers of the domains."""

    def read_seconds(self) -> Histogram:
        """Return the seconds from reading to the end."""

    def add(self, requests: Sequence[Request], now: float) -> None:
        """Count packed requests, each by its forward domain, or by the reverse one if it has no other."""


class PacketLayer(Protocol):
    """What the engine needs of packets. A layer serves one thread: it works in buffers of its own.

    Not so ``zone``, ``key`` and ``make_index``: another thread may prepare a configuration.
    """

    name: str
    """``plain`` or ``compiled``."""
    problem: str
    """Why the layer signs in Python though it is compiled; empty: it does not."""
    interfaces: Interfaces
    """Those that an address of a request may name; there are none at first."""
    read_at: float
    """The monotonic seconds that ``read_requests`` notes in requests; 0: it notes nothing."""

    def decode(self, datagram: bytes) -> NameChangeRequest:
        """Return the request that a datagram holds; raises NcrError. See pyd2.ncr.decode."""

    def read_requests(
        self, datagrams: Sequence[bytes], index: Index, numbers: Sequence[int] = ()
    ) -> Sequence[Request | NcrError]:
        """Return for each datagram the request that it holds, or why there is none.

        If many take long to read, it does so for the first ones only, at least one: the others are to be
        given again, in a later turn of the loop. ``index`` is what make_index returned for the configuration
        in force. ``numbers`` are those of the durable queue, one for each; without them all have 0.
        """

    def new_tally(self, bounds: Sequence[float]) -> EndedTally | None:
        """Return a tally with these bounds of seconds; None: requests are counted in Python."""

    def make_index(self, domains: DomainNumbers) -> Index:
        """Return the domains of a configuration as ``match`` and ``read_requests`` want them."""

    def match(self, request: Request, index: Index) -> Request:
        """Return a request again whose domains are those of the configuration in force, if it says any."""

    def zone(self, name: str) -> Zone:
        """Return a zone prepared for encode_update; raises DomainNameError."""

    def key(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> HmacKey:
        """Return a key prepared for signing; its arguments and errors are HmacKey's."""

    def prepare_key(self, key: SigningKey) -> SigningKey:
        """Return a key that signs like the given one, a library's: prepared if it is a shared secret."""

    def encode_update(
        self, template: UpdateTemplate, zone: Zone, owner: bytes, target: bytes, address: bytes, dhcid: bytes,
        ttl: int,
    ) -> bytes:
        """Return an UPDATE message with query ID 0 and without TSIG; raises NcrError.

        ``owner`` is empty for the reverse name of the address. For all else see
        pyd2.dns.update.encode_update.
        """

    def encode_batch(
        self, zone: Zone, updates: Sequence[tuple[UpdateTemplate, Request]], *, forward: bool
    ) -> bytes:
        """Return an UPDATE message with the changes of several requests, with query ID 0 and without TSIG.

        ``forward``: their owners are the FQDNs; else the reverse names of the addresses. They must differ,
        ignoring case. Raises NcrError. See pyd2.dns.batch.encode_batch.
        """

    def read_reply(self, datagram: bytes, context: SigningContext | None, wall: int) -> int:
        """Return the response code of a server's reply; raises ReplyError. See pyd2.dns.reply.read_reply."""

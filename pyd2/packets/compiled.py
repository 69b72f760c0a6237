"""The packet layer over the C codec in ``cbridge/wire``.

The C codec does what is common. What it declines, right or wrong, goes to the plain layer, which says exactly
what is wrong with it, if anything is: only the plain layer refuses.
"""

from __future__ import annotations

from array import array
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from pyd2.dns.tsig import ALGORITHMS, HmacContext, HmacKey, is_shared_secret, short_name
from pyd2.dns.update import MAX_MESSAGE, Data, Zone
from pyd2.errors import NcrError
from pyd2.interpreter import GIVE_WAY_AFTER, give_way
from pyd2.ncr import MOST_VALUES, has_too_many_commas
from pyd2.packets.batch import DatagramBatch, in_batches
from pyd2.packets.packed import PackedRequest
from pyd2.packets.plain import PlainLayer
from pyd2.packets.wire import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.dns.update import UpdateTemplate
    from pyd2.packets.layer import DomainNumbers, EndedTally, Index, Request

OUTPUT_SIZE: Final = 2048
"""Octets of the longest message that is written in C."""

SLOW_READS: Final = 32
"""What one call reads in Python, in the measure of ``slowness``: about a millisecond."""

_DATA = {
    Data.NONE: lib.WIRE_DATA_NONE, Data.ADDRESS: lib.WIRE_DATA_ADDRESS, Data.DHCID: lib.WIRE_DATA_DHCID,
    Data.TARGET: lib.WIRE_DATA_TARGET,
}
_TSIG_TAIL: Final = 6
"""Octets behind the MAC of a signed message: original ID, error, length of no other data."""

_BEGINS_SIZE: Final = 32
"""Octets of a wire_name with a bit for each octet of the name."""

# Looked up once: called for every message.
unpack = ffi.unpack
from_buffer = ffi.from_buffer
_write_batch = lib.wire_batch_write
_write_update = lib.wire_update_write
_sign = lib.wire_sign
_read_reply = lib.wire_reply_read


def slowness(datagram: bytes) -> int:
    """Return how long it takes, about, to read a request in Python: in parts of 30 us."""
    text = datagram[2 : 2 + int.from_bytes(datagram[:2], "big")]
    if has_too_many_commas(text):
        return 2 + text.count(b'"') // 512
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    return 2 + len(text) // 512 + min(MOST_VALUES, values) // 8


class CompiledZone(Zone):
    """A zone that C knows, too."""

    __slots__ = ("prepared",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # What wire_name_set does, which would release the interpreter; see CompiledLayer._give_way.
        begins = at = 0
        while self.wire[at]:
            begins |= 1 << at
            at += 1 + self.wire[at]
        size = len(self.wire)
        self.prepared = ffi.new(
            "wire_name *", (self.wire, self.wire.lower(), begins.to_bytes(_BEGINS_SIZE, "little"), size)
        )


class CompiledKey(HmacKey):
    """A shared secret that C knows, too.

    ``prepared`` is None without libcrypto, or where that does not do the digest.
    """

    __slots__ = ("octets", "output", "prepared")

    def __init__(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> None:
        super().__init__(name, algorithm, secret, digest_bits)
        key = lib.wire_key_new(
            self.name_wire, len(self.name_wire), self.algorithm_wire, len(self.algorithm_wire),
            ALGORITHMS[algorithm.lower()].digest.encode(), secret, len(secret), self.mac_size,
        )
        self.prepared: Any = ffi.gc(key, lib.wire_key_free) if key else None
        self.output = ffi.new("uint8_t[]", OUTPUT_SIZE)
        self.octets = ffi.buffer(self.output)

    def set_fudge(self, seconds: int) -> None:
        """See HmacKey."""
        super().set_fudge(seconds)
        if self.prepared is not None:
            lib.wire_key_set_fudge(self.prepared, seconds)

    def create_context(self) -> HmacContext:
        """Return the context of one message."""
        return CompiledContext(self) if self.prepared is not None else HmacContext(self)


class CompiledContext(HmacContext):
    """One message and its reply under a shared secret, signed in C."""

    __slots__ = ()

    _key: CompiledKey

    @classmethod
    def resume(cls, key: CompiledKey, request_mac: bytes) -> CompiledContext:
        """Return the context of a message that was signed in C."""
        context = cls(key)
        context._request_mac = request_mac
        return context

    @property
    def verification(self) -> tuple[Any, bytes]:
        """The prepared key and the request's MAC."""
        return self._key.prepared, self._request_mac

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record; see SigningContext."""
        key = self._key
        size = _sign(key.prepared, message, len(message), qid, wall, key.output, OUTPUT_SIZE)
        if size < 0:
            return super().sign(message, qid, wall)
        self._request_mac = key.octets[size - _TSIG_TAIL - key.mac_size : size - _TSIG_TAIL]
        signed: bytes = key.octets[:size]
        return signed


def _problem() -> str:
    text = ffi.string(lib.wire_crypto_problem())
    assert isinstance(text, bytes)
    return text.decode(errors="replace")


class CompiledLayer(PlainLayer):
    """See PacketLayer."""

    name = "compiled"
    # Looked for now, while a lock on the import keeps other threads out.
    problem = _problem()

    def __init__(self) -> None:
        self._no_domains = _new_domains(0, 0, 0)
        self._packed = ffi.new("uint8_t[]", lib.WIRE_BATCH_MAX * lib.WIRE_PACKED_MAX)
        self._packed_buffer = ffi.buffer(self._packed)
        self._packed_sizes = ffi.new("uint32_t[]", lib.WIRE_BATCH_MAX)
        self._output = ffi.new("uint8_t[]", OUTPUT_SIZE)
        self._buffer = ffi.buffer(self._output)
        self._batch_output: Any = None
        """Where batches are written; made for the first one."""
        self._prepared = 0
        """What has been prepared of configurations, in calls into C."""

    def read_requests(
        self, datagrams: Sequence[bytes], index: Index, numbers: Sequence[int] = ()
    ) -> Sequence[Request | NcrError]:
        """Return for each datagram the request that it holds, packed if it can be, or why there is none."""
        found: list[Request | NcrError] = []
        slow = 0
        for batch in in_batches(datagrams, lib.WIRE_BATCH_MAX):
            begin = len(found)
            end = begin + len(batch)
            slow += self._read_batch(batch, index, numbers[begin:end], found, SLOW_READS - slow)
            if len(found) < end:
                break
        return found

    def _read_batch(
        self, batch: DatagramBatch, index: Index, numbers: Sequence[int], found: list[Request | NcrError],
        most_slow: int,
    ) -> int:
        """Read datagrams, in Python no more than ``most_slow`` allows; return how slow these were."""
        lib.wire_requests_read(
            self._no_domains if index is None else index, batch.buffer, batch.stride, batch.sizes,
            from_buffer("uint64_t[]", array("Q", numbers)) if numbers else ffi.NULL, len(batch), self._packed,
            len(self._packed), self._packed_sizes,
        )
        if self.read_at:
            lib.wire_requests_note_time(self._packed, self._packed_sizes, len(batch), self.read_at)
        buffer = self._packed_buffer
        sizes: list[int] = unpack(self._packed_sizes, len(batch))  # type: ignore[assignment]
        if all(sizes):
            ends = accumulate(sizes)
            found += [PackedRequest(buffer[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
            return 0
        at = slow = 0
        for place, size in enumerate(sizes):
            if size:
                found.append(PackedRequest(buffer[at : at + size]))
                at += size
            elif slow >= most_slow:
                break
            else:
                slow += slowness(batch[place])
                found.append(self._read_again(batch[place], numbers[place] if numbers else 0, index))
        return slow

    def _read_again(self, datagram: bytes, number: int, index: Index) -> Request | NcrError:
        request = self._read(datagram, number)
        if isinstance(request, NcrError):
            return request
        packed = PackedRequest.pack(request)
        return request if packed is None else self.match(packed, index)

    def new_tally(self, bounds: Sequence[float]) -> EndedTally:
        """Return a tally in C."""
        from pyd2.packets.native_tally import NativeTally

        return NativeTally(bounds)

    def make_index(self, domains: DomainNumbers) -> Index:
        """Return a table of the domains."""
        count = len(domains.names) + len(domains.octets) + len(domains.nibbles)
        table = _new_domains(count, domains.forward_wildcard, domains.reverse_wildcard)
        names = {_octets(name): number for name, number in domains.names.items()}
        nibbles = {_octets(digits): number for digits, number in domains.nibbles.items()}
        for kind, entries in (
            (lib.WIRE_DOMAIN_NAME, names), (lib.WIRE_DOMAIN_OCTETS, domains.octets),
            (lib.WIRE_DOMAIN_NIBBLES, nibbles),
        ):
            for text, number in entries.items():
                self._give_way(1)
                if lib.wire_domains_add(table, kind, text, len(text), number) != 0:
                    raise ValueError(f"domain {number} does not fit into a table of {count}")
        index: Index = table
        return index

    def match(self, request: Request, index: Index) -> Request:
        """Return a packed request with its domains set."""
        if not isinstance(request, PackedRequest):
            return request
        octets = ffi.new("uint8_t[]", bytes(request))
        lib.wire_match(self._no_domains if index is None else index, octets, len(request))
        return PackedRequest(ffi.buffer(octets, len(request))[:])

    def zone(self, name: str) -> Zone:
        """Return a prepared zone."""
        self._give_way(2)
        return CompiledZone(name)

    def key(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> HmacKey:
        """Return a prepared key."""
        self._give_way(GIVE_WAY_AFTER // 4)
        return CompiledKey(name, algorithm, secret, digest_bits)

    def _give_way(self, cost: int) -> None:
        """Let other threads run now and then: very many zones or keys may be prepared in a row.

        Each call into C releases the interpreter, but for too short a time for a waiting thread.
        """
        before = self._prepared // GIVE_WAY_AFTER
        self._prepared += cost
        if self._prepared // GIVE_WAY_AFTER > before:
            give_way()

    def prepare_key(self, key: SigningKey) -> SigningKey:
        """Return a key that signs alike: prepared if its contexts are those of a shared secret."""
        if not isinstance(key, HmacKey) or not is_shared_secret(key):
            return key
        prepared = CompiledKey(key.name, short_name(key.algorithm), key.secret, key.digest_bits)
        if key.fudge != prepared.fudge:
            prepared.set_fudge(key.fudge)
        return prepared

    def encode_update(
        self, template: UpdateTemplate, zone: Zone, owner: bytes, target: bytes, address: bytes, dhcid: bytes,
        ttl: int,
    ) -> bytes:
        """Return an UPDATE message with query ID 0 and without TSIG."""
        prepared = prepare_template(template)
        assert isinstance(zone, CompiledZone)
        size = _write_update(
            prepared, zone.prepared, owner, len(owner), target, len(target), address, len(address), dhcid,
            len(dhcid), ttl, self._output, OUTPUT_SIZE,
        )
        if size < 0:
            return super().encode_update(template, zone, owner, target, address, dhcid, ttl)
        message: bytes = self._buffer[:size]
        return message

    def encode_batch(
        self, zone: Zone, updates: Sequence[tuple[UpdateTemplate, Request]], *, forward: bool
    ) -> bytes:
        """Return an UPDATE message with the changes of several requests, with query ID 0 and without TSIG."""
        assert isinstance(zone, CompiledZone)
        requests = [request for _, request in updates if isinstance(request, PackedRequest)]
        if len(requests) < len(updates):
            return super().encode_batch(zone, updates, forward=forward)
        if self._batch_output is None:
            self._batch_output = ffi.new("uint8_t[]", MAX_MESSAGE)
        records = b"".join(requests)
        templates = ffi.new("wire_template *[]", [prepare_template(template) for template, _ in updates])
        size = _write_batch(
            zone.prepared, templates, len(updates), records, len(records), forward, self._batch_output,
            MAX_MESSAGE,
        )
        if size == lib.WIRE_NO_SPACE:
            raise NcrError("a batch does not fit into a DNS message")
        if size < 0:
            return super().encode_batch(zone, updates, forward=forward)
        return bytes(ffi.buffer(self._batch_output, size))

    def read_reply(self, datagram: bytes, context: SigningContext | None, wall: int) -> int:
        """Return the response code of a server's reply."""
        if context is None:
            rcode: int = _read_reply(datagram, len(datagram), ffi.NULL, b"", 0, wall)
        elif type(context) is CompiledContext:
            key, mac = context.verification
            rcode = _read_reply(datagram, len(datagram), key, mac, len(mac), wall)
        else:
            rcode = -1
        return rcode if rcode >= 0 else super().read_reply(datagram, context, wall)


def _new_domains(count: int, forward_wildcard: int, reverse_wildcard: int) -> Any:  # noqa: ANN401  of cffi's
    """Return a table for a number of domains."""
    table = lib.wire_domains_new(count, forward_wildcard, reverse_wildcard)
    if not table:
        raise MemoryError("no memory for the domains of a configuration")
    return ffi.gc(table, lib.wire_domains_free)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@cache
def prepare_template(template: UpdateTemplate) -> Any:  # noqa: ANN401  cffi's objects have no types
    """Return a template as C wants it. There is one for each step of the tables."""
    records = [
        (record.type or 0, record.rrclass, _DATA[record.data], record.with_ttl)
        for record in (*template.prerequisites, *template.updates)
    ]
    return ffi.new(
        "wire_template *", (len(template.prerequisites), len(template.updates), records)
    )

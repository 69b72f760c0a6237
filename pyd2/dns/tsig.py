"""TSIG: signing UPDATE messages and verifying their replies (RFC 8945; contract, section 6).

A key prepares what does not change from one message to the next: its name and algorithm on the wire, and
the HMAC state behind the key block. A context serves one message and its reply.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple, Protocol

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.names import lower, name_text, parse_name
from pyd2.errors import BadReply, ReplyError

FUDGE = 300
"""Seconds that the clocks of both sides may differ, and so for how long a signature is valid."""

MIN_MAC = 10
"""Octets of the shortest MAC (RFC 8945, section 5.2.2.1)."""


class Algorithm(NamedTuple):
    """A TSIG algorithm (RFC 8945, section 6)."""

    wire_name: str
    """The domain name that TSIG records give it."""
    digest: str
    """The name of its digest in hashlib and in OpenSSL."""
    least_bits: int
    """The smallest ``digest-bits`` that Kea accepts: half of the digest, at least 80 (RFC 8945, 5.2.2.1)."""


ALGORITHMS = {
    "hmac-md5": Algorithm("hmac-md5.sig-alg.reg.int.", "md5", 80),
    "hmac-sha1": Algorithm("hmac-sha1.", "sha1", 80),
    "hmac-sha224": Algorithm("hmac-sha224.", "sha224", 112),
    "hmac-sha256": Algorithm("hmac-sha256.", "sha256", 128),
    "hmac-sha384": Algorithm("hmac-sha384.", "sha384", 192),
    "hmac-sha512": Algorithm("hmac-sha512.", "sha512", 256),
}
"""All algorithms, by their names in the configuration in lower case."""

_SHORT_NAMES = {algorithm.wire_name: name for name, algorithm in ALGORITHMS.items()}

_HMAC_MD5_WIRE = parse_name(ALGORITHMS["hmac-md5"].wire_name)
_HMAC_MD5_SHORT_WIRE = parse_name("hmac-md5")

_CLASS_TTL = RRClass.ANY.to_bytes(2, "big") + bytes(4)
_NO_ERROR_NO_OTHER = bytes(4)
_FIXED_DATA = 16
"""Octets of a TSIG record's data besides the algorithm, the MAC and other data."""
_HEADER_LENGTH = 12

_VARIABLES = Struct(">HIHHH")
"""Time signed (48 bits), fudge, error, length of other data."""

_FORMERR = 1
BADSIG = 16
BADKEY = 17
_BADTIME = 18
_BADTRUNC = 22
_ERROR_TEXTS = {
    _FORMERR: "FORMERR",
    BADSIG: "BADSIG",
    BADKEY: "BADKEY",
    _BADTIME: "BADTIME",
    _BADTRUNC: "BADTRUNC",
}

_REASONS: Final = {
    BADSIG: BadReply.BADSIG,
    BADKEY: BadReply.BADKEY,
    _BADTIME: BadReply.BADTIME,
    _BADTRUNC: BadReply.BADSIG,
}


class TsigRecord(NamedTuple):
    """The TSIG record of a reply."""

    length: int
    """Octets of the record, which is the last one of the message."""
    name: bytes
    """The key's name, uncompressed."""
    algorithm: bytes
    """The algorithm's name, uncompressed."""
    time_signed: int
    """Seconds since the epoch."""
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes


class SigningContext(Protocol):
    """The signing of one message and the verification of its reply."""

    @property
    def length(self) -> int:
        """Octets that signing adds to the message."""

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message to send: with its query ID and its TSIG; ``wall`` is seconds since the epoch."""

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Return normally if the reply is authentic; raise ReplyError if not.

        ``tsig`` is the reply's TSIG record as parse_reply found it.
        """


class SigningKey(Protocol):
    """A key that signs: from the configuration, or from a hook library."""

    @property
    def name(self) -> str:
        """The key's name, lower case, with its final dot: the name that statistics use."""

    @property
    def algorithm(self) -> str:
        """The algorithm's name as on the wire, lower case, with its final dot."""

    def create_context(self) -> SigningContext:
        """Return the context of one message."""


class ContextKey:
    """A key of pyd2's own that signs with security contexts of GSS-API; a ``SigningKey``.

    No abstract class: to ask whether a key is one has to be quick.
    """

    __slots__ = ()

    name: str
    algorithm: Final = "gss-tsig."
    here: bool | None
    """Whether the update thread signs with it, and no other one; None: that is not known yet."""

    @property
    def prepared(self) -> Any:  # noqa: ANN401  of the packet layer
        """The ``NativeContexts`` that sign its server's updates in C; None: each is signed in Python."""
        raise NotImplementedError

    @property
    def in_order(self) -> bool:
        """Whether the server refuses what it gets before an older message."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Return whether no update may be signed before another one has ended."""
        raise NotImplementedError

    def create_context(self) -> SigningContext:
        """Return the context of one message."""
        raise NotImplementedError

    def resume(self, signed_with: object, mac: bytes) -> SigningContext:
        """Return the context of a message that was signed in C, by a context there, with a MAC."""
        raise NotImplementedError


class HmacKey:
    """A shared secret."""

    __slots__ = ("_dated", "_state", "algorithm", "algorithm_wire", "compare", "digest_bits", "digest_size",
                 "fudge", "identity", "length", "mac_size", "name", "name_wire", "secret")

    def __init__(self, name: str, algorithm: str, secret: bytes, digest_bits: int = 0) -> None:
        """Prepare a key.

        ``name`` is the text of a domain name and ``algorithm`` one of ALGORITHMS, in any case.
        ``digest_bits`` is the length that MACs are cut to; 0, too few or too many mean the whole digest.

        Raises DomainNameError if the name is none, KeyError for another algorithm.
        """
        # Only where there are keys: with OpenSSL it takes 3 ms to import.
        import hmac

        self.algorithm, digest, _ = ALGORITHMS[algorithm.lower()]
        self.secret = secret
        self.digest_bits = digest_bits
        self.name_wire = lower(parse_name(name))
        self.name = name_text(self.name_wire)
        self.algorithm_wire = parse_name(self.algorithm)
        self.identity = identity_of(self.name_wire, self.algorithm_wire)
        """The signed variables that are the same in every message."""
        # A copy of a hash state with the secret costs half as much as a new one (measured).
        self._state = hmac.new(secret, digestmod=digest)
        self.digest_size = self._state.digest_size
        self.compare = hmac.compare_digest
        """Compares two digests in a time that says nothing about them."""
        cut = (digest_bits + 7) // 8
        fits = max(MIN_MAC, self.digest_size // 2) <= cut <= self.digest_size
        self.mac_size = cut if fits else self.digest_size
        """Octets of the MACs that this key makes."""
        self.length = record_length(self.name_wire, self.algorithm_wire, self.mac_size)
        """Octets of its TSIG records."""
        self._dated = -1, b"", b""
        self.fudge = FUDGE
        """Seconds for which a signature is valid; see ``set_fudge``."""

    def __repr__(self) -> str:
        return f"HmacKey({self.name!r}, {self.algorithm!r})"

    def create_context(self) -> HmacContext:
        """Return the context of one message."""
        return HmacContext(self)

    def set_fudge(self, seconds: int) -> None:
        """Let the signatures that it makes from now on be valid for so long; how it verifies stays."""
        self.fudge = seconds
        self._dated = -1, b"", b""

    def digest(self, data: bytes) -> bytes:
        """Return the whole HMAC over the data."""
        state = self._state.copy()
        state.update(data)
        return state.digest()

    def at(self, wall: int) -> tuple[bytes, bytes]:
        """Return the parts that change once a second: the signed variables, the record up to its MAC."""
        dated = self._dated  # read and set as a whole, because a library may use the key in another thread
        if dated[0] != wall:
            time_and_fudge = wall.to_bytes(6, "big") + _u16(self.fudge)
            variables = self.identity + time_and_fudge + _NO_ERROR_NO_OTHER
            record_head = b"".join((
                self.name_wire, _u16(RRType.TSIG), _CLASS_TTL,
                _u16(len(self.algorithm_wire) + _FIXED_DATA + self.mac_size),
                self.algorithm_wire, time_and_fudge, _u16(self.mac_size),
            ))
            dated = self._dated = wall, variables, record_head
        return dated[1:]


def is_shared_secret(key: SigningKey) -> bool:
    """Whether a key signs as HmacKey does. A shared secret of a hook library may sign in its own way."""
    if not isinstance(key, HmacKey):
        return False
    own = type(key)
    return own.create_context is HmacKey.create_context and own.digest is HmacKey.digest


class HmacContext:
    """One message and its reply under a shared secret."""

    __slots__ = ("_key", "_request_mac")

    def __init__(self, key: HmacKey) -> None:
        self._key = key
        self._request_mac = b""

    @property
    def length(self) -> int:
        """Octets that signing adds to the message."""
        return self._key.length

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record; see SigningContext."""
        key = self._key
        variables, record_head = key.at(wall)
        query_id = qid.to_bytes(2, "big")
        unsigned = query_id + message[2:]
        mac = key.digest(unsigned + variables)[: key.mac_size]
        self._request_mac = mac
        count = int.from_bytes(message[10:12], "big") + 1
        return b"".join((
            unsigned[:10], count.to_bytes(2, "big"), unsigned[_HEADER_LENGTH:],
            record_head, mac, query_id, _NO_ERROR_NO_OTHER,
        ))

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Verify the reply; see SigningContext. The order of the checks is that of Kea."""
        key = self._key
        tsig = check_record(tsig, key.name_wire, key.algorithm_wire, wall)
        mac = tsig.mac
        size = len(mac)
        if size > key.digest_size or size < MIN_MAC or size < key.digest_size // 2:
            raise failure(_FORMERR)
        if size < key.mac_size:
            raise failure(_BADTRUNC)
        signed = signed_by_reply(self._request_mac, reply, tsig, key.identity)
        if not key.compare(key.digest(signed)[:size], mac):
            raise failure(BADSIG, BadReply.ECHO if mac == self._request_mac[:size] else BadReply.BADSIG)


def identity_of(name: bytes, algorithm: bytes) -> bytes:
    """Return the signed variables that are the same in every message of a key; both names on the wire."""
    return name + _CLASS_TTL + algorithm


def signed_by_request(unsigned: bytes, identity: bytes, wall: int) -> bytes:
    """Return the octets that the MAC of a request is made of (RFC 8945, section 4.3.3)."""
    return b"".join((unsigned, identity, wall.to_bytes(6, "big"), _u16(FUDGE), _NO_ERROR_NO_OTHER))


def with_record(unsigned: bytes, name: bytes, algorithm: bytes, wall: int, mac: bytes) -> bytes:
    """Return a request with its TSIG record; ``wall`` is what the MAC was made with."""
    count = int.from_bytes(unsigned[10:12], "big") + 1
    return b"".join((
        unsigned[:10], _u16(count), unsigned[_HEADER_LENGTH:],
        name, _u16(RRType.TSIG), _CLASS_TTL, _u16(len(algorithm) + _FIXED_DATA + len(mac)),
        algorithm, wall.to_bytes(6, "big"), _u16(FUDGE), _u16(len(mac)), mac,
        unsigned[:2], _NO_ERROR_NO_OTHER,
    ))


def record_length(name: bytes, algorithm: bytes, mac_size: int) -> int:
    """Return the octets of a TSIG record."""
    return 10 + len(name) + len(algorithm) + _FIXED_DATA + mac_size


def check_record(tsig: TsigRecord | None, name: bytes, algorithm: bytes, wall: int) -> TsigRecord:
    """Return the TSIG record of a reply if all but its MAC is right; raise ReplyError if not.

    ``name`` and ``algorithm`` are the key's on the wire, in lower case. The order of the checks is Kea's.
    """
    if tsig is None:
        raise failure(_FORMERR, BadReply.UNSIGNED)
    if tsig.name.lower() != name or _canonical(tsig.algorithm.lower()) != algorithm:
        raise failure(BADKEY)
    if not -FUDGE <= tsig.time_signed - wall <= FUDGE:
        raise failure(_BADTIME)
    if not tsig.mac:
        # The server could not sign; only these two errors explain it.
        if tsig.error in {BADSIG, BADKEY, _BADTIME}:
            raise failure(BADSIG if tsig.error == _BADTIME else tsig.error, _REASONS[tsig.error])
        raise failure(BADSIG, BadReply.UNSIGNED)
    return tsig


def signed_by_reply(request_mac: bytes, reply: bytes, tsig: TsigRecord, identity: bytes) -> bytes:
    """Return the octets that the MAC of a reply is made of (RFC 8945, section 5.3)."""
    count = int.from_bytes(reply[10:12], "big") - 1
    return b"".join((
        len(request_mac).to_bytes(2, "big"), request_mac,
        tsig.original_id.to_bytes(2, "big"), reply[2:10], count.to_bytes(2, "big"),
        reply[_HEADER_LENGTH : len(reply) - tsig.length],
        identity,
        _VARIABLES.pack(tsig.time_signed >> 32, tsig.time_signed & 0xFFFFFFFF, tsig.fudge, tsig.error,
                        len(tsig.other)),
        tsig.other,
    ))


def _canonical(algorithm: bytes) -> bytes:
    """Return an algorithm's full name; HMAC-MD5 also has a short one."""
    return _HMAC_MD5_WIRE if algorithm == _HMAC_MD5_SHORT_WIRE else algorithm


def short_name(wire_name: str) -> str:
    """Return the name under which ALGORITHMS has an algorithm, if it has it at all."""
    return _SHORT_NAMES.get(wire_name, wire_name.rstrip("."))


def failure(error: int, reason: BadReply | None = None) -> ReplyError:
    """Return the error that verify raises for a TSIG error (RFC 8945, section 3).

    ``reason`` is what is wrong with the reply, where that says more.
    """
    text = f"TSIG verification failed: {_ERROR_TEXTS.get(error, error)}"
    return ReplyError(text, reason or _REASONS.get(error, BadReply.FORMAT))


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")

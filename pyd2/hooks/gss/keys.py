"""The keys of a DNS server: agreed on by TKEY, each with the security context that signs.

The server refuses a MIC that comes behind 64 or more later ones of its context, unless anti-replay is off
(RFC 2743, section 1.2.3). Updates overtake each other on the way, and one may be late while many others go
out. So a context signs only while its oldest update under way is near enough to its newest; the next update
is signed with another context, which is another key of the same server.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final

from pyd2.dns.names import lower, parse_name
from pyd2.dns.tkey import GSS_TSIG
from pyd2.dns.tsig import (
    BADKEY,
    BADSIG,
    check_record,
    failure,
    identity_of,
    record_length,
    signed_by_reply,
    signed_by_request,
    with_record,
)
from pyd2.errors import BadReply
from pyd2.hooks.gss.gssapi import GssError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Plain
    from pyd2.dns.tsig import TsigRecord
    from pyd2.hooks.gss.exchange import Status
    from pyd2.hooks.gss.gssapi import Context
    from pyd2.hooks.gss.messages import GssLog
    from pyd2.hooks.gss.parameters import GssServer

ALGORITHM: Final = "gss-tsig."
MOST_SPAN: Final = 63
"""The newest minus the oldest sequence number of a context whose update is under way."""
NEARLY_FULL: Final = 48
"""The span of all contexts from which another one is made."""
MOST_CONTEXTS: Final = 16
"""Usable keys of a server up to which more are made because the others are full."""
LONGEST_MAC: Final = 128
"""Octets; Kerberos makes 28."""


class State(Enum):
    """The state of a key, in Kea's words."""

    NOT_READY = "not yet ready"
    USABLE = "usable"
    EXPIRED = "expired"
    IN_ERROR = "in error"


class ManagedKey:
    """A key of a DNS server; a ``SigningKey``. All of it belongs to the main thread, except as noted."""

    __slots__ = ("_ring", "context", "exchanging", "expire", "identity", "inception", "name", "name_wire",
                 "outcome", "sequence", "state", "under_way")

    algorithm: Final = ALGORITHM

    def __init__(self, ring: KeyRing, name: str, inception: float) -> None:
        """``inception`` is seconds since the epoch."""
        self._ring = ring
        self.name = name
        """In lower case, with its final dot."""
        self.name_wire = lower(parse_name(name))
        self.identity = identity_of(self.name_wire, GSS_TSIG)
        self.inception = inception
        self.expire = inception + ring.server.lifetime
        self.state = State.NOT_READY
        self.exchanging = False
        """Whether client and server are agreeing on it."""
        self.outcome: Status | None = None
        """How the agreement ended."""
        self.context: Context | None = None
        self.sequence = 0
        """Of the next MIC; GSS-API may count from another number."""
        self.under_way: dict[int, None] = {}
        """The numbers of MICs whose updates are under way, in order. Any thread may remove one."""

    def __repr__(self) -> str:
        return f"ManagedKey({self.name!r}, {self.state.name})"

    def move(self, ring: KeyRing) -> None:
        """Belong to the keys of the same server in another configuration."""
        self._ring = ring

    @property
    def server_id(self) -> str:
        """The ``id`` of its server."""
        return self._ring.server.id

    def usable(self, now: float) -> bool:
        """Say whether it may sign at ``now``, seconds since the epoch; it expires by that."""
        if self.state is State.USABLE and now >= self.expire:
            self.state = State.EXPIRED
        return self.state is State.USABLE

    def span(self) -> int:
        """Return the next sequence number minus the oldest under way."""
        while True:
            try:
                return self.sequence - next(iter(self.under_way), self.sequence)
            except RuntimeError:  # another thread has removed one meanwhile
                continue

    def create_context(self) -> MessageContext:
        """Return the context of one message, which this key signs or, if it cannot, another of its server."""
        return MessageContext(self._ring.pick(self), self._ring)

    def plain(self) -> dict[str, Plain]:
        """Return the key as the commands show it."""
        shown: dict[str, Plain] = {
            "name": self.name, "server-id": self.server_id, "status": self.state.value,
        }
        if self.state in {State.USABLE, State.EXPIRED}:
            try:
                if self.context is not None:
                    shown["security-context-lifetime"] = self.context.lifetime()
            except GssError:  # as in Kea: an expired context has none
                pass
        elif self.state is State.IN_ERROR:
            shown["tkey-status"] = self.outcome.value if self.outcome is not None else ""
        else:
            shown["tkey-exchange"] = self.exchanging
        return shown | {"inception-date": _local(self.inception), "expire-date": _local(self.expire)}


class KeyRing:
    """The keys of one server, in the order in which they were made."""

    def __init__(
        self, server: GssServer, log: GssLog, clock: Callable[[], float], *, believes_echoes: bool = False,
    ) -> None:
        """``clock`` returns seconds since the epoch; ``believes_echoes`` is ``ignore-bad-direction``."""
        self.server = server
        self.log = log
        self.believes_echoes = believes_echoes
        self._clock = clock
        self.keys: list[ManagedKey] = []
        self.left: list[ManagedKey] = []
        """Keys of the configuration before, which sign until there is one of this configuration."""
        self.wants_another = False
        """Whether the contexts are so full that another one is needed; whoever makes one sets it back."""
        self.unknown_key: ManagedKey | None = None
        """A key that the server does not know any more; whoever makes another sets it back."""
        self.on_need: Callable[[KeyRing], None] = lambda _: None
        """Called when one of these two is set; it may be called often."""
        self.on_echo: Callable[[KeyRing, int], None] = lambda _ring, _rcode: None
        """Called with the rcode of a reply whose MAC is a copy of the request's."""

    def usable(self, now: float) -> list[ManagedKey]:
        """Return the usable keys, the newest first."""
        found = [key for key in reversed(self.keys) if key.usable(now)]
        return found or [key for key in reversed(self.left) if key.usable(now)]

    def select(self) -> ManagedKey | None:
        """Return the newest usable key, None when there is none."""
        return next(iter(self.usable(self._clock())), None)

    def take_over(self, keys: list[ManagedKey]) -> None:
        """Sign with keys of the configuration before until there is one of this configuration."""
        self.left = keys
        for key in keys:
            key.move(self)

    def pick(self, preferred: ManagedKey) -> ManagedKey:
        """Return the key that signs the next message: ``preferred``, the newest one, if possible.

        If all contexts are full, the least full one signs: a message of it that is very late will be refused,
        and is then sent again.
        """
        now = self._clock()
        if preferred.state is not State.USABLE:
            preferred = self.select() or preferred
        if not self.server.replay_flag or preferred.span() < NEARLY_FULL:
            return preferred
        usable = self.usable(now)
        spans = [key.span() for key in usable]
        if not usable:
            return preferred
        if min(spans) >= NEARLY_FULL and len(usable) < MOST_CONTEXTS:
            self.wants_another = True
            self.on_need(self)
        for key, span in zip(usable, spans, strict=True):
            if span <= MOST_SPAN:
                return key
        return usable[spans.index(min(spans))]

    def lost(self, key: ManagedKey) -> None:
        """Note that the server says that it does not know a key."""
        if key.state is State.USABLE:
            self.unknown_key = key
            self.on_need(self)


class MessageContext:
    """One message and its reply under a key of GSS-TSIG; a ``SigningContext``."""

    __slots__ = ("_key", "_mac", "_number", "_ring")

    def __init__(self, key: ManagedKey, ring: KeyRing) -> None:
        self._key = key
        self._ring = ring
        self._mac = b""
        self._number = -1

    def __del__(self) -> None:
        # The engine drops it when the try ends, in whichever thread.
        self._key.under_way.pop(self._number, None)

    @property
    def length(self) -> int:
        """Octets that signing adds to the message, at most."""
        return record_length(self._key.name_wire, GSS_TSIG, LONGEST_MAC)

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record. Raises GssError."""
        key = self._key
        assert key.context is not None
        unsigned = qid.to_bytes(2, "big") + message[2:]
        mac = self._mac = key.context.get_mic(signed_by_request(unsigned, key.identity, wall))
        self._number = key.sequence
        key.sequence += 1
        key.under_way[self._number] = None
        return with_record(unsigned, key.name_wire, GSS_TSIG, wall, mac)

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Return if the reply is authentic, or is to be believed; raise ReplyError if not."""
        key, ring = self._key, self._ring
        if tsig is not None and not tsig.mac and tsig.error == BADKEY:
            ring.lost(key)
        tsig = check_record(tsig, key.name_wire, GSS_TSIG, wall)
        assert key.context is not None
        signed = signed_by_reply(self._mac, reply, tsig, key.identity)
        try:
            key.context.verify_mic(signed, tsig.mac)
        except GssError as error:
            rcode = reply[3] & 15
            bad = BadReply.BADSIG
            if tsig.mac == self._mac:
                ring.on_echo(ring, rcode)
                if ring.believes_echoes and rcode:
                    ring.log.emit("GSS_TSIG_IGNORED_BAD_DIRECTION")
                    return
                bad = BadReply.ECHO
            ring.log.emit("GSS_TSIG_VERIFY_FAILED", error)
            raise failure(BADSIG, bad) from error
        ring.log.emit("GSS_TSIG_VERIFIED")


def _local(wall: float) -> str:
    # Kea shows local time without its zone.
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")

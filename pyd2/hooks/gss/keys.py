"""The keys of a DNS server: agreed on by TKEY, each with the security context that signs.

The server refuses a MIC that comes behind 64 or more later ones of its context, unless anti-replay is off
(RFC 2743, section 1.2.3). Updates overtake each other on the way, and one may be late while many others go
out. So a context signs only while its oldest update under way is near enough to its newest; the next update
is signed with another context, which is another key of the same server. In C the same is done by
``cbridge/wire/contexts.c``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, Final

from pyd2.dns.names import lower, parse_name
from pyd2.dns.tkey import GSS_TSIG
from pyd2.dns.tsig import (
    BADKEY,
    BADSIG,
    ContextKey,
    check_record,
    failure,
    identity_of,
    record_length,
    signed_by_reply,
    signed_by_request,
    with_record,
)
from pyd2.errors import BadReply
from pyd2.hooks.gss.gssapi import INDEFINITE, GssError
from pyd2.hooks.gss.signers import ServerSigners, make_signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Plain
    from pyd2.dns.tsig import TsigRecord
    from pyd2.hooks.gss.exchange import Status
    from pyd2.hooks.gss.gssapi import Context
    from pyd2.hooks.gss.messages import GssLog
    from pyd2.hooks.gss.parameters import GssServer
    from pyd2.hooks.gss.signers import Signer

MOST_SPAN: Final = 63
"""The newest minus the oldest sequence number of a context whose update is under way."""
NEARLY_FULL: Final = 48
"""The span of all contexts from which another one is made."""
MOST_CONTEXTS: Final = 24
"""Usable keys of a server up to which more are made because the others are full.

They are enough for 1,024 updates under way, which 22 take before they are nearly full.
"""
LONGEST_MAC: Final = 128
"""Octets; Kerberos makes 28."""


class State(Enum):
    """The state of a key, in Kea's words."""

    NOT_READY = "not yet ready"
    USABLE = "usable"
    EXPIRED = "expired"
    IN_ERROR = "in error"


class ManagedKey(ContextKey):
    """A key of a DNS server.

    The main thread makes and changes it. One thread signs with it: the update thread, or the main thread, if
    another library chooses keys, too. That thread may find that it has expired.
    """

    __slots__ = ("_ring", "_state", "ends", "exchanging", "expire", "forgotten", "here", "identity",
                 "inception", "name", "name_wire", "outcome", "signer")

    def __init__(self, ring: KeyRing, name: str, inception: float) -> None:
        """``inception`` is seconds since the epoch."""
        self._ring = ring
        self.name = name
        """In lower case, with its final dot."""
        self.name_wire = lower(parse_name(name))
        self.identity = identity_of(self.name_wire, GSS_TSIG)
        self.inception = inception
        self.expire = inception + ring.server.lifetime
        self._state = State.NOT_READY
        self.exchanging = False
        """Whether client and server are agreeing on it."""
        self.outcome: Status | None = None
        """How the agreement ended."""
        self.signer: Signer | None = None
        """Its context; None: there is none yet."""
        self.here: bool | None = None
        """Whether it signs in the update thread; None: it was not selected yet."""
        self.ends: int | None = None
        """When the context ends, in seconds since the epoch; None: it does not."""
        self.forgotten = False
        """Whether the server has probably forgotten it: it signs only while there is no other one."""

    def __repr__(self) -> str:
        return f"ManagedKey({self.name!r}, {self.state.name})"

    @property
    def state(self) -> State:
        """Its state."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self._ring.changed = True

    def establish(self, context: Context, now: float) -> None:
        """Sign with an established context; ``now`` is seconds since the epoch."""
        try:
            lifetime = context.lifetime()
        except GssError:
            lifetime = 0
        self.ends = None if lifetime == INDEFINITE else int(now) + lifetime
        self.signer = make_signer(context, self.name_wire, self.expire, bounded=self._ring.server.replay_flag)
        self.state = State.USABLE if self.state is State.NOT_READY else self.state

    def move(self, ring: KeyRing) -> None:
        """Belong to the keys of the same server in another configuration."""
        self._ring = ring

    @property
    def server_id(self) -> str:
        """The ``id`` of its server."""
        return self._ring.server.id

    def usable(self, now: float) -> bool:
        """Say whether it may sign at ``now``, seconds since the epoch; it expires by that."""
        if self._state is State.USABLE and now >= self.expire:
            self.state = State.EXPIRED
        return self._state is State.USABLE

    def span(self) -> int:
        """Return the next sequence number minus the oldest under way."""
        return self.signer.span() if self.signer is not None else 0

    # What signs.

    @property
    def prepared(self) -> Any:  # noqa: ANN401  of cffi
        """See ContextKey."""
        return self._ring.prepared

    @property
    def in_order(self) -> bool:
        """See ContextKey."""
        return self._ring.server.sequence_flag

    def is_full(self) -> bool:
        """See ContextKey."""
        return self._ring.is_full()

    def create_context(self) -> MessageContext:
        """Return the context of one message, which this key signs or, if it cannot, another of its server."""
        return MessageContext(self._ring.pick(self), self._ring)

    def resume(self, signed_with: object, mac: bytes) -> MessageContext:
        """See ContextKey. A key that was removed meanwhile is not found: then no reply is verified."""
        return MessageContext(self._ring.find(signed_with) or self, self._ring, mac)

    def plain(self) -> dict[str, Plain]:
        """Return the key as the commands show it."""
        shown: dict[str, Plain] = {
            "name": self.name, "server-id": self.server_id, "status": self.state.value,
        }
        if self.state in {State.USABLE, State.EXPIRED}:
            left = INDEFINITE if self.ends is None else self.ends - int(self._ring.clock())
            if left > 0:  # as in Kea: a context that has ended has none
                shown["security-context-lifetime"] = left
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
        self.clock = clock
        self.keys: list[ManagedKey] = []
        self.left: list[ManagedKey] = []
        """Keys of the configuration before, which sign until there is one of this configuration."""
        self.wants_another = False
        """Whether the contexts are so full that another one is needed; whoever makes one sets it back."""
        self.unknown_key: ManagedKey | None = None
        """A key that the server does not know any more; whoever makes another sets it back."""
        self.on_need: Callable[[KeyRing], None] = lambda _: None
        """Called when one of these two is set; it may be called often, from any thread."""
        self.need_noted = False
        """Whether that will be acted on soon."""
        self.on_echo: Callable[[KeyRing, int], None] = lambda _ring, _rcode: None
        """Called with the rcode of a reply whose MAC is a copy of the request's."""
        self.changed = True
        """Whether keys were added or removed, or have another state, since one was selected."""
        self.here: bool | None = None
        """Whether keys are selected, and sign, in the update thread; None: none was selected yet."""
        self._newest: ManagedKey | None = None
        """What ``select`` returns until then, or until a key expires."""
        self._until = inf
        self._signers = ServerSigners()

    def usable(self, now: float) -> list[ManagedKey]:
        """Return the usable keys, the newest first.

        Those that the server has forgotten are among them only if there are no others.
        """
        forgotten: list[ManagedKey] = []
        for keys in (self.keys, self.left):
            found = [key for key in reversed([*keys])
                     if key.usable(now) and (None in {key.here, self.here} or key.here is self.here)]
            known = [key for key in found if not key.forgotten]
            if known:
                return known
            forgotten = forgotten or found
        return forgotten

    def select(self, *, here: bool = False) -> ManagedKey | None:
        """Return the newest usable key, None when there is none. ``here``: it signs in the update thread.

        A key that has signed in one thread is never selected for the other one.
        """
        now = self.clock()
        if self.changed or now >= self._until or here is not self.here:
            self.changed, self.here = False, here
            usable = self.usable(now)
            for key in usable:
                key.here = here
            self._newest = usable[0] if usable else None
            self._until = min((key.expire for key in usable), default=inf)
            if here:
                self._signers.set(key.signer for key in usable if key.signer is not None)
        if here and self._signers.settle():
            self._want_another(len(self.usable(now)))
        return self._newest

    @property
    def prepared(self) -> object | None:
        """The ``NativeContexts`` that sign for the server, as ``select`` has set them; None: there are none.

        C writes no log, so it leaves all to Python where each signature is logged; and where updates must
        arrive in order, C could verify a reply that came too early only once.
        """
        return None if self.server.sequence_flag or self.log.debug else self._signers.contexts

    def is_full(self) -> bool:
        """Return whether all keys are full: what is signed next would have what is late refused."""
        if not self.server.replay_flag:
            return False
        spans = [key.span() for key in self.usable(self.clock())]
        if not spans or min(spans) < NEARLY_FULL:
            return False
        self._want_another(len(spans))
        return min(spans) > MOST_SPAN

    def find(self, context: object) -> ManagedKey | None:
        """Return the key of a context in C."""
        for key in (*self.keys, *self.left):
            native = key.signer.native if key.signer is not None else None
            if native is not None and native.native == context:
                return key
        return None

    def take_over(self, keys: list[ManagedKey]) -> None:
        """Sign with keys of the configuration before until there is one of this configuration."""
        self.left = keys
        self.changed = True
        for key in keys:
            key.move(self)

    def pick(self, preferred: ManagedKey) -> ManagedKey:
        """Return the key that signs the next message: ``preferred``, the newest one, if possible.

        If all contexts are full, the least full one signs: a message of it that is very late will be refused,
        and is then sent again.
        """
        now = self.clock()
        if preferred.state is not State.USABLE or preferred.forgotten:
            preferred = next(iter(self.usable(now)), preferred)
        if not self.server.replay_flag or preferred.span() < NEARLY_FULL:
            return preferred
        usable = self.usable(now)
        spans = [key.span() for key in usable]
        if not usable:
            return preferred
        if min(spans) >= NEARLY_FULL:
            self._want_another(len(usable))
        for key, span in zip(usable, spans, strict=True):
            if span <= MOST_SPAN:
                return key
        return usable[spans.index(min(spans))]

    def _want_another(self, usable: int) -> None:
        if usable < MOST_CONTEXTS:
            self.wants_another = True
            self.on_need(self)

    def lost(self, key: ManagedKey) -> None:
        """Note that the server says that it does not know a key.

        It was restarted, as a rule, and has forgotten the older ones, too. They sign until there is another
        one: the reply is not signed, so it proves nothing.
        """
        if key.state is not State.USABLE:
            return
        if not key.forgotten:
            for one in (*self.left, *self.keys):
                one.forgotten = True
                if one is key:
                    break
            self.changed = True
        if all(one.forgotten for one in self.usable(self.clock())):
            self.unknown_key = key
            self.on_need(self)


class MessageContext:
    """One message and its reply under a key of GSS-TSIG; a ``SigningContext``."""

    __slots__ = ("_key", "_mac", "_number", "_ring")

    def __init__(self, key: ManagedKey, ring: KeyRing, mac: bytes = b"") -> None:
        """``mac`` is that of a message that was signed in C."""
        self._key = key
        self._ring = ring
        self._mac = mac
        self._number = -1

    def __del__(self) -> None:
        # The engine drops it when the try ends, in whichever thread.
        if self._number >= 0 and self._key.signer is not None:
            self._key.signer.end(self._number)

    @property
    def length(self) -> int:
        """Octets that signing adds to the message, at most."""
        return record_length(self._key.name_wire, GSS_TSIG, LONGEST_MAC)

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record. Raises GssError."""
        key = self._key
        assert key.signer is not None
        unsigned = qid.to_bytes(2, "big") + message[2:]
        self._mac, self._number = key.signer.sign(signed_by_request(unsigned, key.identity, wall))
        return with_record(unsigned, key.name_wire, GSS_TSIG, wall, self._mac)

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Return if the reply is authentic, or is to be believed; raise ReplyError if not."""
        key, ring = self._key, self._ring
        if tsig is not None and not tsig.mac and tsig.error == BADKEY:
            ring.lost(key)
        tsig = check_record(tsig, key.name_wire, GSS_TSIG, wall)
        assert key.signer is not None
        signed = signed_by_reply(self._mac, reply, tsig, key.identity)
        try:
            key.signer.verify(signed, tsig.mac)
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

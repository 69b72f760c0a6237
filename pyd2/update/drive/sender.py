"""Sending updates: by the batch as the tries make them, or single messages made here, in Python.

Messages over TCP and TLS, those with keys of libraries, and all that the tries decline are made one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.dns.question import encode_question
from pyd2.dns.update import MAX_MESSAGE, MAX_UDP_MESSAGE, encode_update
from pyd2.errors import DomainNameError, NcrError, Pyd2Error
from pyd2.update.inflight.contract import STREAM, Outgoing, Turn
from pyd2.update.model.plan import MAX_TIMEOUT
from pyd2.update.server.lane import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pyd2.counters import Counters
    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.output import OutputBuffer
    from pyd2.update.server.lane import Lane


class UnsendableError(Pyd2Error):
    """An update cannot be made or signed; that has been logged. The text is the reason."""

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.may_pass = may_pass
        """Whether it may go well another time."""


class Draft(NamedTuple):
    """An update that is not signed yet."""

    slot: int
    """The lane's local port that it goes out from over UDP. Whether it does is known when it is signed."""
    query_id: int
    """Free on that port and on a connection."""
    message: bytes
    """The message with the query ID 0."""


Signed: TypeAlias = "tuple[bytes, SigningContext | None]"
"""A message as it goes out, and the context that judges its reply."""


def sign(key: SigningKey | None, draft: Draft, wall: int) -> Signed:
    """Return a draft with its query ID and, if there is a key, its TSIG.

    A library's key may raise anything.
    """
    if key is None:
        return draft.query_id.to_bytes(2, "big") + draft.message[2:], None
    context = key.create_context()
    return context.sign(draft.message, draft.query_id, wall), context


class Sender:
    """Sends updates. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, tries: Tries, packets: PacketLayer, counters: Counters, log: Log, output: OutputBuffer
    ) -> None:
        self._tries = tries
        self._packets = packets
        self._counters = counters
        self._log = log
        self._output = output
        self.timeout_ms = 500
        """How long a try waits for its reply."""

    def turn(
        self, lane: Lane, now: float, wall: float, *, goes_on: bool = False, together: bool = False
    ) -> Turn:
        """Return what holds for all that is sent to a server now; see Turn."""
        return Turn(now, int(wall), self.timeout_ms / 1000, self.slot_of(lane), goes_on, together)

    def slot_of(self, lane: Lane) -> int:
        """Return the lane's local port for what goes out together now."""
        output = self._output
        if output.slot < 0:
            output.slot = self._tries.draw_place()
        return lane.slots[output.slot % len(lane.slots)]

    # By the batch.

    def send_orders(self, lane: Lane, now: float, wall: float) -> list[Transaction]:
        """Send the updates that were ordered from a lane; return those that must go alone."""
        transactions = lane.orders
        lane.orders = []
        alone: Collection[int] = range(len(transactions))
        if self.timeout_ms <= MAX_TIMEOUT:  # else ``complete`` says that none can be sent
            alone = self._tries.send(lane, transactions, self.turn(lane, now, wall))
        self._output.posted[lane] = None
        lane.free_places = UNKNOWN
        if not alone:
            self.count_sent(transactions, wall)
            return []
        places = set(alone)
        self.count_sent([t for place, t in enumerate(transactions) if place not in places], wall)
        apart = [transactions[place] for place in alone]
        for transaction in apart:
            transaction.tries -= 1
        return apart

    # Alone.

    def draft(self, transaction: Transaction) -> Draft:
        """Make the message of the transaction's step in Python. Raises UnsendableError."""
        ncr = transaction.ncr
        try:
            message = self._build(transaction)
        except Exception as error:  # whatever it is, it must not cost more than this request
            self._log.emit(transaction.step.build_failure, ncr.request_id, ncr.text(), error)
            raise UnsendableError(str(error), may_pass=False) from error
        return Draft(*self.new_query(transaction.server.lane), message)

    def new_query(self, lane: Lane) -> tuple[int, int]:
        """Return the slot of a local port, and a query ID that is free there and on a connection."""
        slot = self.slot_of(lane)
        while True:
            query_id = self._tries.draw_query_id(lane, slot)
            if self._tries.is_free(lane, STREAM << 16 | query_id):
                return slot, query_id

    def holds(self, transaction: Transaction, draft: Draft) -> bool:
        """Whether a draft can still be sent: while it was signed, its port or its ID may have gone."""
        lane = transaction.server.lane
        return draft.slot in lane.slots and all(
            self._tries.is_free(lane, slot << 16 | draft.query_id) for slot in (draft.slot, STREAM)
        )

    def complete(
        self, transaction: Transaction, draft: Draft, signed: Callable[[], Signed], now: float, wall: float
    ) -> None:
        """Send a draft as ``signed`` returns it. Raises UnsendableError."""
        ncr = transaction.ncr
        lane = transaction.server.lane
        repeated = transaction.spare_rcode is not None
        try:
            if self.timeout_ms > MAX_TIMEOUT:
                raise Pyd2Error(  # noqa: TRY301  logged like all else that keeps an update from being sent
                    f"A timeout value for DNS Update request must not exceed {MAX_TIMEOUT}."
                    f" Provided timeout value is '{self.timeout_ms}'"
                )
            message, transaction.context = signed()
            if len(message) > MAX_MESSAGE:
                raise Pyd2Error(  # noqa: TRY301  the same
                    f"an UPDATE of {len(message)} octets does not fit into a DNS message"
                )
        except Exception as error:  # a library's key may raise anything
            self._log.emit("DHCP_DDNS_TRANS_SEND_ERROR", ncr.request_id, error)
            # A library's key may be another one, or in order, the next time.
            own = transaction.key is transaction.server.key
            raise UnsendableError(str(error), may_pass=not own) from error
        transaction.tcp = repeated or len(message) > MAX_UDP_MESSAGE or transaction.server.tcp
        if not repeated:
            if transaction.tcp and "PYD2_UPDATE_TCP" in self._log.on:
                why = "configured" if transaction.server.tcp else f"it has {len(message)} octets"
                self._log.emit("PYD2_UPDATE_TCP", ncr.request_id, lane.text, why)
            transaction.tries += 1
            self.count_sent((transaction,), wall)
        slot = STREAM if transaction.tcp else draft.slot
        self._tries.enter(transaction, lane, slot << 16 | draft.query_id, now, self.timeout_ms / 1000)
        lane.free_places = UNKNOWN
        self._output.outgoing.append(Outgoing(lane, slot, draft.query_id, transaction.tcp, message))

    def _build(self, transaction: Transaction) -> bytes:
        ncr = transaction.ncr
        step = transaction.step
        domain = transaction.domain
        zone = domain.zone
        if zone is None:
            raise DomainNameError(f"Cannot create new request :{domain.zone_error}")
        if "%" in ncr.address_text and step.template.uses_address:
            # An address with a scope is good enough for a reverse name, but not for a record.
            raise NcrError(f"Cannot add address rdata: Bad IN/AAAA RDATA text: '{ncr.address_text}'")
        if step.alone:
            if step.asks is not None:
                return encode_question(ncr.fqdn_wire)
            if step.probes:
                assert transaction.server.doubts is not None
                owner = transaction.server.doubts.owner
                return encode_update(step.template, zone, owner, owner, ncr.address, ncr.dhcid, 0)
            # The compiled layer has no place for the DHCID of another client.
            return encode_update(
                step.template, zone, ncr.fqdn_wire, ncr.fqdn_wire, ncr.address, ncr.dhcid, ncr.lease_length,
                transaction.asked.holding.other,
            )
        owner = ncr.fqdn_wire if step.forward else b""
        return self._packets.encode_update(
            step.template, zone, owner, ncr.fqdn_wire, ncr.address, ncr.dhcid, ncr.lease_length
        )

    # Statistics.

    def count_sent(self, transactions: Sequence[Transaction], wall: float) -> None:
        """Count and log tries that went out."""
        counters = self._counters
        keys = [transaction.key_counters for transaction in transactions]
        # One key for all is the usual case, and one that goes quickly.
        for key_counters in set(keys):
            count = keys.count(key_counters)
            counters.update_sent.add(wall, count)
            if key_counters is None:
                counters.update_unsigned.add(wall, count)
            else:
                counters.update_signed.add(wall, count)
                key_counters.sent.add(wall, count)
        log = self._log
        if "DHCP_DDNS_UPDATE_REQUEST_SENT" in log.on:
            for transaction in transactions:
                log.emit(
                    "DHCP_DDNS_UPDATE_REQUEST_SENT", transaction.ncr.request_id, transaction.step.comment,
                    transaction.server.lane.text,
                )

"""Servers that cannot hold DHCID records: recognised by what they answer, and not asked in vain for ever."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from pyd2.tools.dns_server import make_zone
from pyd2.tools.primary import Primary
from pyd2.update.drive.dhcid_support import AGAIN, DOUBTS, REFUSALS
from tests.kit import ncr
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, answer, domain, make_config, ok, simple_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.update.engine import Outgoing

RETRY = {"enabled": True, "initial-delay": 1.0, "max-delay": 1.0}
SERVFAIL, NOTIMP = dns.rcode.SERVFAIL, dns.rcode.NOTIMP
OF_NONE = 3 * REFUSALS + 2
"""The messages that ask a server which takes none."""


class Samba(Primary):
    """It takes no DHCID records, while ``refusal`` is not NOERROR.

    As the real one it looks at a DHCID that is required only if the name exists.
    """

    refusal: dns.rcode.Rcode = NOTIMP
    module = False
    """Whether it is BIND with Samba's module, which refuses nothing but to add a DHCID."""
    broken = False
    """Whether it can write nothing, and says so when all prerequisites hold."""

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        zone = self.zones[request.zone[0].name]
        rrsets = [*request.update, *(each for each in request.prerequisite if each.name in zone.nodes)]
        if self.module:
            rrsets = [each for each in request.update if each.deleting is None]
        unmet = any(each.name not in zone.nodes for each in request.prerequisite if each.deleting is None)
        if self.refusal and not unmet and any(rrset.rdtype == dns.rdatatype.DHCID for rrset in rrsets):
            reply = dns.message.make_response(request)
            reply.set_rcode(self.refusal)
            return reply
        reply = super()._update(request)
        if self.broken and reply.rcode() == 0:
            reply.set_rcode(SERVFAIL)
        return reply


def asks(update: dns.update.UpdateMessage) -> bool:
    """Whether an update is about no host."""
    return update.update[0].name.to_text().startswith("pyd2-probe-")


class World:
    def __init__(self, **switches: Any) -> None:
        self.samba = Samba({dns.name.from_text("example.com."): make_zone("example.com.")})
        config = make_config(
            simple_map([domain("example.com.", 1)], settings={"user-context": {"pyd2": switches}})
        )
        self.sent: list[dns.update.UpdateMessage] = []
        self.d2 = VirtualD2(config, self.take, keep_sent=False)

    def take(self, outgoing: Outgoing, _now: float) -> list[tuple[float, bytes]]:
        message = dns.message.from_wire(outgoing.message, keyring=False)
        assert isinstance(message, dns.update.UpdateMessage)
        self.sent.append(message)
        return [(0.0, reply) for reply in self.samba.handle(outgoing.message, over_tcp=outgoing.tcp)]

    def request(self, number: int, **more: Any) -> None:
        name = f"h{number}.example.com."
        client = ncr.dhcid(f"client {number}".encode(), name)
        self.d2.request(ncr.request(name, "192.0.2.1", client, reverse=False) | {
            key.replace("_", "-"): value for key, value in more.items()
        })
        self.d2.run(self.d2.now + 0.01)

    @property
    def probes(self) -> int:
        """How many messages were about no host."""
        return sum(map(asks, self.sent))


@pytest.mark.parametrize(("refusal", "module"), [(SERVFAIL, False), (NOTIMP, False), (SERVFAIL, True)])
def test_a_server_without_dhcids_is_recognised(refusal: dns.rcode.Rcode, module: bool) -> None:
    world = World(retry=RETRY)
    world.samba.refusal, world.samba.module = refusal, module
    for number in range(DOUBTS - 1):
        world.request(number)
    assert world.probes == 0
    world.request(DOUBTS)
    assert world.probes == OF_NONE
    (logged,) = world.d2.log.texts("PYD2_SERVER_TAKES_NO_DHCID")
    assert "example.com." in logged
    assert "no-check-without-dhcid" in logged
    failed = world.d2.counters.tally.failed
    for number in range(2 * DOUBTS):
        world.request(100 + number)
    assert world.probes == OF_NONE
    assert world.d2.counters.tally.failed == failed + 2 * DOUBTS
    world.d2.run()
    assert (world.d2.engine.active, world.d2.engine.queued) == (0, 0)


def test_without_retries_nothing_is_asked() -> None:
    """As with Kea: nothing would come of it."""
    world = World()
    world.samba.refusal = SERVFAIL
    for number in range(3 * DOUBTS):
        world.request(number)
    assert world.probes == 0
    assert world.d2.counters.tally.failed == 3 * DOUBTS


def test_what_fails_there_is_not_tried_again() -> None:
    world = World(retry=RETRY)
    world.samba.refusal = SERVFAIL
    for number in range(DOUBTS):
        world.request(number)
    assert world.d2.engine.retries == DOUBTS - 1
    world.d2.run()
    assert world.d2.engine.retries == 0
    reasons = [dead.reason for dead in world.d2.pop_dead_letters()]
    assert reasons == ["SERVFAIL from 127.0.0.1 port:1"] * DOUBTS
    world.request(100)
    assert world.d2.engine.retries == 0


def test_modes_without_dhcid_work() -> None:
    world = World()
    for number in range(DOUBTS):
        world.request(number)
    world.request(100, conflict_resolution_mode="no-check-without-dhcid")
    assert world.d2.counters.tally.done == 1


def test_a_server_in_trouble_is_no_server_without_dhcids() -> None:
    """Its disk is full: it fails whatever it would write, and answers to prerequisites as ever."""
    world = World(retry=RETRY)
    world.samba.refusal = dns.rcode.NOERROR
    world.samba.broken = True
    for number in range(3 * DOUBTS):
        world.request(number)
    assert world.d2.engine.retries == 3 * DOUBTS
    assert world.probes == 1
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids
    world.samba.broken = False
    world.d2.run()
    assert world.d2.counters.tally.done == 3 * DOUBTS


def test_what_a_server_has_added_is_cleared() -> None:
    """PowerDNS removes before it adds. Its trouble is over when it is asked."""
    world = World(retry=RETRY)
    world.samba.refusal = dns.rcode.NOERROR
    own = world.samba._update

    def update(request: dns.update.UpdateMessage) -> dns.message.Message:
        request.update.sort(key=lambda rrset: rrset.deleting is None)
        world.samba.broken = not asks(request)
        return own(request)

    world.samba._update = update  # type: ignore[method-assign]
    for number in range(DOUBTS):
        world.request(number)
    assert world.probes == 4
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids
    (zone,) = world.samba.zones.values()
    assert not [name for name in zone.nodes if "pyd2-probe" in str(name)]


def test_a_server_that_fails_everything_is_none_either() -> None:
    world = World(retry=RETRY)

    def handle(wire: bytes, *, over_tcp: bool) -> list[bytes]:
        return [wire[:2] + bytes((0xA8, SERVFAIL)) + bytes(8)]

    world.samba.handle = handle  # type: ignore[method-assign]
    for number in range(DOUBTS):
        world.request(number)
    assert world.probes == 1
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids
    assert world.d2.engine.retries == DOUBTS


def ask_one_in_trouble(in_trouble: Callable[[int], bool]) -> World:
    """Have a server asked that fails what it would write while it is in trouble.

    Whether it is depends on how many messages that ask it has got, the one at hand included; else it is.
    """
    world = World(retry=RETRY)
    world.samba.refusal = dns.rcode.NOERROR
    own = world.samba._update

    def update(request: dns.update.UpdateMessage) -> dns.message.Message:
        world.samba.broken = not asks(request) or in_trouble(world.probes)
        return own(request)

    world.samba._update = update  # type: ignore[method-assign]
    for number in range(DOUBTS):
        world.request(number)
    return world


@pytest.mark.parametrize("failed", [0, 1])
def test_a_server_whose_trouble_ends_while_it_is_asked(failed: int) -> None:
    """It fails so many of the messages that ask, and takes the others."""
    world = ask_one_in_trouble(lambda number: number <= failed)
    assert world.probes == (1 if failed else 4)
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids


@pytest.mark.parametrize("taken", [1, 2])
def test_a_server_whose_trouble_begins_while_it_is_asked(taken: int) -> None:
    """It takes so many of the messages that ask, and fails the others: it is started again, perhaps."""
    world = ask_one_in_trouble(lambda number: number > taken)
    assert world.probes <= taken + 3
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids
    assert world.d2.engine.retries == DOUBTS


def test_a_server_whose_trouble_comes_and_goes() -> None:
    """It fails each fifth update, of whatever records, and loses nothing."""
    world = World(retry=RETRY)
    world.samba.refusal = dns.rcode.NOERROR
    drawn = random.Random(4701)
    own = world.samba._update

    def update(request: dns.update.UpdateMessage) -> dns.message.Message:
        world.samba.broken = drawn.random() < 0.2
        return own(request)

    world.samba._update = update  # type: ignore[method-assign]
    for number in range(1000):
        world.request(number)
        world.d2.now += 1
    assert world.probes > 5
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids
    world.d2.run()
    assert world.d2.counters.tally.done == 1000


@pytest.mark.parametrize("lost", range(1, 5))
def test_what_a_server_has_added_is_cleared_though_its_answer_was_lost(lost: int) -> None:
    """PowerDNS again. The message is sent again, and the name is in use then."""
    world = World(retry=RETRY)
    world.samba.refusal = dns.rcode.NOERROR
    own = world.samba._update

    def update(request: dns.update.UpdateMessage) -> dns.message.Message:
        request.update.sort(key=lambda rrset: rrset.deleting is None)
        world.samba.broken = not asks(request)
        return own(request)

    def take(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        replies = world.take(outgoing, now)
        return [] if asks(world.sent[-1]) and world.probes == lost else replies

    world.samba._update = update  # type: ignore[method-assign]
    world.d2.peer = take
    for number in range(DOUBTS):
        world.request(number)
    world.d2.run(world.d2.now + 2.0)
    (zone,) = world.samba.zones.values()
    assert world.probes > lost
    assert not [name for name in zone.nodes if "pyd2-probe" in str(name)]
    assert "PYD2_SERVER_TAKES_NO_DHCID" not in world.d2.log.ids


@pytest.mark.parametrize("enabled", [False, True])
def test_the_retries_of_the_server_count(*, enabled: bool) -> None:
    """The switch of a server has precedence over that of its domain."""
    world = World(retry={"enabled": not enabled})
    world.samba.refusal = SERVFAIL
    entry = domain("example.com.", 1)
    entry["dns-servers"][0]["user-context"] = {"pyd2": {"retry": RETRY | {"enabled": enabled}}}
    world.d2.configure(make_config(simple_map([entry])))
    for number in range(DOUBTS):
        world.request(number)
    assert world.probes == (OF_NONE if enabled else 0)


def test_a_request_whose_address_has_a_scope_does_not_ask() -> None:
    """No record can have it: the request would fail for good."""
    world = World(retry=RETRY)
    own = {"user-context": {"pyd2": {"retry": RETRY}}}
    world.d2.configure(make_config(simple_map([], [domain("ip6.arpa.", 1)], own)))
    world.d2.peer = partial(ok, rcode=SERVFAIL)
    for number in range(DOUBTS):
        name = f"h{number}.example.com."
        client = ncr.dhcid(f"client {number}".encode(), name)
        world.d2.request(ncr.request(name, f"fe80::{number + 1}%1", client))
        world.d2.run(world.d2.now + 0.01)
    assert world.d2.engine.retries == DOUBTS


def test_the_ptr_of_a_request_that_fails_so_waits_for_its_servers() -> None:
    """With ``partial-success`` its forward part has failed for good, and the reverse servers are down."""
    world = World()
    own = {"retry": RETRY, "failover": {"enabled": True, "partial-success": True, "breaker-threshold": 1}}
    world.samba.refusal = SERVFAIL
    reverse = domain("2.0.192.in-addr.arpa.", 2)
    world.d2.configure(make_config(
        simple_map([domain("example.com.", 1)], [reverse], {"user-context": {"pyd2": own}})
    ))
    silent = True
    set_there = []

    def take(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        if outgoing.lane.port == 1:
            return world.take(outgoing, now)
        set_there.extend([] if silent else [outgoing])
        return [] if silent else ok(outgoing, now)

    world.d2.peer = take
    for number in range(DOUBTS):
        world.request(number)
    assert "PYD2_SERVER_TAKES_NO_DHCID" in world.d2.log.ids
    for number in range(2):
        name = f"both{number}.example.com."
        world.d2.request(ncr.request(name, f"192.0.2.{number}", ncr.dhcid(b"client", name)))
        world.d2.run(world.d2.now + 2.0)
    assert "PYD2_SERVER_DOWN" in world.d2.log.ids
    silent = False
    world.d2.run()
    assert len(set_there) == 2


def test_two_that_ask_at_the_same_time_fail_as_each_has_failed() -> None:
    """The link is so slow that the first one still asks when the second one may."""
    world = World()
    switches = {"retry": {"enabled": True, "initial-delay": 1000, "max-delay": 1000}}
    own = {"user-context": {"pyd2": switches}, "dns-server-timeout": 200_000}
    world.d2.configure(make_config(simple_map([domain("example.com.", 1)], settings=own)))
    refused = SERVFAIL

    def take(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        world.take(outgoing, now)
        slow = asks(world.sent[-1])
        return [(100.0 if slow else 0.0, answer(outgoing.message, NOTIMP if slow else refused))]

    world.d2.peer = take
    for number in range(2 * DOUBTS):
        if number == DOUBTS:
            refused = NOTIMP
            world.d2.now += AGAIN
        world.request(number)
    assert world.probes == 2
    world.d2.run(world.d2.now + 50.0)
    assert world.d2.engine.retries == DOUBTS
    assert world.d2.counters.tally.failed == DOUBTS - 1


def test_a_server_that_was_replaced_is_asked_again() -> None:
    world = World(retry=RETRY)
    for number in range(DOUBTS):
        world.request(number)
    assert world.probes == OF_NONE
    world.samba.refusal, world.samba.broken = dns.rcode.NOERROR, True
    world.d2.now += AGAIN + 1
    world.request(100)
    assert world.probes == OF_NONE + 1
    owners = {str(message.update[0].name) for message in world.sent if "pyd2-probe" in str(message)}
    assert len(owners) == 1, "Samba keeps a tombstone of each"
    assert len(world.d2.log.texts("PYD2_SERVER_TAKES_DHCID")) == 1
    assert world.d2.engine.retries == 1
    world.samba.broken = False
    world.d2.run()
    assert world.d2.counters.tally.done == 1


def test_a_refusal_that_is_signed_with_the_updates_own_signature() -> None:
    """Samba's NOTIMP proves nothing, so it is a bad reply; what Samba does take, it signs rightly."""
    world = World(retry=RETRY)
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
    key = {"name": "k.test.", "algorithm": "HMAC-SHA256", "secret": secret}
    map_ = simple_map([domain("example.com.", 1, **{"key-name": "k.test."})],
                      settings={"user-context": {"pyd2": {"retry": RETRY}}, "tsig-keys": [key]})
    name = dns.name.from_text("k.test.")
    world.samba.keys[name] = dns.tsig.Key(name, secret, "hmac-sha256.")
    own = world.samba.handle

    def handle(wire: bytes, *, over_tcp: bool) -> list[bytes]:
        asked = parse(wire)
        if any("DHCID" in line for line in (*asked.prereq, *asked.update)):
            assert asked.tsig is not None
            tsig = wire[asked.tsig.start :]
            return [wire[:2] + bytes((0xA8, NOTIMP)) + bytes(7) + b"\1" + tsig]
        return own(wire, over_tcp=over_tcp)

    world.samba.handle = handle  # type: ignore[method-assign]
    world.take = lambda outgoing, _now: [  # type: ignore[method-assign]
        (0.0, reply) for reply in handle(outgoing.message, over_tcp=outgoing.tcp)
    ]
    world.d2.peer = world.take
    world.d2.configure(make_config(map_))
    for number in range(DOUBTS):
        world.request(number)
    assert len(world.d2.log.texts("PYD2_SERVER_TAKES_NO_DHCID")) == 1
    assert world.d2.engine.retries == DOUBTS - 1
    world.d2.run()
    assert world.d2.counters.tally.failed == DOUBTS

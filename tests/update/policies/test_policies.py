"""Policies in the engine: the rows of the tables, races, batches, and servers that do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import pytest

from tests.kit import ncr
from tests.kit.dnswire import parse
from tests.update.policies.rows import (
    A1,
    A2,
    A3,
    DONE,
    FAILED,
    KEPT,
    POLICIES,
    Q1,
    ROWS,
    Row,
    dhcid_of,
    shown,
)
from tests.update.policies.world import World, policy_map
from tests.update.support import answer, make_config

if TYPE_CHECKING:
    from pyd2.config.policy import PolicySwitches
    from pyd2.update.engine import Outgoing

DUAL = {"dual": POLICIES["dual"]}
NAME = "h1.dual.test."


def request(client: str, address: str, change: int = ncr.ADD, name: str = NAME) -> dict[str, Any]:
    return ncr.request(name, address, dhcid_of(client, name), change=change, reverse=False, ttl=600)


def held(*texts: str, name: str = NAME) -> frozenset[tuple[str, str]]:
    return frozenset(shown(text, name) for text in texts)


def give(world: World, name: str, *texts: str) -> None:
    for text in texts:
        kind, data = shown(text, name)
        update = dns.update.UpdateMessage(name.split(".", 1)[1])
        update.add(name, 600, kind, data)
        world.change(update)


def outcome(world: World) -> str:
    ids = world.d2.log.ids
    (found,) = [
        what for what, message in ((DONE, "_SUCCEEDED"), (FAILED, "_FAILED"), (KEPT, "PYD2_REMOVAL_KEPT"))
        if any(message in each for each in ids)
    ]
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.policy}")
def test_the_tables_row_by_row(row: Row) -> None:
    world = World()
    for update in row.setup():
        world.change(update)
    world.d2.request(row.request())
    world.d2.run()
    assert world.records(row.name) == row.records(row.after)
    assert outcome(world) == row.outcome
    assert (world.d2.engine.active, world.d2.engine.queued) == (0, 0)
    tally = world.d2.counters.tally
    assert (tally.done, tally.failed, tally.superseded) == {
        DONE: (1, 0, 0), FAILED: (0, 1, 0), KEPT: (0, 0, 1),
    }[row.outcome]


def test_what_a_policy_has_done_is_logged_and_counted() -> None:
    world = World()
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    give(world, "h2.adopt.test.", f"A {A1}")
    world.d2.request(request("X", A1))
    world.d2.request(request("X", A1, name="h2.adopt.test."))
    world.d2.request(request("X", A1, ncr.REMOVE, name="r60.keep.test."))
    world.d2.run()
    (joined,) = world.d2.log.texts("PYD2_NAME_JOINED")
    assert dhcid_of("V", NAME) in joined
    (adopted,) = world.d2.log.texts("PYD2_NAME_ADOPTED")
    assert A1 in adopted
    assert len(world.d2.log.texts("PYD2_REMOVAL_KEPT")) == 1
    status = world.d2.engine.status(world.d2.wall)
    assert status["policies"] == {"asked": 2, "joined": 1, "adopted": 1, "kept": 1}
    assert world.d2.engine.extended


def test_a_failure_says_whose_the_name_is() -> None:
    world = World()
    give(world, NAME, f"A {A2}", "DHCID Y")
    world.d2.request(request("X", A1))
    world.d2.run()
    (rejected,) = world.d2.log.texts("DHCP_DDNS_FORWARD_REPLACE_REJECTED")
    assert rejected.endswith("RCODE: 8")
    (holds,) = world.d2.log.texts("PYD2_NAME_HOLDS")
    assert dhcid_of("Y", NAME) in holds


def test_without_policies_nothing_is_asked() -> None:
    world = World(map=policy_map({"off": {}}))
    assert not world.d2.engine._plan.policies
    give(world, "h1.off.test.", f"AAAA {Q1}", "DHCID V")
    world.d2.request(request("X", A1, name="h1.off.test."))
    world.d2.run()
    assert world.asked == 0
    assert "policies" not in world.d2.engine.status(world.d2.wall)


def test_a_policy_costs_no_message_while_no_name_is_contested() -> None:
    world = World()
    for change in (ncr.ADD, ncr.ADD, ncr.REMOVE):
        world.d2.request(request("X", A1, change))
        world.d2.run()
    assert world.asked == 0
    assert world.records(NAME) == frozenset()


@pytest.mark.parametrize("key", [False, True], ids=["unsigned", "signed"])
def test_a_question_is_signed_as_the_updates_are(*, key: bool) -> None:
    map_ = policy_map(DUAL)
    if key:
        map_["tsig-keys"] = [{"name": "k.test", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0"}]
        map_["forward-ddns"]["ddns-domains"][0]["key-name"] = "k.test"
    world = World(hold=True, map=map_)
    world.d2.request(request("X", A1))
    for rcode in (6, 8):
        reply(world, rcode)
    (question,) = world.held
    asked = dns.message.from_wire(question.message, keyring=False)
    assert asked.question[0].to_text() == f"{NAME} IN DHCID"
    assert (parse(question.message).tsig is not None) == key


def reply(world: World, rcode: int) -> Outgoing:
    """Answer the first message that is held."""
    outgoing = world.held.pop(0)
    message = answer(outgoing.message, rcode)
    if parse(outgoing.message).tsig is not None:
        message = signed(outgoing.message, rcode)
    world.d2.engine.receive_reply(outgoing.lane, outgoing.slot, message, world.d2.now, world.d2.wall)
    world.d2.flush()
    return outgoing


def signed(query: bytes, rcode: int) -> bytes:
    """Return a signed reply."""
    name = dns.name.from_text("k.test")
    message = dns.message.from_wire(query, keyring={name: dns.tsig.Key(name, "c2VjcmV0", "hmac-sha256.")})
    response = dns.message.make_response(message)
    response.set_rcode(dns.rcode.Rcode(rcode))
    return response.to_wire()


# Who is quicker.

def test_two_of_one_family_that_join_at_once() -> None:
    """Both have seen the same answer; the update of the second one fails, and so does its request."""
    world = World(hold=True, map=policy_map(DUAL))
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    world.d2.request(request("X", A1))
    world.d2.request(request("Y", A2))
    for _ in range(6):
        world.deliver()
    assert world.asked == 2
    world.settle()
    assert world.records(NAME) == held(f"AAAA {Q1}", "DHCID V", f"A {A1}", "DHCID X")
    assert world.d2.counters.tally.failed == 1


def test_the_other_client_leaves_while_one_joins() -> None:
    world = World(hold=True, map=policy_map(DUAL))
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    world.d2.request(request("X", A1))
    for _ in range(3):
        world.deliver()
    world.d2.request(request("V", Q1, ncr.REMOVE))
    assert len(world.held) == 2
    world.deliver(1)
    world.deliver(1)
    assert world.records(NAME) == frozenset()
    world.settle()
    assert world.records(NAME) == held(f"A {A1}", "DHCID X")
    assert world.d2.counters.tally.done == 2


def test_another_client_joins_while_one_removes() -> None:
    """The removal of the address has gone through when the other one's DHCID comes beside the own one."""
    world = World(hold=True, map=policy_map(DUAL))
    give(world, NAME, f"A {A1}", f"A {A2}", "DHCID X")
    world.d2.request(request("X", A1, ncr.REMOVE))
    world.d2.request(request("V", Q1))
    for _ in range(4):
        world.deliver(len(world.held) - 1)
    assert held("DHCID V", "DHCID X") < world.records(NAME)
    world.settle()
    assert world.records(NAME) == held(f"A {A2}", "DHCID X", f"AAAA {Q1}", "DHCID V")
    assert world.d2.counters.tally.done == 2


def test_a_reply_that_is_lost_changes_nothing() -> None:
    world = World(hold=True, map=policy_map(DUAL))
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    world.d2.request(request("X", A1))
    for _ in range(4):  # each message twice, as the first reply to it is lost
        world.lose(reply=True)
        while not world.held:
            world.d2.step()
        world.deliver()
    world.settle()
    assert world.records(NAME) == held(f"AAAA {Q1}", "DHCID V", f"A {A1}", "DHCID X")
    assert world.d2.counters.tally.done == 1


# Servers that do not answer questions.

def to_the_question(world: World) -> None:
    world.d2.request(request("X", A1))
    for rcode in (6, 8):
        reply(world, rcode)


@pytest.mark.parametrize("rcode", [2, 4, 5, 9])
def test_a_server_that_refuses_the_question(rcode: int) -> None:
    world = World(hold=True, map=policy_map(DUAL))
    to_the_question(world)
    (question,) = world.held
    refused = question.message[:2] + bytes((0x80, rcode)) + question.message[4:]
    world.held.clear()
    world.d2.engine.receive_reply(question.lane, question.slot, refused, world.d2.now, world.d2.wall)
    world.d2.flush()
    assert world.held == []
    assert outcome(world) == FAILED


def test_a_server_that_is_silent_is_asked_three_times() -> None:
    world = World(hold=True, map=policy_map(DUAL))
    to_the_question(world)
    sent = []
    while world.d2.engine.active:
        sent += world.held
        world.held.clear()
        world.d2.step()
    assert len(sent) == 3
    assert outcome(world) == FAILED
    assert world.d2.log.ids.count("DHCP_DDNS_FORWARD_REPLACE_TIMEOUT") == 3


def test_the_next_server_is_asked_from_the_first_step_on() -> None:
    map_ = policy_map(DUAL)
    map_["forward-ddns"]["ddns-domains"][0]["dns-servers"].append({"ip-address": "127.0.0.1", "port": 2})
    world = World(hold=True, map=map_)
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    world.d2.request(request("X", A1))
    for _ in range(3):
        world.deliver()
    (joining,) = world.held
    assert joining.lane.port == 1
    while world.held[:1] == [] or world.held[0].lane.port == 1:
        world.held.clear()
        world.d2.step()
    world.settle()
    assert world.records(NAME) == held(f"AAAA {Q1}", "DHCID V", f"A {A1}", "DHCID X")


def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    world = World(hold=True, map=policy_map(DUAL))
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    to_the_question(world)
    (question,) = world.held
    cut = question.message[:2] + b"\x82\x00" + question.message[4:]
    world.held.clear()
    world.d2.engine.receive_reply(question.lane, question.slot, cut, world.d2.now, world.d2.wall)
    world.d2.flush()
    assert [outgoing.tcp for outgoing in world.held] == [True]
    world.settle()
    assert world.records(NAME) == held(f"AAAA {Q1}", "DHCID V", f"A {A1}", "DHCID X")


def test_a_truncated_answer_without_tcp_is_none_of_the_client() -> None:
    world = World(hold=True, map=policy_map(DUAL))
    to_the_question(world)
    (question,) = world.held
    cut = question.message[:2] + b"\x82\x00" + question.message[4:]
    world.held.clear()
    world.d2.engine.receive_reply(question.lane, question.slot, cut, world.d2.now, world.d2.wall)
    world.d2.flush()
    (over_tcp,) = world.held
    world.held.clear()
    world.d2.engine.send_failed(over_tcp, "refused", world.d2.now, world.d2.wall)
    world.d2.flush()
    assert outcome(world) == FAILED
    assert "NXRRSET" in world.d2.log.texts("DHCP_DDNS_UPDATE_RESPONSE_RECEIVED")[-1]


# Batches.

@pytest.mark.parametrize("debuglevel", [0, 55])
def test_names_that_are_shared_go_alone_between_batches(debuglevel: int) -> None:
    """What a batch leaves over goes by the table of its kind, and nothing of that comes into a batch."""
    map_ = policy_map(POLICIES, lanes={"batch": 20, "max-in-flight": 2})
    world = World(map=map_, debuglevel=debuglevel, addresses={A1: "X", Q1: "V"})
    names = [f"b{number}.{zone}.test." for number in range(40) for zone in ("dual", "all", "off")]
    for number, name in enumerate(names):
        if number % 4 == 0:
            give(world, name, f"AAAA {Q1}", "DHCID V")
        elif number % 7 == 0:
            give(world, name, f"A {A3}")
    send(world, [request("X", A1, name=name) for name in names])
    batched = world.d2.engine.lanes[0].batched
    assert batched is not None
    assert batched.batches > 1
    for number, name in enumerate(names):
        zone = name.split(".")[1]
        mine = held(f"A {A1}", "DHCID X", name=name)
        theirs = held(f"AAAA {Q1}", "DHCID V", name=name)
        if number % 4 == 0:
            assert world.records(name) == (theirs if zone == "off" else mine | theirs), name
        elif number % 7 == 0:
            assert world.records(name) == held(f"A {A3}", name=name), name
        else:
            assert world.records(name) == mine, name
    send(world, [request("X", A1, ncr.REMOVE, name=name) for name in names])
    for number, name in enumerate(names):
        left = held(f"AAAA {Q1}", "DHCID V", name=name) if number % 4 == 0 else frozenset()
        if number % 4 and number % 7 == 0:
            left = held(f"A {A3}", name=name)
        assert world.records(name) == left, name


def send(world: World, requests: list[dict[str, Any]]) -> None:
    """Let a D2 get requests in one turn, and do all their work."""
    world.d2.engine.receive_requests([ncr.datagram(each) for each in requests], world.d2.now, world.d2.wall)
    world.d2.flush()
    world.d2.run()


# Retries, and what is kept.

def test_a_removal_that_waits_for_a_retry_is_kept_once_the_policy_says_so() -> None:
    retry = {"enabled": True, "initial-delay": 1.0, "max-delay": 1.0}
    world = World(hold=True, map=policy_map(DUAL, retry=retry))
    world.d2.request(request("X", A1, ncr.REMOVE))
    reply(world, 2)
    assert world.d2.engine.retries == 1
    kept = policy_map({"dual": {"keep": [NAME]}}, retry=retry)
    world.d2.configure(make_config(kept))
    world.d2.run()
    assert world.held == []
    assert outcome(world) == KEPT
    assert (world.d2.engine.active, world.d2.engine.queued) == (0, 0)


def test_a_ptr_is_removed_though_addresses_of_the_other_family_are_left() -> None:
    for zone, wanted in (("off", {"1.2.0.192.in-addr.arpa."}), ("yxrrset", set())):
        world = World()
        name = f"h1.{zone}.test."
        for address in (A1, Q1):
            world.d2.request(request("R", address, name=name) | {"reverse-change": address == A1})
            world.d2.run()
        world.d2.request(request("R", A1, ncr.REMOVE, name=name) | {"reverse-change": True})
        world.d2.run()
        assert {each for each in world.everything() if each.endswith("arpa.")} == wanted


# One host.

class Leases:
    """Answers for the DHCP servers."""

    def __init__(self, differs: str | Exception) -> None:
        self.differs = differs
        self.asked: list[tuple[bytes, str, tuple[bytes, bytes]]] = []

    def __call__(
        self, policy: PolicySwitches, name: bytes, text: str, dhcids: tuple[bytes, bytes]
    ) -> str:
        assert policy.dhcp4_socket == "/4"
        self.asked.append((name, text, dhcids))
        if isinstance(self.differs, Exception):
            raise self.differs
        return self.differs


def same_host(differs: str | Exception, **switches: Any) -> tuple[World, Leases]:
    policy = {"dual-stack": "same-host", "dhcp4-socket": "/4", "dhcp6-socket": "/6"}
    leases = Leases(differs)
    world = World(map=policy_map({"dual": policy}, **switches), what_differs=leases)
    give(world, NAME, f"AAAA {Q1}", "DHCID V")
    return world, leases


@pytest.mark.parametrize(("differs", "result"), [
    ("", DONE), ("they differ", FAILED), (OSError("silent"), FAILED),
])
def test_a_name_is_shared_only_by_one_host(differs: str | Exception, result: str) -> None:
    world, leases = same_host(differs)
    world.d2.request(request("X", A1))
    world.d2.run()
    (asked,) = leases.asked
    assert asked[1:] == (NAME, tuple(bytes.fromhex(dhcid_of(client, NAME)) for client in "XV"))
    assert outcome(world) == result
    shared = held(f"A {A1}", "DHCID X", f"AAAA {Q1}", "DHCID V")
    assert world.records(NAME) == (shared if result == DONE else held(f"AAAA {Q1}", "DHCID V"))
    if result == DONE:
        world.d2.request(request("X", A2))
        world.d2.run()
        assert len(leases.asked) == 1


def test_servers_that_cannot_be_asked_are_asked_again_with_a_retry() -> None:
    retry = {"enabled": True, "initial-delay": 1.0, "max-delay": 1.0}
    world, leases = same_host(OSError("silent"), retry=retry)
    world.d2.request(request("X", A1))
    world.d2.run(world.d2.now + 0.01)
    assert world.d2.engine.retries == 1
    leases.differs = ""
    world.d2.run()
    assert outcome(world) == DONE
    assert len(leases.asked) == 2

"""Every recorded transaction of the real server, through the engine in virtual time.

What the engine does in another way, on purpose, is listed here, each case with its row of the decisions.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit import replies
from tests.kit.dnswire import describe, parse
from tests.update.support import SendError, VirtualD2, make_config, statistics

CASES = Path(__file__).parents[1] / "conformance" / "data" / "transactions"
NAMES = sorted(path.stem for path in CASES.glob("*.json"))
PORTS = {53981: "A", 53982: "B", 53983: "C"}

DIFFERENT = {
    "resp-wrong-id": "decision 4: ignored; the try goes on until its timeout",
    "resp-one-byte": "decision 4: ignored; the try goes on until its timeout",
    "resp-other-source": "decision 4: ignored; the try goes on until its timeout",
    "resp-tc": "decision 2: a truncated reply makes the try go on over TCP",
    "trunc-dhcid-480-bytes": "decision 2: a message over 512 octets goes over TCP, whole",
    "trunc-dhcid-480-replace": "decision 2: a message over 512 octets goes over TCP, whole",
    "trunc-tsig-sha512-long-fqdn": "decision 2: a message over 512 octets goes over TCP, whole",
    "cwd-add-pingpong-20": "decision 11: the transaction fails after 10 rounds",
    "cewd-add-pingpong-20": "decision 11: the transaction fails after 10 rounds",
    "match-nodot-domain": "decision 19: a domain without its final dot matches",
}


class ScriptedPeer:
    """The recorded cases' servers: one script for all; NOERROR when it is used up."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.script = list(case["replies"])
        self.keys = {
            entry["name"].lower().rstrip(".") + ".": base64.b64decode(entry["secret"])
            for entry in case["config"]["DhcpDdns"].get("tsig-keys", ())
        }
        self.updates: list[dict[str, Any]] = []
        self.transports: list[str] = []

    def __call__(self, outgoing: Any, now: float) -> list[tuple[float, bytes]]:
        if str(outgoing.lane.address) == "255.255.255.255":
            raise SendError(13)
        server = PORTS.get(outgoing.lane.port)
        if server is None:
            return []
        action = self.script.pop(0) if self.script else {"rcode": 0}
        message = parse(outgoing.message)
        self.updates.append(describe(message, server, self.keys))
        self.transports.append("tcp" if outgoing.tcp else "udp")
        if action.get("mutate") == "other-source":
            return []  # the shell's sockets do not let it through
        reply = replies.build(message, action, self.keys)
        return [] if reply is None else [(action.get("delay", 0.0), reply)]


def run(name: str) -> tuple[dict[str, Any], dict[str, Any], ScriptedPeer]:
    """Return a case, what the engine made of it in the recorded form, and its servers."""
    case = json.loads((CASES / f"{name}.json").read_text())
    peer = ScriptedPeer(case)
    d2 = VirtualD2(make_config(case["config"]["DhcpDdns"]), peer)
    del d2.log.lines[:]
    for ncr in case["ncr"]:
        d2.request(ncr)
        d2.run()
    assert (d2.engine.active, d2.engine.queued) == (0, 0)
    recorded = ("d2-to-dns", "dhcp-to-d2")
    log = [line for line in d2.log.lines if line[0] != "DEBUG" or line[1].endswith(recorded)]
    outcome = {
        "updates": peer.updates, "log": log, "stats": statistics(d2.counters),
        "ignored": d2.counters.replies_ignored.value,
    }
    return case["result"], outcome, peer


def in_new_form(updates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The header's ID is the one that was signed (the decisions' row TSIG)."""
    for update in updates:
        if "tsig" in update:
            update["tsig"]["original_id_equals_header_id"] = True
    return updates


def test_the_differing_cases_exist() -> None:
    assert set(DIFFERENT) - set(NAMES) == set()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DIFFERENT])
def test_as_the_real_server(name: str) -> None:
    expected, outcome, _ = run(name)
    assert outcome["updates"] == in_new_form(expected["updates"])
    assert outcome["log"] == expected["log"]
    # Kea deletes a key's statistics at reconfigurations, and the recording reconfigured: decision 14.
    assert expected["stats"].items() <= outcome["stats"].items()
    surplus = {name: value for name, value in outcome["stats"].items() if name not in expected["stats"]}
    assert all(name.startswith("key[") and value == 0 for name, value in surplus.items())


@pytest.mark.parametrize("name", ["resp-wrong-id", "resp-one-byte", "resp-other-source"])
def test_what_answers_nothing_is_ignored_and_the_try_goes_on(name: str) -> None:
    expected, outcome, _ = run(name)
    assert outcome["updates"] == expected["updates"]
    assert [line[2] for line in outcome["log"]] == [
        "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE", "DHCP_DDNS_STARTING_TRANSACTION",
        "DHCP_DDNS_UPDATE_REQUEST_SENT", "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED",
        "DHCP_DDNS_FORWARD_ADD_TIMEOUT",
        "DHCP_DDNS_UPDATE_REQUEST_SENT", "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED", "DHCP_DDNS_ADD_SUCCEEDED",
    ]
    assert outcome["stats"]["update-timeout"] == 1
    assert outcome["stats"]["update-sent"] == 2
    assert outcome["ignored"] == (0 if name == "resp-other-source" else 1)


def test_a_truncated_reply_makes_the_try_go_on_over_tcp() -> None:
    expected, outcome, peer = run("resp-tc")
    assert peer.transports == ["udp", "tcp"]
    assert outcome["updates"] == expected["updates"] * 2
    assert outcome["log"] == expected["log"]
    assert outcome["stats"] == expected["stats"]


@pytest.mark.parametrize(
    "name", ["trunc-dhcid-480-bytes", "trunc-dhcid-480-replace", "trunc-tsig-sha512-long-fqdn"]
)
def test_a_message_over_512_octets_goes_over_tcp_whole(name: str) -> None:
    expected, outcome, peer = run(name)
    assert outcome["log"] == expected["log"]
    assert outcome["stats"] == expected["stats"]
    triples = zip(outcome["updates"], expected["updates"], peer.transports, strict=True)
    for update, recorded, transport in triples:
        assert transport == ("tcp" if len(update["hex"]) > 2 * 512 else "udp")
        assert update["flags"] == "0x2800"
        assert "0x2a00" in {recorded["flags"], *(u["flags"] for u in expected["updates"])}
        assert len(update["update"]) >= len(recorded["update"])
    assert "tcp" in peer.transports


@pytest.mark.parametrize("name", ["cwd-add-pingpong-20", "cewd-add-pingpong-20"])
def test_adding_and_replacing_in_turn_ends_after_ten_rounds(name: str) -> None:
    expected, outcome, _ = run(name)
    assert len(expected["updates"]) > 20
    assert outcome["updates"] == expected["updates"][:20]
    *before, rejected, failed = outcome["log"]
    assert before == expected["log"][:len(before)]
    assert rejected[2:] == ["DHCP_DDNS_FORWARD_REPLACE_REJECTED", rejected[3]]
    assert rejected[3].endswith("with an RCODE: 3")
    assert failed[2] == "DHCP_DDNS_ADD_FAILED"
    assert "Status: Failed, Event: UPDATE_FAILED_EVT,  Forward change: failed, " in failed[3]


def test_a_domain_without_its_final_dot_matches() -> None:
    expected, outcome, _ = run("match-nodot-domain")
    assert [(update["server"], update["zone"]) for update in expected["updates"]] == [
        ("C", ["*. IN SOA"]), ("B", ["2.0.192.in-addr.arpa. IN SOA"]),
    ]
    assert [(update["server"], update["zone"]) for update in outcome["updates"]] == [
        ("A", ["nodot.org. IN SOA"]), ("B", ["2.0.192.in-addr.arpa. IN SOA"]),
    ]
    assert outcome["log"][-1] == expected["log"][-1]

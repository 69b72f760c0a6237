"""Every recorded transaction of the real server, through the engine in virtual time."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import deviations
from tests.conformance.recordings import KEA_2_6
from tests.kit import replies
from tests.kit.dnswire import describe, parse
from tests.update.support import SendError, VirtualD2, make_config, statistics

CASES = Path(__file__).parents[2] / "conformance" / "data" / "transactions"
NAMES = sorted(path.stem for path in CASES.glob("*.json"))
PORTS = {53981: "A", 53982: "B", 53983: "C"}


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


def run(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was recorded of a case, and the same of what the engine did."""
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
    updates = [
        update | ({"transport": "tcp"} if transport == "tcp" else {})
        for update, transport in zip(peer.updates, peer.transports, strict=True)
    ]
    return case["result"], {"updates": updates, "log": log, "stats": statistics(d2.counters)}


@pytest.mark.parametrize("name", NAMES)
def test_as_the_real_server(name: str) -> None:
    """Or as ``tests.conformance.deviations`` changes what the real server did."""
    recorded, outcome = run(name)
    expected = deviations.expected(KEA_2_6, "transactions", name, recorded)
    assert outcome["updates"] == expected["updates"]
    assert outcome["log"] == expected["log"]
    # Kea deletes the statistics of a key at reconfigurations, and the recording reconfigured.
    assert expected["stats"].items() <= outcome["stats"].items()
    surplus = {name: value for name, value in outcome["stats"].items() if name not in expected["stats"]}
    assert all(name.startswith("key[") and value == 0 for name, value in surplus.items())

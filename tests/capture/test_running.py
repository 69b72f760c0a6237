"""Captures of running daemons with BIND: by packets, and by the daemon itself; a replay gives equal zones."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from base64 import b64decode
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dns.message
import dns.opcode
import pytest

from pyd2.tools.cli import main
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until
from tests.tools.replay.captures import ETHERNET, Frame, pcap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.dns_servers import Record

pytestmark = pytest.mark.peers

KEY = TsigKey.of("HMAC-SHA256")
ZONES = ("example.com.", "2.0.192.in-addr.arpa.")
_OUTGOING = 4
"""The kind of a packet that a loopback interface shows a second time (linux/if_packet.h)."""


class Site:
    """A daemon with a BIND of its own."""

    d2: D2
    bind: dns_servers.DnsServer
    port: int

    def zones(self) -> dict[str, set[Record]]:
        return {zone: self.bind.records(zone) for zone in ZONES}

    def wait(self, count: int) -> None:
        """Wait until so many requests have ended."""

        def ended() -> int:
            found = self.d2.command("status-get")["arguments"]["pyd2"]["requests"]
            return sum(found[name] for name in ("done", "failed", "unmatched"))

        wait_until(lambda: ended() == count, f"{count} requests to end")


@contextmanager
def site(d2_binary: str, layer: str = "compiled", **lanes: Any) -> Iterator[Site]:
    found = Site()
    with ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        found.port = lease.take()
        found.bind = stack.enter_context(dns_servers.bind(ZONES, KEY))
        server = {"ip-address": "127.0.0.1", "port": found.bind.port}
        own: dict[str, Any] = {
            "capture": True,
            "retry": {"enabled": True, "initial-delay": 3600, "max-delay": 3600},
            "lanes": lanes,
        }

        def domains(name: str) -> dict[str, Any]:
            return {"ddns-domains": [{"name": name, "key-name": KEY.name, "dns-servers": [server]}]}

        body = config(
            found.port,
            {
                "tsig-keys": [KEY.kea()],
                "dns-server-timeout": 20000,
                "forward-ddns": domains(ZONES[0]),
                "reverse-ddns": domains(ZONES[1]),
                "user-context": {"pyd2": own},
            },
        )
        directory = stack.enter_context(private_directory())
        found.d2 = stack.enter_context(D2.start(d2_binary, directory, body, env={"PYD2_PACKET_LAYER": layer}))
        found.d2.wait_for_listener(found.port)
        yield found
        assert "PYD2_INTERNAL_ERROR" not in found.d2.process.output()


def stream(count: int) -> list[bytes]:
    """Return requests of clients that come and go; each has its name and its addresses."""
    chance = random.Random(count)
    found = []
    for _ in range(count):
        host = chance.randrange(20)
        name = f"h{host}.example.com."
        found.append(
            ncr.datagram(
                ncr.request(
                    name,
                    f"192.0.2.{chance.choice([10, 100]) + host}",
                    ncr.dhcid(b"%d" % host, name),
                    change=chance.choice([ncr.ADD, ncr.ADD, ncr.REMOVE]),
                    ttl=chance.choice([600, 3600]),
                )
            )
        )
    return [*found, ncr.datagram(b"{ no request")]


def send(site: Site, datagrams: list[bytes]) -> None:
    for octets in datagrams:
        ncr.send(octets, site.port)
    site.wait(len(datagrams) - 1)


def replayed(d2_binary: str, path: Path, count: int, *options: str) -> dict[str, set[Record]]:
    """Return what another daemon and another BIND make of a capture of so many requests."""
    with site(d2_binary) as other:
        to = f"127.0.0.1:{other.port}"
        assert main(["replay", str(path), "--to", to, "--speed", "max", *options]) == 0
        other.wait(count)
        return other.zones()


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea captures nothing")


class Sniffer:
    """Keeps the packets to a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self.frames: list[Frame] = []
        self._port = port.to_bytes(2, "big")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.settimeout(0.1)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                octets, (_, _, kind, _, _) = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            if (
                kind != _OUTGOING
                and octets[23:24] == b"\x11"
                and self._port in (octets[34:36], octets[36:38])
            ):
                self.frames.append(Frame(octets, time.time()))

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()


def test_the_packets_of_a_run_replayed_give_equal_zones(d2_binary: str, tmp_path: Path) -> None:
    datagrams = stream(150)
    with site(d2_binary) as first:
        sniffer = Sniffer(first.port)
        try:
            send(first, datagrams)
            wait_until(lambda: len(sniffer.frames) >= len(datagrams), "all packets")
        finally:
            sniffer.close()
        zones = first.zones()
    assert all(map(len, zones.values()))
    path = tmp_path / "d2.pcap"
    path.write_bytes(pcap(sniffer.frames, ETHERNET))
    assert replayed(d2_binary, path, len(datagrams) - 1, "--port", str(first.port)) == zones


@pytest.mark.parametrize(
    ("layer", "lanes"),
    [
        ("compiled", {}),
        ("plain", {}),
        ("compiled", {"transport": "tcp"}),
        ("compiled", {"batch": 20}),
    ],
)
def test_a_capture_of_the_daemon(d2_binary: str, tmp_path: Path, layer: str, lanes: dict[str, Any]) -> None:
    datagrams = stream(120)
    with site(d2_binary, layer, **lanes) as first:
        before = ncr.datagram(
            ncr.request("early.example.com.", "192.0.2.9", ncr.dhcid(b"e", "early.example.com."))
        )
        send(first, [before, b""])
        answer = first.d2.command("pyd2-capture-start", {"file": "capture", "what": "both"})
        assert answer["result"] == 0, answer
        sent = first.d2.statistics()["update-sent"]
        for octets in datagrams:
            ncr.send(octets, first.port)
        first.wait(len(datagrams))
        sent = first.d2.statistics()["update-sent"] - sent
        answer = first.d2.command("pyd2-capture-stop")
        assert answer["result"] == 0, answer
        send_after = ncr.datagram(
            ncr.request("late.example.com.", "192.0.2.8", ncr.dhcid(b"l", "late.example.com."))
        )
        zones = first.zones()
        ncr.send(send_after, first.port)
        first.wait(len(datagrams) + 1)
        path = tmp_path / "capture"
        path.write_bytes((first.d2.directory / "capture").read_bytes())
        log = first.d2.stdout()
    assert "PYD2_CAPTURE_STARTED" in log
    assert "PYD2_CAPTURE_ENDED" in log
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert answer["arguments"] == {
        "file": str(first.d2.directory / "capture"),
        "lines": len(lines),
        "bytes": path.stat().st_size,
        "lost": 0,
    }
    assert KEY.secret not in path.read_text()
    assert sum("request" in line for line in lines) == len(datagrams) - 1
    assert sum("datagram" in line for line in lines) == 1
    updates = [line for line in lines if "update" in line]
    if not lanes.get("batch"):
        assert len(updates) == sent
    for line in updates:
        update, reply = b64decode(line["update"]), b64decode(line["reply"])
        assert update[:2] == reply[:2]
        assert dns.message.from_wire(update, keyring=False).opcode() == dns.opcode.UPDATE
        assert dns.message.from_wire(reply, keyring=False).had_tsig
        assert line["server"] == f"127.0.0.1:{first.bind.port}"
        assert line["ms"] >= 0
    if layer == "compiled" and not lanes:
        found = replayed(d2_binary, path, len(datagrams) - 1)
        for zone, records in zones.items():
            late = {record for record in records if not record[0].startswith(("early.", "9.2.0."))}
            assert found[zone] ^ late == set()


def test_a_stop_of_the_daemon_ends_a_capture(d2_binary: str) -> None:
    with site(d2_binary) as first:
        assert first.d2.command("pyd2-capture-start", {"file": "capture"})["result"] == 0
        ncr.send(stream(1)[0], first.port)
        first.wait(1)
        first.d2.stop()
        assert (first.d2.directory / "capture").read_bytes().count(b"\n") == 1
        assert "ended: the server stops" in first.d2.stdout().replace("has ended", "ended")


def test_a_capture_goes_on_at_another_port_and_ends_with_its_switch(d2_binary: str) -> None:
    with site(d2_binary) as first, PortLease() as lease:
        assert first.d2.command("pyd2-capture-start", {"file": "capture"})["result"] == 0
        one, two, *_ = stream(2)
        ncr.send(one, first.port)
        first.wait(1)
        whole = {"DhcpDdns": first.d2.command("config-get")["arguments"]["DhcpDdns"]}
        whole["DhcpDdns"]["port"] = port = lease.take()
        assert first.d2.command("config-set", whole)["result"] == 0
        first.d2.wait_for_listener(port)
        ncr.send(two, port)
        first.wait(2)
        whole["DhcpDdns"]["user-context"]["pyd2"]["capture"] = False
        assert first.d2.command("config-set", whole)["result"] == 0
        assert first.d2.command("pyd2-capture-stop")["result"] == 2
        assert "the configuration no longer allows it" in first.d2.stdout()
        lines = (first.d2.directory / "capture").read_text().splitlines()
        assert [json.loads(line)["request"] for line in lines] == [json.loads(one[2:]), json.loads(two[2:])]

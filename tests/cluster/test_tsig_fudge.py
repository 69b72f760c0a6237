"""``tsig-fudge``: an update of a former owner that arrives late takes no effect, at a real BIND."""

from __future__ import annotations

import asyncio
import base64
import signal
import socket
import time
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rdtypes.ANY.TSIG
import dns.update
import pytest

from pyd2.cluster import owner
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.plain import PlainLayer
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, create_streams
from tests.cluster.played import LEASE, Node, new_site, until
from tests.cluster.site import SITE, ZONE, Machine, machine_config
from tests.faults.load import domain
from tests.kit import dns_servers, ncr
from tests.kit.d2 import private_directory
from tests.kit.nats_servers import NatsServer, nats_servers
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until
from tests.queue.nats.played import connected, of_real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.packets.layer import PacketLayer
    from pyd2.queue.shared.ownership import Moment

pytestmark = pytest.mark.peers

KEY = TsigKey.of("HMAC-SHA256")
FUDGE = 2


@pytest.fixture(scope="module")
def bind() -> Iterator[dns_servers.DnsServer]:
    with dns_servers.bind([ZONE], KEY) as server:
        yield server


def ask(port: int, message: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(message, ("127.0.0.1", port))
        return sock.recv(4096)


def tsig_of(message: bytes) -> dns.rdtypes.ANY.TSIG.TSIG:
    record = dns.message.from_wire(message, keyring=False, ignore_trailing=True).tsig
    assert record is not None
    tsig = record[0]
    assert isinstance(tsig, dns.rdtypes.ANY.TSIG.TSIG)
    return tsig


@pytest.mark.parametrize("layer", [PlainLayer(), CompiledLayer()], ids=["plain", "compiled"])
@pytest.mark.parametrize(("fudge", "age", "taken"), [
    (300, 0, True), (300, 60, True), (300, 400, False), (5, 0, True), (5, 60, False),
])  # fmt: skip
def test_an_update_that_is_delivered_after_its_fudge_changes_nothing(
    bind: dns_servers.DnsServer, layer: PacketLayer, fudge: int, age: int, *, taken: bool
) -> None:
    """It was signed ``age`` seconds before."""
    name = f"{layer.name}-{fudge}-{age}"
    update = dns.update.UpdateMessage(ZONE)
    update.add(name, 60, "A", "192.0.2.1")
    key = layer.key(KEY.name, KEY.algorithm, base64.b64decode(KEY.secret), 0)
    if fudge != key.fudge:
        key.set_fudge(fudge)
    now = int(time.time())
    context = key.create_context()
    reply = ask(bind.port, context.sign(update.to_wire(), 0x1234, now - age))
    found = dns.message.from_wire(reply, keyring=False, ignore_trailing=True)
    expected = (dns.rcode.NOERROR, dns.rcode.NOERROR) if taken else (dns.rcode.NOTAUTH, dns.rcode.BADTIME)
    assert (found.rcode(), tsig_of(reply).error) == expected
    assert (f"{name}.{ZONE}" in {record[0] for record in bind.records(ZONE)}) is taken
    if age <= 300:  # the reply is signed: the daemon believes it, and a NOTAUTH may pass
        assert layer.read_reply(reply, context, now) == expected[0]


def test_a_key_signs_with_another_fudge_at_once() -> None:
    for layer in (PlainLayer(), CompiledLayer()):
        key = layer.key("k.", "hmac-sha256", b"secret", 0)
        message = dns.update.UpdateMessage(ZONE).to_wire()
        fudges = []
        for fudge in (None, 7, 300):
            if fudge is not None:
                key.set_fudge(fudge)
            signed = key.create_context().sign(message, 1, 1000)
            fudges.append(tsig_of(signed).fudge)
        assert fudges == [300, 7, 300]
        key.set_fudge(9)
        prepared = CompiledLayer().prepare_key(key).create_context().sign(message, 1, 1000)
        assert tsig_of(prepared).fudge == 9


async def make_streams(server: NatsServer) -> None:
    async with connected(of_real(server)) as connection:
        await create_streams(JetStream(connection), Site(SITE), 1)


def test_an_owner_whose_updates_were_delivered_too_late_makes_them_again(
    d2_binary: str, is_pyd2: bool
) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    with PortLease() as lease, private_directory() as directory, nats_servers() as (nats,), \
            dns_servers.bind([ZONE], KEY) as server:
        asyncio.run(make_streams(nats))
        zone = domain(ZONE, server.port, **{"key-name": KEY.name})
        settings = machine_config(directory, "m1", lease.take(), zone, [f"nats://127.0.0.1:{nats.port}"],
                                  **{"tsig-fudge": FUDGE})
        settings["DhcpDdns"]["tsig-keys"] = [KEY.kea()]
        settings["DhcpDdns"]["user-context"]["pyd2"]["retry"] = {"enabled": True, "initial-delay": 0.1}
        machine = Machine(d2_binary, directory, "m1", settings)
        try:
            machine.start()
            machine.until_owner()
            server.process.send_signal(signal.SIGSTOP)
            wanted = {}
            for number in range(10):
                name = f"host{number}.{ZONE}"
                wanted[name] = f"192.0.2.{number}"
                dhcid = ncr.dhcid(b"client %d" % number, name)
                machine.send(ncr.datagram(ncr.request(name, wanted[name], dhcid, reverse=False)))
            wait_until(lambda: machine.d2.statistics()["update-sent"] == 10, "updates to be sent")
            sent = time.time()
            wait_until(lambda: time.time() > sent + FUDGE + 1, "the end of the signatures")
            server.process.send_signal(signal.SIGCONT)

            def addresses() -> dict[str, str]:
                return {name: data for name, _, kind, data in server.records(ZONE) if kind == "A"}

            wait_until(lambda: addresses() == wanted, "the zone to be right")
            assert machine.d2.statistics()["update-sent"] >= 20
            assert machine.d2.stop() == 0
            assert "NOTAUTH from 127.0.0.1" in machine.d2.stdout()
        finally:
            machine.d2.process.kill()


def test_what_a_pause_may_have_held_back_is_as_old_as_the_last_look_at_the_lease(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted from the last write of the record.

    With a lease above the half of ``tsig-fudge`` each pause threw away what was prepared, and all was
    repeated from the floor.
    """
    async def scenario() -> None:
        async with new_site(server, "pauses"):
            node = Node(server, "pauses", "n1")
            await node.until_logged("PYD2_CLUSTER_CLAIMED")
            await until(node.owner.may_send, "the lease")
            await until(lambda: node.host.term, "a term")
            stands = owner.moment

            def later() -> Moment:
                return stands()._replace(boot=stands().boot + LEASE / 2)

            monkeypatch.setattr(owner, "moment", later)
            looked = later().boot
            assert node.owner.may_send()
            with monkeypatch.context() as patch:
                patch.setattr(owner, "moment", lambda: later()._replace(wall=later().wall + LEASE))
                assert not node.owner.may_send()
            await node.until_logged("PYD2_CLUSTER_RESUMED")
            (seconds,) = node.host.resumed
            assert 0 <= seconds <= later().boot - looked
            await node.kill()

    asyncio.run(scenario())

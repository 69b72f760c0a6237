"""Batches with real DNS servers: zones end as they do one by one, whatever is lost, killed or restarted."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop import stream
from tests.interop.batches import (
    SERVERS,
    Sender,
    batches_of,
    body,
    killed_and_left_alone,
    requests,
    running,
    send_in_turn,
    status,
    zones,
    zones_of_singles,
)
from tests.kit import dns_servers
from tests.kit.adversity import Adversity, Faults
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey

if TYPE_CHECKING:
    from tests.interop.batches import Serve

pytestmark = pytest.mark.peers


def outcome(binary: str, serve: Serve, key: TsigKey | None, batch: int, seed: int, count: int) -> Any:
    """Return what the zones hold after requests, and how many batches there were."""
    strangers, found = requests(seed, count)
    with running(binary, serve, key, batch) as (d2, server, port):
        send_in_turn(d2, port, strangers, found)
        return zones(server), batches_of(d2) if batch > 1 else 0, d2.statistics()


@pytest.mark.parametrize(("name", "batch", "key", "seed"), [
    ("bind", 50, None, 1), ("bind", 8, TsigKey.of("HMAC-SHA256"), 2),
    ("knot", 8, TsigKey.of("HMAC-SHA512"), 3), ("knot", 200, None, 4),
    ("powerdns", 50, None, 5), ("powerdns", 8, TsigKey.of("HMAC-SHA512"), 6),
], ids=["bind", "bind-signed", "knot-signed", "knot", "powerdns", "powerdns-signed"])
def test_zones_end_as_they_do_one_by_one(
    d2_binary: str, name: str, batch: int, key: TsigKey | None, seed: int
) -> None:
    serve = SERVERS[name]
    wanted, _, _ = outcome(d2_binary, serve, key, 1, seed, 800)
    got, batches, found = outcome(d2_binary, serve, key, batch, seed, 800)
    assert got == wanted
    assert batches > 10
    assert found["update-timeout"] == found["update-error"] == 0


def test_the_page_counts_them(d2_binary: str) -> None:
    strangers, found = requests(8, 200)
    with PortLease() as lease:
        pages = {"pyd2": {"web": True}}
        http = {"socket-type": "http", "socket-port": lease.take(), "user-context": pages}
        with running(d2_binary, dns_servers.bind, None, 50, http=[http]) as (d2, _, port):
            send_in_turn(d2, port, strangers, found)
            (server,) = status(d2)["servers"]
            with urllib.request.urlopen(
                f"http://127.0.0.1:{http['socket-port']}/api/v1/servers", timeout=20
            ) as response:
                (shown,) = json.load(response)["servers"]
    assert shown["batches"] == server["batches"]
    assert server["batches"]["updates"] > server["batches"]["sent"] > 0
    assert shown["gss"] is None


@pytest.mark.parametrize("batch", [8, 50])
def test_replies_that_are_lost(d2_binary: str, batch: int) -> None:
    """With a retry each request succeeds in the end, though some of its tries are lost three times."""
    strangers, found = requests(7, 800, modes=["check-with-dhcid"])
    retry = {"enabled": True, "initial-delay": 0.1, "max-delay": 1}
    wanted = zones_of_singles(d2_binary, dns_servers.bind, strangers, found)
    with PortLease() as lease, private_directory() as directory, dns_servers.bind(stream.ZONES) as server:
        port, before = lease.take(), lease.take()
        with Adversity(before, server.port, Faults(), seed=3) as network:
            text = config(port, body(port, before, None, batch, retry=retry) | {"dns-server-timeout": 200})
            with D2.start(d2_binary, directory, text) as d2:
                d2.wait_for_listener(port)
                sender = Sender(d2, port)
                sender.send(strangers)
                sender.wait()
                network.become(Faults(lose=0.05))
                sender.send(found)
                sender.wait()
                sender.close()
                assert batches_of(d2) > 10
                assert network.counts["lose"] > 10
                assert status(d2)["requests"]["lost"] == 0
        assert zones(server) == wanted


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_restarted_in_the_middle(d2_binary: str, name: str) -> None:
    strangers, found = requests(8, 800, modes=["check-with-dhcid"])
    wanted = zones_of_singles(d2_binary, SERVERS[name], strangers, found)
    retry = {"enabled": True, "initial-delay": 0.1, "max-delay": 1}
    with running(d2_binary, SERVERS[name], None, 50, retry=retry) as (d2, server, port):
        sender = Sender(d2, port)
        sender.send(strangers)
        sender.wait()
        sender.send(found[:250])
        server.process.stop()
        sender.send(found[250:350])
        server.start()
        sender.send(found[350:])
        sender.wait()
        sender.close()
        assert batches_of(d2) > 5
        assert zones(server) == wanted


def test_a_d2_that_is_killed_repeats_what_was_under_way(d2_binary: str) -> None:
    got, wanted, batches = killed_and_left_alone(d2_binary, dns_servers.bind, 9, 600, kills=3)
    assert got == wanted
    assert batches > 5

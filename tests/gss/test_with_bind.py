"""GSS-TSIG from end to end: pyd2, BIND and a real KDC. The scenarios are those of Kea's library."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.load import Host, Load, domain
from tests.gss.site import REVERSE, ZONE, served, site
from tests.kit import dns_servers, ncr
from tests.kit.kerberos import CLIENT, DNS_SERVICE, Realm, realm
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def kdc() -> Iterator[Realm]:
    with realm() as running:
        yield running


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_updates_are_signed_with_a_key_by_tkey(d2_binary: str, kdc: Realm, protocol: str) -> None:
    host = Host(1, ZONE)
    with served(kdc) as server, \
            site(d2_binary, kdc, server.port, parameters={"tkey-protocol": protocol}) as here:
        here.wait_for_keys()
        here.update(host)
        assert here.ends.succeeded([host]) == [host]
        assert (host.name, 3600, "A", host.address) in server.records(ZONE)
        assert host.pointer in {owner for owner, *_ in server.records(REVERSE)}
        (key,) = here.keys()
        numbers = here.d2.statistics()
        assert numbers["gss-tsig-key-created"] == numbers["server[bind].gss-tsig-key-created"] == 1
        assert (numbers["tkey-sent"], numbers["tkey-success"]) == (1, 1)
        assert (numbers["tkey-error"], numbers["tkey-timeout"]) == (0, 0)
        assert numbers[f"key[{key}].update-success"] == numbers["update-signed"] == 2
        assert numbers["update-unsigned"] == 0
        assert here.d2.command("status-get")["arguments"]["gss-tsig"] is True


def test_an_account_that_may_not_is_refused(d2_binary: str, kdc: Realm) -> None:
    host = Host(1, ZONE)
    with served(kdc, f'grant "other@{kdc.directory.name}" zonesub ANY;') as server, \
            site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        here.update(host)
        assert here.ends.succeeded([host]) == []
        assert server.records(ZONE) == set()
        assert "REFUSED" in here.d2.stdout() or "rcode: 5" in here.d2.stdout() or "5" in here.d2.stdout()


def test_nothing_is_lost_while_keys_change_under_load(d2_binary: str, kdc: Realm) -> None:
    hosts = [Host(number, ZONE) for number in range(6000)]
    short = {"tkey-lifetime": 8, "rekey-interval": 3, "retry-interval": 1}
    with served(kdc) as server, site(d2_binary, kdc, server.port, parameters=short) as here:
        here.wait_for_keys()
        with Load(here.port, (host.request() for host in hosts), 500.0):
            here.ends.wait(len(hosts), 120)
        assert len(here.keys()) >= 4
        assert here.ends.succeeded(hosts) == hosts
        assert {owner for owner, *_ in server.records(ZONE)} == {host.name for host in hosts}
        assert here.d2.statistics()["update-error"] == 0


def test_updates_go_in_batches(d2_binary: str, kdc: Realm) -> None:
    """New names, then the same ones with other addresses, so that BIND is asked for their DHCIDs."""
    hosts = [Host(number, ZONE) for number in range(500)]
    body = {"user-context": {"pyd2": {"lanes": {"batch": 20, "max-in-flight": 6}}}}
    with served(kdc) as server, site(d2_binary, kdc, server.port, body=body) as here:
        here.wait_for_keys()
        here.update(*hosts)
        assert here.ends.succeeded(hosts) == hosts
        for host, other in zip(hosts, reversed(hosts), strict=True):
            host.address = other.address
        here.update(*hosts)
        assert here.ends.succeeded(hosts) == hosts
        addresses = {owner: data for owner, _, kind, data in server.records(ZONE) if kind == "A"}
        assert addresses == {host.name: host.address for host in hosts}
        numbers = here.d2.statistics()
        assert (numbers["update-error"], numbers["update-unsigned"]) == (0, 0)
        (shown,) = here.d2.command("status-get")["arguments"]["pyd2"]["servers"]
        batches = shown["batches"]
        assert batches["updates"] > 4 * batches["sent"]
        assert batches["questions"] > 0


def test_a_kdc_that_is_away_is_asked_again(d2_binary: str) -> None:
    host, later = Host(1, ZONE), Host(2, ZONE)
    short = {"tkey-lifetime": 60, "rekey-interval": 30, "retry-interval": 1}
    with realm() as kdc, served(kdc) as server:
        kdc.process.stop()
        with site(d2_binary, kdc, server.port, parameters=short) as here:
            here.wait_for_keys(1, "in error")
            here.update(host)
            assert here.ends.succeeded([host]) == []
            assert here.d2.statistics()["tkey-sent"] == 0
            kdc.start()
            here.wait_for_keys()
            here.update(later)
            assert here.ends.succeeded([later]) == [later]


def test_nothing_that_comes_before_the_first_key_is_lost_with_retry(d2_binary: str) -> None:
    host, later = Host(1, ZONE), Host(2, ZONE)
    short = {"tkey-lifetime": 60, "rekey-interval": 30, "retry-interval": 1}
    body = {"user-context": {"pyd2": {"retry": {"enabled": True, "initial-delay": 0.1}}}}
    with realm() as kdc, served(kdc) as server:
        kdc.process.stop()
        with site(d2_binary, kdc, server.port, parameters=short, body=body) as here:

            def waiting() -> int:
                shown: dict[str, Any] = here.d2.command("status-get")["arguments"]["pyd2"]
                return int(shown["retries"]["waiting"])

            for one in (host, later):
                ncr.send(one.request(reverse=True), here.port)
            wait_until(lambda: waiting() == 2, "two requests to be tried again")
            kdc.start()
            here.ends.wait(2)
            assert here.ends.succeeded([host, later]) == [host, later]
            assert here.d2.statistics()["update-unsigned"] == 0


def test_a_dns_server_that_is_away_is_asked_again(d2_binary: str, kdc: Realm) -> None:
    host = Host(1, ZONE)
    short = {"tkey-lifetime": 60, "rekey-interval": 30, "retry-interval": 1}
    with served(kdc) as server:
        server.process.stop()
        with site(d2_binary, kdc, server.port, parameters=short) as here:
            here.wait_for_keys(1, "in error")
            server.start()
            here.wait_for_keys()
            here.update(host)
            assert here.ends.succeeded([host]) == [host]


def test_a_server_that_has_forgotten_its_keys_gets_a_new_one(d2_binary: str, kdc: Realm) -> None:
    with served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        here.update(Host(1, ZONE))
        server.process.kill()
        for left in server.directory.glob("*.tsigkeys"):
            left.unlink()
        server.start()
        here.update(Host(2, ZONE))
        here.wait_for_keys(2)
        last = Host(3, ZONE)
        here.update(last)
        assert here.ends.succeeded([last]) == [last]
        assert "PYD2_GSS_TSIG_KEY_UNKNOWN" in here.d2.stdout()


def test_expired_keys_are_not_used_and_a_new_one_is_made(d2_binary: str, kdc: Realm) -> None:
    hosts = [Host(number, ZONE) for number in range(3)]
    with served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        (key,) = here.keys()
        assert here.gss("key-expire", **{"key-name": key})["text"] == f"GSS-TSIG key '{key}' expired"
        here.update(hosts[0])
        assert here.ends.succeeded([hosts[0]]) == []
        assert here.gss("rekey", **{"server-id": "bind"})["result"] == 0
        here.wait_for_keys()
        here.update(hosts[1])
        assert here.ends.succeeded([hosts[1]]) == [hosts[1]]


def test_fallback_sends_unsigned_updates_while_there_is_no_key(d2_binary: str, kdc: Realm) -> None:
    host = Host(1, ZONE)
    with dns_servers.bind([ZONE, REVERSE]) as server, \
            site(d2_binary, kdc, server.port, parameters={"fallback": True}) as here:
        here.wait_for_keys(1, "in error")
        here.update(host)
        assert here.ends.succeeded([host]) == [host]
        assert here.d2.statistics()["update-unsigned"] == 2


def test_servers_without_an_entry_go_on_as_before(d2_binary: str, kdc: Realm) -> None:
    host = Host(1, ZONE)
    with served(kdc) as server, dns_servers.bind([REVERSE]) as plain:
        body = {"reverse-ddns": {"ddns-domains": [domain(REVERSE, plain.port)]}}
        with site(d2_binary, kdc, server.port, body=body) as here:
            here.wait_for_keys()
            here.update(host)
            assert here.ends.succeeded([host]) == [host]
            numbers = here.d2.statistics()
            assert (numbers["update-signed"], numbers["update-unsigned"]) == (1, 1)


def test_the_log_names_a_ticket_that_is_too_short(d2_binary: str) -> None:
    with realm("5m") as kdc, served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys(1, "in error")
        assert "too short credential lifetime: " in here.d2.stdout()
        assert "bad client credentials" in here.d2.stdout()


def test_commands_answer_like_kea_s(d2_binary: str, kdc: Realm) -> None:
    with served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        (key,) = here.keys()
        whole = here.gss("get", **{"server-id": "bind"})
        assert whole["text"] == "GSS-TSIG server[bind] found"
        shown = whole["arguments"]
        assert 35000 < shown["keys"][0].pop("security-context-lifetime") <= 36000
        assert shown["keys"][0].pop("inception-date") < shown["keys"][0].pop("expire-date")
        assert shown == {
            "id": "bind", "ip-address": "127.0.0.1", "port": server.port, "server-principal": DNS_SERVICE,
            "client-principal": CLIENT, "key-name-suffix": "sig-ns.example.test.", "gss-replay-flag": True,
            "gss-sequence-flag": False, "tkey-lifetime": 3600, "rekey-interval": 2700, "retry-interval": 120,
            "tkey-protocol": "TCP", "fallback": False, "exchange-timeout": 3000,
            "keys": [{"name": key, "server-id": "bind", "status": "usable"}],
        }
        assert here.gss("list") == {
            "result": 0, "text": "1 GSS-TSIG servers and 1 keys",
            "arguments": {"gss-tsig-keys": [key], "gss-tsig-servers": ["bind"]},
        }
        assert here.gss("get-all")["text"] == "1 GSS-TSIG servers and 1 keys"
        assert here.gss("key-get", **{"key-name": key})["text"] == f"GSS-TSIG key '{key}' found"
        for name in ("get", "rekey"):
            assert here.gss(name, **{"server-id": "x"}) == {
                "result": 3, "text": "GSS-TSIG server[x] not found",
            }
        for name in ("key-get", "key-expire", "key-del"):
            assert here.gss(name, **{"key-name": "x"}) == {"result": 3, "text": "GSS-TSIG key 'x' not found"}
        assert here.gss("purge-all") == {"result": 3, "text": "0 purged GSS-TSIG keys"}
        assert here.gss("purge", **{"server-id": "bind"}) == {
            "result": 3, "text": "0 purged keys for GSS-TSIG server[bind]",
        }
        here.gss("key-expire", **{"key-name": key})
        assert here.gss("key-expire", **{"key-name": key}) == {
            "result": 3, "text": f"GSS-TSIG key '{key}' can't be expired",
        }
        assert here.gss("purge", **{"server-id": "bind"})["text"] == "1 purged keys for GSS-TSIG server[bind]"
        assert here.gss("rekey-all") == {"result": 0, "text": "rekeyed"}
        here.wait_for_keys()
        (key,) = here.keys()
        assert here.gss("key-del", **{"key-name": key})["text"] == f"GSS-TSIG key '{key}' deleted"
        shown = '{ "command": "gss-tsig-get" }'
        assert here.gss("get")["text"] == f"arguments not found in the '{shown}' command"
        assert here.gss("key-get", name="x")["result"] == 1


def test_no_update_is_lost_at_a_reload(d2_binary: str, kdc: Realm) -> None:
    hosts = [Host(number, ZONE) for number in range(600)]
    with served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        with Load(here.port, (host.request() for host in hosts), 200.0) as load:
            while load.running:
                assert here.d2.command("config-reload")["result"] == 0
            here.ends.wait(len(hosts))
        assert here.ends.succeeded(hosts) == hosts


def test_a_configuration_that_does_not_fit_is_refused(d2_binary: str, kdc: Realm) -> None:
    with served(kdc) as server, site(d2_binary, kdc, server.port) as here:
        here.wait_for_keys()
        running = here.d2.command("config-get")["arguments"]
        running.pop("hash", None)
        running["DhcpDdns"]["hooks-libraries"][0]["parameters"]["servers"][0]["port"] = 1
        answer = here.d2.command("config-set", running)
        assert answer["result"] == 1
        assert answer["text"] == "gss_tsig config mismatch: server info can't be found"
        here.wait_for_keys()
        host = Host(1, ZONE)
        here.update(host)
        assert here.ends.succeeded([host]) == [host]


def test_metrics_and_page_show_keys_and_agreements(d2_binary: str, kdc: Realm) -> None:
    with PortLease() as lease, served(kdc) as server:
        http = lease.take()
        pages = {"metrics": True, "web": True}
        shown = {"socket-type": "http", "socket-port": http, "user-context": {"pyd2": pages}}
        with site(d2_binary, kdc, server.port, body={"user-context": {"pyd2": {"http": [shown]}}}) as here:
            here.wait_for_keys()
            assert here.gss("rekey-all")["result"] == 0
            here.wait_for_keys(2)
            text = _page(http)
            label = f'dns_server="127.0.0.1:{server.port}"'
            assert f'pyd2_tkey_exchanges_total{{{label},result="success"}} 2\n' in text
            assert f'pyd2_tkey_exchanges_total{{{label},result="error"}} 0\n' in text
            (expires,) = re.findall(rf"pyd2_gss_key_expiry_timestamp_seconds{{{label}}} ([0-9.]+)\n", text)
            assert 3500 < float(expires) - time.time() <= 3600
            assert _gss(http) == {
                "expires": float(expires), "exchanges": {"success": 2, "timeout": 0, "error": 0},
            }
            assert json.loads(_page(http, "api/v1/status"))["problems"] == []
            server.process.stop()
            assert here.gss("rekey-all")["result"] == 0
            wait_until(lambda: here.keys("in error"), "an agreement that fails")
            for key in here.keys("usable"):
                assert here.gss("key-expire", **{"key-name": key})["result"] == 0
            text = _page(http)
            assert f'pyd2_tkey_exchanges_total{{{label},result="error"}} 1\n' in text
            assert f"pyd2_gss_key_expiry_timestamp_seconds{{{label}}} 0.0\n" in text
            assert _gss(http) == {"expires": 0.0, "exchanges": {"success": 2, "timeout": 0, "error": 1}}
            (problem,) = json.loads(_page(http, "api/v1/status"))["problems"]
            assert problem["text"] == (
                f"DNS server 127.0.0.1:{server.port} has no usable key of GSS-TSIG; to agree on one has "
                "failed once."
            )
            assert "pyd2ctl gss-tsig check" in problem["mend"]


def _page(port: int, path: str = "metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as response:
        text: str = response.read().decode()
    return text


def _gss(port: int) -> Any:
    """Return what the API says of the keys for the one server."""
    (server,) = json.loads(_page(port, "api/v1/servers"))["servers"]
    return server["gss"]

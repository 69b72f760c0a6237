"""Failures made with a real DNS server: ``why`` names the cause, and the mend that it gives works."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, parse_query
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyd2.history.search import Event

pytestmark = pytest.mark.peers

KEY = TsigKey.of("HMAC-SHA256")
ZONES = ("example.com.", "2.0.192.in-addr.arpa.")
OTHER_SECRET = "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBvY3Q="


class Site:
    """A daemon with a history, and BIND, which wants updates to be signed."""

    d2: D2
    server: dns_servers.DnsServer
    port: int
    free: int
    """A port where nothing answers."""
    directory: Path

    def body(self, *forward: str, key: dict[str, Any] | None = None, port: int = 0) -> dict[str, Any]:
        """Return a configuration with these forward domains."""
        key = key or KEY.kea()

        def domain(name: str) -> dict[str, Any]:
            server = {"ip-address": "127.0.0.1", "port": port or self.server.port}
            return {"name": name, "key-name": key["name"], "dns-servers": [server]}

        return config(
            self.port,
            {
                "tsig-keys": [key],
                "dns-server-timeout": 300,
                "forward-ddns": {"ddns-domains": [domain(name) for name in forward or ZONES[:1]]},
                "reverse-ddns": {"ddns-domains": [domain(ZONES[1])]},
                "user-context": {"pyd2": {"history": {"enabled": True, "directory": str(self.directory)}}},
            },
        )

    def use(self, body: dict[str, Any]) -> None:
        """Put a configuration in force."""
        assert self.d2.command("config-set", body)["result"] == 0

    def ask(self, fqdn: str, client: bytes = b"one", **fields: Any) -> Event:
        """Send a request, and return what became of it."""
        before = self.count()
        request = ncr.request(fqdn, "192.0.2.10", ncr.dhcid(client, fqdn), **fields)
        ncr.send(ncr.datagram(request), self.port)
        wait_until(lambda: self.count() > before, "it is in the history")
        history = History(self.directory / FILE)
        try:
            return next(history.find(parse_query("*"), limit=1))
        finally:
            history.close()

    def count(self) -> int:
        """Return how many requests are in the history."""
        try:
            history = History(self.directory / FILE)
        except HistoryError:
            return 0
        try:
            return history.span()[0]
        finally:
            history.close()


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_pyd2:
        pytest.skip("Kea has no history")
    site = Site()
    site.directory = tmp_path_factory.mktemp("history")
    with ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        site.port, site.free = lease.take(), lease.take()
        site.server = stack.enter_context(dns_servers.bind(ZONES, KEY))
        directory = stack.enter_context(private_directory())
        site.d2 = stack.enter_context(D2.start(d2_binary, directory, site.body()))
        site.d2.wait_for_listener(site.port)
        yield site
        assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()


@pytest.fixture(autouse=True)
def _as_it_was(site: Site) -> None:
    site.use(site.body())


def test_a_name_of_another_client(site: Site) -> None:
    assert site.ask("taken.example.com.").result == "done"
    event = site.ask("taken.example.com.", b"two")
    assert (event.result, event.fault) == ("failed", "NXRRSET")
    assert "belongs to another client" in event.why
    # Mend: remove the name; the client gets it with its next request.
    assert site.ask("taken.example.com.", change=ncr.REMOVE).result == "done"
    assert site.ask("taken.example.com.", b"two").result == "done"
    # Or: let clients take names from each other.
    assert site.ask("taken.example.com.", b"three").fault == "NXRRSET"
    assert site.ask("taken.example.com.", b"three", mode="check-exists-with-dhcid").result == "done"


def test_a_wrong_secret(site: Site) -> None:
    site.use(site.body(key=KEY.kea() | {"secret": OTHER_SECRET}))
    event = site.ask("secret.example.com.")
    assert event.result == "failed"
    assert event.fault == "badsig"
    assert "different secrets" in event.why
    site.use(site.body())  # mend: the same secret at both ends
    assert site.ask("secret.example.com.").result == "done"


def test_a_key_that_the_server_does_not_know(site: Site) -> None:
    site.use(site.body(key=KEY.kea() | {"name": "unknown.key."}))
    event = site.ask("key.example.com.")
    assert (event.result, event.fault, event.key) == ("failed", "badkey", "unknown.key.")
    assert "does not know the key" in event.why
    assert "Enter the key in the DNS server under the same name" in event.mend


def test_an_update_that_is_not_signed(site: Site) -> None:
    body = json.loads(json.dumps(site.body()).replace('"key-name"', '"comment"'))
    site.use(body)
    event = site.ask("unsigned.example.com.")
    assert (event.result, event.fault, event.key) == ("failed", "REFUSED", "")
    assert "Check key-name of the domain" in event.mend
    site.use(site.body())
    assert site.ask("unsigned.example.com.").result == "done"


def test_a_zone_that_the_server_does_not_serve(site: Site) -> None:
    site.use(site.body("example.net."))
    event = site.ask("zone.example.net.")
    assert (event.result, event.fault) == ("failed", "NOTAUTH")
    assert "does not serve this zone" in event.why


def test_a_name_inside_the_zone_as_its_domain(site: Site) -> None:
    """The domain names what is no zone of the server."""
    site.use(site.body("dyn.example.com."))
    event = site.ask("host.dyn.example.com.")
    assert (event.result, event.fault) == ("failed", "NOTAUTH")
    site.use(site.body("example.com."))  # mend: the name of the domain is exactly that of the zone
    assert site.ask("host.dyn.example.com.").result == "done"


def test_a_server_that_does_not_answer(site: Site) -> None:
    site.use(site.body(port=site.free))
    event = site.ask("silent.example.com.")
    assert (event.result, event.fault, event.tries) == ("failed", "timeout", 3)
    assert "did not answer in time, 3 times" in event.why
    assert event.ms is not None
    assert event.ms > 800
    site.use(site.body())
    assert site.ask("silent.example.com.").result == "done"


def test_a_name_in_no_domain(site: Site) -> None:
    event = site.ask("host.elsewhere.test.")
    assert (event.result, event.fault) == ("unmatched", "unmatched")
    assert "Add the zone to forward-ddns" in event.mend
    assert event.forward == "not done"


def test_a_name_that_has_another_address_left(site: Site) -> None:
    """The address of the other family keeps the name."""
    assert site.ask("dual.example.com.", reverse=False).result == "done"
    request = ncr.request(
        "dual.example.com.", "2001:db8::1", ncr.dhcid(b"one", "dual.example.com."), reverse=False
    )
    ncr.send(ncr.datagram(request | {"conflict-resolution-mode": "no-check-with-dhcid"}), site.port)
    event = site.ask("dual.example.com.", reverse=False, change=ncr.REMOVE)
    assert (event.result, event.fault, event.step) == ("failed", "YXRRSET", "REMOVING_FWD_RRS")
    assert "usually of the other family" in event.why

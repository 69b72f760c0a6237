"""A daemon with a history and BIND, whose failures ``why`` explains."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, parse_query
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyd2.history.search import Event

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

    def body(
        self, *forward: str, key: dict[str, Any] | None = None, port: int = 0, **own: Any
    ) -> dict[str, Any]:
        """Return a configuration with these forward domains; ``own`` are further switches."""
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
                "user-context": {
                    "pyd2": {"history": {"enabled": True, "directory": str(self.directory)}} | own
                },
            },
        )

    def use(self, body: dict[str, Any]) -> None:
        """Put a configuration in force."""
        assert self.d2.command("config-set", body)["result"] == 0

    def send(
        self,
        fqdn: str,
        client: bytes = b"one",
        address: str = "192.0.2.10",
        ends: str = "20400102030405",
        **fields: Any,
    ) -> None:
        """Send a request; its lease ends at ``ends``."""
        request = ncr.request(fqdn, address, ncr.dhcid(client, fqdn), **fields)
        ncr.send(ncr.datagram(request | {"lease-expires-on": ends}), self.port)

    def ask(self, fqdn: str, client: bytes = b"one", until: str = "", **fields: Any) -> Event:
        """Send a request, and return what became of it, or what comes that ends with the result ``until``."""
        before = len(self.events(fqdn))
        self.send(fqdn, client, **fields)

        def found() -> Event | None:
            events = self.events(fqdn)
            new = events[: len(events) - before]
            return next((event for event in new if until in event.result), None)

        return wait_until(found, f"{fqdn} in the history")  # type: ignore[return-value]

    def events(self, fqdn: str) -> list[Event]:
        """Return what is in the history of a name, the newest first."""
        try:
            history = History(self.directory / FILE)
        except HistoryError:
            return []
        try:
            return list(history.find(parse_query(fqdn), limit=100))
        finally:
            history.close()


def without_key(body: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration after its domains were left without a key."""
    for direction in ("forward-ddns", "reverse-ddns"):
        for domain in body["DhcpDdns"][direction]["ddns-domains"]:
            del domain["key-name"]
    return body


def failed(event: Event, fault: str, why: str, mend: str) -> None:
    """Check that a request failed, and what is said of it."""
    assert (event.result, event.fault) == ("failed", fault), event
    assert why in event.why
    assert mend in event.mend


def mended(site: Site, fqdn: str, **body: Any) -> None:
    """Check that a request for a name is done with another configuration."""
    site.use(site.body(**body))
    assert site.ask(fqdn).result == "done"


@contextmanager
def running_site(d2_binary: str, directory: Path, env: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Run a daemon with a history in a directory, and BIND; ``env`` is for the daemon."""
    site = Site()
    site.directory = directory
    with ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        site.port, site.free = lease.take(), lease.take()
        site.server = stack.enter_context(dns_servers.bind(ZONES, KEY))
        own = stack.enter_context(private_directory())
        site.d2 = stack.enter_context(D2.start(d2_binary, own, site.body(), env=env))
        site.d2.wait_for_listener(site.port)
        yield site
        assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()

"""A daemon with the page, its history and its DNS servers, for the tests of the page."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.kit import ncr
from tests.kit.as_kea import as_kea
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.http_client import fetch
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM="
KEY = {"name": "k.example.", "algorithm": "HMAC-SHA256", "secret": SECRET}
OPERATOR = {"user": "operator", "password": "pass-Word-1"}
READER = {"user": "reader", "password": "pass-Word-2", "user-context": {"pyd2": {"role": "read"}}}
SECRETS = (SECRET, "secret-secret", "pass-Word")
HOSTILE = "<img src=x onerror=alert(1)>&quot;'<b>.example.com."
"""A name that a client may choose."""
HOSTILE_SHOWN = "<img\\032src=x\\032onerror=alert\\(1\\)>&quot\\;'<b>.example.com."


def credentials(client: dict[str, Any]) -> str:
    """Return the value of the header by which a client is known."""
    return "Basic " + base64.b64encode(f"{client['user']}:{client['password']}".encode()).decode()


class Site:
    """The daemon. example.com. works, refused.example. is refused, the server of silent.example. is dead."""

    d2: D2
    ncr_port: int
    port: int
    binary: str
    whole: dict[str, Any]
    client: dict[str, Any] | None = OPERATOR

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def get(
        self, path: str, client: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of a GET."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        found = client or self.client
        if found is not None:
            names.setdefault("Authorization", credentials(found))
        return fetch(self.address + path.lstrip("/"), names)

    def api(self, path: str, **options: Any) -> Any:
        """Return what the API answers."""
        status, headers, text = self.get(f"/api/v1/{path}", **options)
        assert (status, headers["Content-Type"]) == (200, "application/json"), text
        return json.loads(text)

    def error(self, path: str, **options: Any) -> tuple[int, str]:
        """Return status and code of a request that is refused."""
        status, _, text = self.get(f"/api/v1/{path}", **options)
        return status, json.loads(text)["error"]["code"]

    def command(self, name: str, client: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """Return status, and the answer to a command over HTTP."""
        body = json.dumps({"command": name, "service": ["d2"], "arguments": arguments}).encode()
        headers = {"Content-Type": "application/json", "Authorization": credentials(client or OPERATOR)}
        status, _, text = fetch(self.address, headers, body)
        answer = json.loads(text)
        return status, answer[0] if isinstance(answer, list) else answer

    def send(self, fqdn: str, address: str = "192.0.2.10", **members: Any) -> None:
        """Send a request, of a client of its own."""
        client = ncr.dhcid(fqdn.encode(), "h.example.")
        request = ncr.request(fqdn, address, client, reverse=False, mode=ncr.MODES[1])
        ncr.send(ncr.datagram({**request, **members}), self.ncr_port)

    def set(self, **page: Any) -> None:
        """Change the switches of the page."""
        entry = self.whole["DhcpDdns"]["user-context"]["pyd2"]["http"][0]
        entry["user-context"]["pyd2"] = {"web": True, **page}
        assert self.d2.command("config-set", self.whole)["result"] == 0

    def wait_for_events(self, count: int) -> None:
        """Wait until the history has so many events."""
        wait_until(
            lambda: self.get("/api/v1/history")[0] == 200 and self.api("history")["rows"] >= count,
            f"{count} events in the history",
        )


@contextmanager
def running(
    binary: str, tmp_path: Path, *, page: dict[str, Any] | None = None, release: str = "2.6.3", **own: Any
) -> Iterator[Site]:
    """Run the daemon; ``page`` has the switches of the socket, ``own`` those of the whole."""
    site = Site()
    with PortLease() as lease, private_directory() as directory:
        site.ncr_port, site.port = lease.take(), lease.take()
        ports = {name: lease.take() for name in ("good", "refusing", "silent")}

        def domain(name: str, server: str, key: str = "") -> dict[str, Any]:
            return {
                "name": name,
                "key-name": key,
                "dns-servers": [{"ip-address": "127.0.0.1", "port": ports[server]}],
            }

        http = {
            "socket-type": "http",
            "socket-port": site.port,
            "authentication": {"type": "basic", "clients": [OPERATOR, READER]},
            "user-context": {"pyd2": {"web": True, **(page or {})}},
        }
        history = {"enabled": True, "directory": str(tmp_path)}
        body = {
            "control-socket": CONTROL_SOCKET,
            "tsig-keys": [KEY],
            "dns-server-timeout": 100,
            "forward-ddns": {
                "ddns-domains": [
                    domain("example.com.", "good", "k.example."),
                    domain("refused.example.", "refusing"),
                    domain("silent.example.", "silent"),
                ]
            },
            "reverse-ddns": {"ddns-domains": [domain("2.0.192.in-addr.arpa.", "good", "k.example.")]},
            "user-context": {"pyd2": {"http": [http], "history": history, **own}},
        }
        site.whole = config(site.ncr_port, body)
        with ScriptedDns({"A": ports["good"]}) as good, ScriptedDns({"A": ports["refusing"]}) as refusing:
            good.set_script([], {"k.example.": b"secret-secret-secret-secret-s"})
            refusing.set_script([], {}, default={"rcode": 5})
            site.binary = as_kea(binary, release, tmp_path)
            site.d2 = D2.start(site.binary, directory, site.whole)
            try:
                site.d2.wait_for_listener(site.ncr_port)
                yield site
                assert site.d2.alive
                assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()
                site.d2.stop()
            finally:
                site.d2.process.kill()

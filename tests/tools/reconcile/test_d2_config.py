"""What reconcile reads of the daemon's configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dns.tsig
import pytest

from pyd2.profiles.kea_2_6 import KEA_2_6
from pyd2.profiles.kea_3_0 import KEA_3_0
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.reconcile.d2_config import D2Config, read_d2_config
from pyd2.tools.reconcile.errors import ReconcileError
from tests.kit.tsigkeys import ALGORITHMS, TsigKey

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = [{"ip-address": "192.0.2.53", "port": 5353}, {"ip-address": "2001:db8::53"}]
DOMAIN: dict[str, Any] = {"name": "Example.com.", "dns-servers": SERVERS}


def read(directory: Path, body: dict[str, Any], *only: str, key: str = "", new: bool = False) -> D2Config:
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": body}))
    rules = (KEA_3_0 if new else KEA_2_6).config
    return read_d2_config(str(directory / "d2.json"), rules, only, key)


def test_zones_and_servers(tmp_path: Path) -> None:
    reverse = {"name": "2.0.192.in-addr.arpa.", "dns-servers": SERVERS[:1]}
    found = read(tmp_path, {"ip-address": "0.0.0.0", "forward-ddns": {"ddns-domains": [DOMAIN, {
        **DOMAIN, "name": "*"}]}, "reverse-ddns": {"ddns-domains": [reverse]}})
    assert [(zone.text, zone.name, zone.reverse) for zone in found.zones] == [
        ("Example.com.", b"\x07example\x03com\0", False),
        ("2.0.192.in-addr.arpa.", b"\x012\x010\x03192\x07in-addr\x04arpa\0", True)]
    assert [server.endpoint for server in found.zones[0].servers] == [
        Endpoint("192.0.2.53", 5353), Endpoint("2001:db8::53", 53)]
    assert (found.listens, found.control) == (Endpoint("127.0.0.1", 53001), "")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys(tmp_path: Path, algorithm: str) -> None:
    key = TsigKey.of(algorithm)
    body = {"tsig-keys": [key.kea()], "forward-ddns": {"ddns-domains": [{**DOMAIN, "key-name": key.name}]}}
    found = read(tmp_path, body).zones[0].servers[0].key
    assert found is not None
    assert (found.name.to_text(), found.secret) == (f"{key.name}.", dns.tsig.Key("x", key.secret).secret)


def test_keys_with_short_macs(tmp_path: Path) -> None:
    key = {**TsigKey.of("HMAC-SHA256").kea(), "digest-bits": 256}
    other = TsigKey.of("HMAC-SHA512")
    body = {"tsig-keys": [key, other.kea()],
            "forward-ddns": {"ddns-domains": [{**DOMAIN, "key-name": key["name"]}]}}
    assert read(tmp_path, body).zones[0].servers[0].key is not None
    key["digest-bits"] = 128
    with pytest.raises(ReconcileError, match=r"cannot use the key hmac-sha256\.test with digest-bits 128"):
        read(tmp_path, body)
    assert read(tmp_path, body, key=other.name).zones[0].servers[0].key is not None


def test_another_key_can_be_named(tmp_path: Path) -> None:
    keys = [TsigKey.of("HMAC-SHA256"), TsigKey.of("HMAC-SHA512")]
    body = {"tsig-keys": [key.kea() for key in keys],
            "forward-ddns": {"ddns-domains": [{**DOMAIN, "key-name": keys[0].name}]}}
    found = read(tmp_path, body, key="HMAC-SHA512.test.").zones[0].servers[0].key
    assert found is not None
    assert found.name.to_text() == "hmac-sha512.test."


@pytest.mark.parametrize(("body", "control"), [
    ({"control-socket": {"socket-type": "unix", "socket-name": "s"}}, "unix:/run/here/s"),
    ({"control-sockets": [{"socket-type": "http", "socket-port": 8001}]}, "http://127.0.0.1:8001"),
    ({"control-sockets": [{"socket-type": "http"}, {"socket-type": "unix", "socket-name": "s"}]},
     "unix:/run/here/s"),
    ({"control-sockets": [{"socket-type": "http", "authentication": {"type": "basic", "clients": []}}]}, ""),
])
def test_control_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any],
                          control: str) -> None:
    monkeypatch.setenv("KEA_CONTROL_SOCKET_DIR", "/run/here")
    whole = {"forward-ddns": {"ddns-domains": [DOMAIN]}, **body}
    found = read(tmp_path, whole, new="control-sockets" in body)
    assert found.control == control


@pytest.mark.parametrize(("body", "only", "reason"), [
    ({"port": 1}, (), "there are no ddns-domains"),
    ({"forward-ddns": {"ddns-domains": [{**DOMAIN, "name": "a..b"}]}}, (), "a..b is no domain name"),
    ({"forward-ddns": {"ddns-domains": [DOMAIN]}}, ("a..b",), "--zone a..b: duplicate period"),
    ({"forward-ddns": {"ddns-domains": [DOMAIN]},
      "user-context": {"pyd2": {"lanes": {"transport": "tls"}}}}, (), "cannot ask DNS servers over TLS"),
    ({"port": "x"}, (), "d2.json:1"),
])
def test_what_is_wrong_is_said(tmp_path: Path, body: dict[str, Any], only: tuple[str, ...],
                               reason: str) -> None:
    with pytest.raises(ReconcileError, match=reason):
        read(tmp_path, body, *only)

"""The files of a running D2: their modes, and no secrets in them."""

import json
import os
import stat

import pytest

from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.tsigkeys import TsigKey

pytestmark = pytest.mark.faults

ZONE = "example.com."
KEY = TsigKey.of("HMAC-SHA256")
OUTPUTS = [{"output": "stdout"}, {"output": "d2.log", "maxver": 1}]
LOGGER = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99, "output-options": OUTPUTS}
DEBUG = {"loggers": [LOGGER]}


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["open", "closed"])
def test_every_file_has_the_mode_of_the_contract(d2_binary: str, umask: int) -> None:
    """Contract, sections 1 and 8: at most 0640 and 0750, and no more than the caller's umask leaves."""
    with PortLease() as lease, private_directory() as directory:
        before = os.umask(umask)
        try:
            d2 = D2.start(d2_binary, directory, config(lease.take(), DEBUG))
        finally:
            os.umask(before)
        with d2:
            (directory / "d2.json").unlink()
            assert d2.command("config-write", {"filename": "written.json"})["result"] == 0
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()
                     if not path.name.startswith(".")}
    lock = modes.pop("logger_lockfile")
    assert lock & 0o007 == 0
    assert modes == {name: mode & ~umask for name, mode in {
        "d2.kea-dhcp-ddns.pid": 0o640, "d2.sock": 0o750, "d2.sock.lock": 0o600, "d2.log": 0o640,
        "d2.log.lock": 0o640, "written.json": 0o640}.items()}


def test_the_log_holds_no_secret(d2_binary: str) -> None:
    """At the highest level of detail, for configurations good and bad, commands and a signed update."""
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        domain = {"name": ZONE, "key-name": KEY.name,
                  "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        body = DEBUG | {"tsig-keys": [KEY.kea()], "forward-ddns": {"ddns-domains": [domain]}}
        settings = config(port, body)
        with ScriptedDns({"A": dns_port}), D2.start(d2_binary, directory, settings) as d2:
            d2.wait_for_listener(port)
            name = f"host.{ZONE}"
            request = ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), reverse=False)
            ncr.send(ncr.datagram(request), port)
            d2.wait_for_log("DHCP_DDNS_ADD_(SUCCEEDED|FAILED)")
            bad = json.loads(json.dumps(settings))
            bad["DhcpDdns"]["tsig-keys"][0]["algorithm"] = "HMAC-NONE"
            assert d2.command("config-set", bad)["result"] == 1
            assert d2.command("config-test", settings)["result"] == 0
            assert d2.command("config-reload")["result"] == 0
            assert KEY.secret in json.dumps(d2.command("config-get"))
        text = d2.process.output() + (directory / "d2.log").read_text()
        assert "DCTL_CONFIG_START" in text
        assert KEY.secret not in text

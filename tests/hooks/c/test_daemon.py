"""Libraries in C and C++ in the daemon itself: from the configuration file to the update on the wire."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.name
import dns.tsig
import pytest

from tests.kit import ncr
from tests.kit.c_libraries import PRELUDE, ROOT, compile_library, compile_text
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

EXAMPLES = ROOT / "examples" / "hooks"
SECRET = "MDEyMzQ1Njc4OWFiY2RlZg=="
KEYRING = {dns.name.from_text("own."): dns.tsig.Key("own.", SECRET)}

TICKER = PRELUDE + """
    static void tick(pyd2_hook_timer *timer, void *user) { (void)timer; (void)user; say("tick"); }
    static int start(void) { return api->timer_start(self, 10, 10, tick, NULL, NULL); }
    int pyd2_hook_unload(void *state) { (void)state; say("bye"); return 0; }
"""


@pytest.mark.peers  # the compiler for C++ is installed with them
def test_in_the_daemon(d2_binary: str) -> None:
    """A key chosen in C, a server passed over and commands in C++, timers, a reload, a refusal, the end."""
    with ExitStack() as stack:
        directory = stack.enter_context(private_directory())
        port = stack.enter_context(PortLease()).take()
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        key = compile_library(EXAMPLES / "key_per_server.c", directory / "key.so")
        maintenance = compile_library(EXAMPLES / "maintenance.cpp", directory / "maintenance.so")
        ticker = compile_text(TICKER, directory / "ticker.so")
        made = config(port, {
            "forward-ddns": {"ddns-domains": [{"name": "example.com.", "dns-servers": [
                {"ip-address": "127.0.0.1", "port": server.getsockname()[1]},
            ]}]},
            "hooks-libraries": [
                {"library": str(key), "parameters": {"keys": {
                    "127.0.0.1": {"name": "own.", "algorithm": "HMAC-SHA256", "secret": SECRET},
                }}},
                {"library": str(maintenance)},
                {"library": str(ticker)},
            ],
        })
        (directory / "d2.json").write_text(json.dumps(made))
        d2 = stack.enter_context(D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"}))
        d2.wait_for_commands()
        d2.wait_for_listener(port)
        d2.wait_for_log(r"ticker\.so: tick", count=3)

        client = ncr.dhcid(b"1", "host.example.com.")
        wanted = ncr.datagram(ncr.request("host.example.com.", "192.0.2.1", client, reverse=False))
        ncr.send(wanted, port)
        update = dns.message.from_wire(server.recv(65536), keyring=KEYRING)
        assert update.had_tsig
        assert update.keyname == dns.name.from_text("own.")

        assert {"maintenance-get", "maintenance-set"} <= set(d2.command("list-commands")["arguments"])
        answer = d2.command("maintenance-set", {"servers": ["127.0.0.1"]})
        assert answer == {"result": 0, "text": "1 servers are in maintenance."}
        ncr.send(ncr.datagram(ncr.request("b.example.com.", "192.0.2.2", "00" * 35, reverse=False)), port)
        d2.wait_for_log("DHCP_DDNS_ADD_FAILED")

        inner = d2.command("config-get")["arguments"]["DhcpDdns"]
        wrong = inner | {"hooks-libraries": [*inner["hooks-libraries"], {"library": str(Path(__file__))}]}
        assert d2.command("config-set", {"DhcpDdns": wrong})["result"] == 1
        assert d2.command("maintenance-get")["arguments"] == {"servers": ["127.0.0.1"]}
        start = len(d2.stdout())
        assert d2.command("config-reload")["result"] == 0
        assert d2.command("maintenance-get")["arguments"] == {"servers": []}
        d2.wait_for_log(r"ticker\.so: tick", count=2, start=start)
        assert d2.stop() == 0
        assert d2.stdout().count("ticker.so: bye") == 2
        assert d2.stderr() == ""

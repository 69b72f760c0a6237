"""``pyd2ctl demo`` with a DNS server that serves more than the demo's names."""

import dns.query
import dns.rcode
import dns.update
import pytest

from pyd2.tools import demo
from pyd2.tools.cli import main
from pyd2.tools.dns_server import parse_key
from tests.kit import dns_servers
from tests.kit.tsigkeys import TsigKey

pytestmark = pytest.mark.peers


def test_zones_may_hold_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    key = TsigKey.of("HMAC-SHA256")
    spelled = f"hmac-sha256:{key.name}:{key.secret}"
    with dns_servers.bind(list(demo.EXPECTED), key) as server:
        glue = dns.update.UpdateMessage(demo.FORWARD, keyring=parse_key(spelled))
        glue.add("ns", 300, "A", "127.0.0.1")
        assert dns.query.udp(glue, "127.0.0.1", 10, server.port).rcode() == dns.rcode.NOERROR
        options = ["--dns", f"127.0.0.1:{server.port}", "--key", spelled]
        assert main(["demo", *options]) == 0, capsys.readouterr()
        assert " ns " not in capsys.readouterr().out

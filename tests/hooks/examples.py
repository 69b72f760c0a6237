"""What the example libraries do in every language: asked and checked through a chain."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pyd2.config.model import DnsServer, TsigKey
from pyd2.data.element import Element, Plain, from_plain
from pyd2.dns.tsig import HmacKey
from tests.kit.c_libraries import ROOT

from .conftest import SERVER

if TYPE_CHECKING:
    from pathlib import Path

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Chain
    from pyd2.update.drive.server_choice import Selection

    from .conftest import Load

EXAMPLES = ROOT / "examples" / "hooks"
KEY = HmacKey("config.", "HMAC-SHA256", b"0123456789")
CONFIGURED = TsigKey("config.", "HMAC-SHA256", 0, b"0123456789", None, None, None)


def server(address: str) -> DnsServer:
    return SERVER._replace(address=ip_address(address))


def ask(chain: Chain, address: str) -> Selection:
    assert chain.select_key is not None
    return chain.select_key(server(address), KEY)


def command(chain: Chain, name: str, **arguments: Plain) -> Plain:
    assert chain.has_command(name)
    request: dict[str, Plain] = {"command": name}
    if arguments:
        request["arguments"] = arguments
    answer = chain.run_command(name, from_plain(request))
    assert isinstance(answer, Element)
    return answer.plain()


def check_maintenance(chain: Chain, *wrongs: dict[str, Plain]) -> None:
    """The commands of a library that was loaded with the server 192.0.2.9; ``wrongs`` are refused."""
    assert chain.commands() == ["maintenance-get", "maintenance-set"]
    assert ask(chain, "192.0.2.9").skip
    assert not ask(chain, "192.0.2.1").skip
    assert command(chain, "maintenance-set", servers=["192.0.2.1", "2001:DB8::1"]) == {
        "result": 0, "text": "2 servers are in maintenance.",
    }
    assert ask(chain, "192.0.2.1").skip
    assert ask(chain, "2001:db8::1").skip
    assert not ask(chain, "192.0.2.9").skip
    assert command(chain, "maintenance-get") == {
        "result": 0, "arguments": {"servers": ["192.0.2.1", "2001:db8::1"]},
    }
    for wrong in wrongs:
        answer = command(chain, "maintenance-set", **wrong)
        assert isinstance(answer, dict)
        assert answer["result"] == 1
    assert ask(chain, "192.0.2.1").skip


def check_audit(
    load: Load, keys: HookLibrary, maintenance: HookLibrary, audit: HookLibrary, path: Path,
) -> None:
    """The file at ``path``, when earlier libraries leave 192.0.2.9 unsigned and skip it."""
    chain = load(keys, maintenance, audit)
    ask(chain, "192.0.2.1")
    ask(chain, "192.0.2.9")
    lines = path.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "192.0.2.1#53 config. CONTINUE", "192.0.2.9#53 unsigned SKIP",
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}\+00:00", line.split()[0]) for line in lines)
    chain.unload()
    ask(load(audit), "192.0.2.1")
    assert len(path.read_text().splitlines()) == 3

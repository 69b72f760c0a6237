"""pyd2ctl explain: what it shows is what the engine sends."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.backend import make_backend
from pyd2.config.paths import Directories
from pyd2.counters import Counters
from pyd2.explain.wire_text import describe_wire
from pyd2.messages import RequestLog
from pyd2.ncr import ChangeType
from pyd2.tools.cli import main
from pyd2.tools.requests import encode, request
from pyd2.update.engine import Engine
from pyd2.update.model.kinds import KINDS, Kind
from tests.kit.profile import parse_file

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

DHCID = "000101" + "AB" * 32
CONFIG: dict[str, Any] = {
    "tsig-keys": [{"name": "K.example", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0"}],
    "forward-ddns": {"ddns-domains": [
        {"name": "example.com.", "dns-servers": [{"ip-address": "127.0.0.1", "port": 5301},
                                                 {"ip-address": "::1", "key-name": "K.example"}]},
    ]},
    "reverse-ddns": {"ddns-domains": [
        {"name": "192.in-addr.arpa.", "dns-servers": [{"ip-address": "127.0.0.1", "port": 5302}]},
        {"name": "8.b.d.0.1.0.0.2.ip6.arpa.", "dns-servers": [{"ip-address": "127.0.0.1", "port": 5303}]},
    ]},
}


class _Silence(RequestLog):
    """A log that nothing is written to."""

    on: AbstractSet[str] = frozenset()

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write nothing."""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "d2.json"
    file.write_text(json.dumps({"DhcpDdns": CONFIG}, indent=1))
    return str(file)


def sent_by_engine(config: str, values: dict[str, Any]) -> list[bytes]:
    """Return the UPDATEs of a request whose every update is answered with NOERROR."""
    engine = Engine(Counters(), _Silence(), make_backend())
    engine.configure(parse_file(config, Directories("", "", "")), None, 0.0, 0.0)
    engine.receive_request(encode(values), 0.0, 0.0)
    sent = []
    while outgoing := engine.messages(engine.collect_output()):
        for update in outgoing:
            sent.append(update.message)
            reply = update.message[:2] + b"\xa8\x00" + bytes(8)
            engine.receive_reply(update.lane, update.slot, reply, 0.0, 0.0)
    return sent


def lines_of(wire: bytes) -> str:
    text = describe_wire(wire)
    lines = [f"    zone  {text.zone}", *(f"    if    {line}" for line in text.prerequisites),
             *(f"    then  {line}" for line in text.updates)]
    return "\n".join(lines)


@pytest.mark.parametrize(("kind", "address"), list(product(KINDS, ["192.0.2.10", "2001:db8::10"])))
def test_it_shows_what_the_engine_sends(
    kind: Kind, address: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, mode = kind.change_type, kind.mode
    options = ["--remove"] if change is ChangeType.REMOVE else []
    assert main(["explain", config, "Host.example.com", address, "--dhcid", DHCID, "--ttl", "77",
                 "--mode", str(mode), *options]) == 0
    out = capsys.readouterr().out
    sent = sent_by_engine(config, request(change, "Host.example.com.", address, DHCID, mode=mode, ttl=77))
    assert len(sent) >= 2
    at = 0
    for wire in sent:
        at = out.index(lines_of(wire), at)
    assert f"kind {kind.name}\n" in out
    assert f"request ID {DHCID}\n" in out


def test_it_shows_servers_keys_and_what_follows(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", config, "host.example.com", "192.0.2.10"]) == 0
    out = capsys.readouterr().out
    assert "  server  127.0.0.1 port:5301, unsigned\n" in out
    assert "  then    ::1 port:53, key k.example. hmac-sha256.\n" in out
    assert "    YXDOMAIN  leads to REPLACING_FWD_ADDRS\n" in out


def test_one_direction(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", config, "host.example.com", "192.0.2.10", "--no-forward"]) == 0
    out = capsys.readouterr().out
    assert "Forward   nothing: not in the request" in out
    assert "Reverse   10.2.0.192.in-addr.arpa. is in 192.in-addr.arpa." in out


def test_a_large_update_goes_over_tcp(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", config, "h.example.com", "192.0.2.1", "--dhcid", "AB" * 500]) == 0
    assert "longer than 512 bytes: sent over TCP" in capsys.readouterr().out


def test_the_wildcard_domain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = forward_only(tmp_path, "*")
    assert main(["explain", file, "h.example.com", "192.0.2.1"]) == 0
    out = capsys.readouterr().out
    assert "the updates name the zone '*.'" in out
    assert "    zone  *.\n" in out
    assert "Reverse   nothing: reverse-ddns has no ddns-domains" in out


def test_a_domain_that_is_no_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It matches, as text: the name's first label ends in a dot. But no update can name such a zone."""
    file = forward_only(tmp_path, ".com.")
    assert main(["explain", file, r"a\..com.", "192.0.2.1", "--dhcid", DHCID]) == 0
    assert "every update fails: .com. is no domain name" in capsys.readouterr().out


def forward_only(tmp_path: Path, domain: str) -> str:
    """Write a configuration of one forward domain and return its file's name."""
    domains = [{"name": domain, "dns-servers": [{"ip-address": "127.0.0.1"}]}]
    file = tmp_path / "forward.json"
    file.write_text(json.dumps({"DhcpDdns": {"forward-ddns": {"ddns-domains": domains}}}))
    return str(file)


@pytest.mark.parametrize(("name", "address", "text"), [
    ("host.example.net", "192.0.2.10", "Add the zone of host.example.net. to forward-ddns."),
    ("host.example.com", "198.51.100.1", "Add the zone of 1.100.51.198.in-addr.arpa. to reverse"),
    ("badexample.com", "192.0.2.10", "example.com.  ("),
])
def test_a_request_without_a_domain_is_dropped(name: str, address: str, text: str, config: str,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", config, name, address]) == 1
    out = capsys.readouterr().out
    assert "The daemon drops the whole request" in out
    assert text in out
    assert sent_by_engine(config, request(ChangeType.ADD, name, address, DHCID)) == []


def test_nothing_to_do(config: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text('{"DhcpDdns": {"port": 53001}}')
    assert main(["explain", str(tmp_path / "empty.json"), "h.example.com", "192.0.2.1"]) == 1
    assert "there is nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "text"), [
    (["no-such-file", "h.example.", "192.0.2.1"], "Unable to open file no-such-file"),
    (["@", "h.example.", "192.0.2.1", "--no-forward", "--no-reverse"], "nothing to do"),
    (["@", "h..example.", "192.0.2.1"], "not a domain name"),
])
def test_what_cannot_be_explained_is_refused(arguments: list[str], text: str, config: str,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *(config if argument == "@" else argument for argument in arguments)]) == 1
    assert text in capsys.readouterr().err


def test_what_only_its_own_machine_has_is_left_out(config: str, capsys: pytest.CaptureFixture[str],
                                                   tmp_path: Path) -> None:
    """The operator's desktop has neither Kea's directories nor the libraries."""
    logger = {"name": "kea-dhcp-ddns", "output-options": [{"output": "/nowhere/d2.log"}]}
    elsewhere = {"control-socket": {"socket-type": "tcp", "socket-name": "/nowhere/socket"},
                 "hooks-libraries": [{"library": "/nowhere/lib.so"}], "loggers": [logger]}
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps({"DhcpDdns": {**CONFIG, **elsewhere}}))
    assert main(["explain", config, "host.example.com", "192.0.2.10"]) == 0
    plain = capsys.readouterr().out
    assert main(["explain", str(file), "host.example.com", "192.0.2.10"]) == 0
    more = capsys.readouterr().out.removeprefix(plain)
    assert more.strip() == "Hook libraries are not run here: they may skip a server or choose another key."


def test_many_domains_that_do_not_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    servers = [{"ip-address": "192.0.2.53"}]
    domains = [{"name": f"{number}.example.", "dns-servers": servers} for number in range(23)]
    (tmp_path / "many.json").write_text(json.dumps({"DhcpDdns": {"forward-ddns": {"ddns-domains": domains}}}))
    assert main(["explain", str(tmp_path / "many.json"), "h.example.net.", "192.0.2.1"]) == 1
    out = capsys.readouterr().out
    assert out.count(".example.  (") == 20
    assert "\n  and 3 more\n" in out


def test_a_fault_in_the_zones_still_has_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = Path(forward_only(tmp_path, "example.com."))
    file.write_text(file.read_text().replace('"name"', '"key-name": "none.", "name"'))
    assert main(["explain", str(file), "h.example.com", "192.0.2.1"]) == 1
    fault = capsys.readouterr().err
    assert "DdnsDomain : specifies an undefined key: none. (" in fault
    assert "forward.json:1:" in fault


def test_retries_and_fail_over_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = {"pyd2": {"retry": {"enabled": True}, "failover": {"enabled": True}}}
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"DhcpDdns": {**CONFIG, "user-context": own}}))
    assert main(["explain", str(file), "host.example.com.", "192.0.2.10"]) == 0
    shown = capsys.readouterr().out
    refused = "SERVFAIL, REFUSED and NOTAUTH lead to the next server, from the first step on and a retry"
    assert refused in shown
    assert "lead to the next server, from the first step on, then to a retry" in shown


def test_a_failure_is_explained_where_it_can_happen(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", config, "h.example.com.", "192.0.2.1", "--failed", "nxrrset"]) == 0
    text = capsys.readouterr().out
    first, _, second = text.partition("REPLACING_FWD_ADDRS\n    zone")
    assert "NXRRSET   means: The DNS server says that records are missing" in first
    assert "NXRRSET   means: The name belongs to another client" in second
    assert "mend:  If the name is to be this client's" in second
    assert main(["explain", config, "h.example.com.", "192.0.2.1", "--failed", "yxdomain"]) == 0
    text = capsys.readouterr().out
    assert text.partition("REPLACING_FWD_ADDRS\n    zone")[0].count("means:") == 0  # it goes on there
    with pytest.raises(SystemExit):
        main(["explain", config, "h.example.com.", "192.0.2.1", "--failed", "unheard-of"])
    assert "no failure has this name: unheard-of" in capsys.readouterr().err


def test_it_shows_what_may_go_in_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "d2.json"
    file.write_text(json.dumps({"DhcpDdns": CONFIG | {"user-context": {"pyd2": {"lanes": {"batch": 50}}}}}))
    arguments = ["explain", str(file), "h.example.com.", "192.0.2.10", "--dhcid", DHCID]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "127.0.0.1 port:5301, unsigned, batches of up to 50 updates" in shown
    adding, replacing, reverse = shown.split("    zone  ")[1:]
    assert "NXDOMAIN, NXRRSET, YXDOMAIN: the server is asked whose the names are" in adding
    assert "never goes in a batch" in replacing
    assert "goes in a batch with others of its zone" in reverse


def policies(tmp_path: Path, **policy: Any) -> str:
    file = tmp_path / "policies.json"
    context = {"pyd2": {"policy": {name.replace("_", "-"): value for name, value in policy.items()}}}
    file.write_text(json.dumps({"DhcpDdns": CONFIG | {"user-context": context}}, indent=1))
    return str(file)


def test_it_shows_what_policies_lead_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = policies(tmp_path, dual_stack="per-family")
    assert main(["explain", config, "host.example.com", "192.0.2.10"]) == 0
    out = capsys.readouterr().out
    assert "policies dual-stack per-family, adopt never, remove-yxrrset fail: kind NameAdd with" in out
    assert "asks the server for the DHCIDs of host.example.com., signed as an update" in out
    assert "if it is a client's of the other family alone: JOINING_FWD_NAME" in out
    assert "    if    host.example.com. 0 IN DHCID OTHER\n" in out
    assert "    if    host.example.com. 0 ANY AAAA\n" in out


def test_it_says_which_policies_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = policies(tmp_path, dual_stack="per-family")
    mode = ["--mode", "no-check-with-dhcid"]
    assert main(["explain", config, "host.example.com", "192.0.2.10", *mode]) == 0
    assert "the policies of its domain change nothing of it" in capsys.readouterr().out


def test_it_says_which_removals_are_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = policies(tmp_path, keep=["*.example.com."])
    assert main(["explain", config, "host.example.com", "192.0.2.10", "--remove"]) == 1
    wanted = "The daemon makes no change: the policy keep has the name host.example.com."
    assert wanted in capsys.readouterr().out

"""What pyd2ctl apply shows of a new configuration, and what it takes from the counters."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.data.element import from_plain
from pyd2.data.json import from_json
from pyd2.profiles.kea_3_0 import KEA_3_0
from pyd2.tools.apply.difference import difference
from pyd2.tools.apply.watch import FEW, MANY, Counts, worse
from pyd2.tools.channel.daemon import to_json
from pyd2.tools.cli import main
from tests.docs.test_docs import BLOCK, DOCS
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.tools.changed import changed as changed_copy

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
BASE: dict[str, Any] = {
    "ip-address": "127.0.0.1", "port": 53001, "dns-server-timeout": 500,
    "ncr-protocol": "UDP", "ncr-format": "JSON",
    "tsig-keys": [{"name": "k.", "algorithm": "HMAC-SHA256", "digest-bits": 0, "secret": SECRET}],
    "forward-ddns": {"ddns-domains": [
        {"name": "example.com.", "key-name": "k.", "dns-servers": [
            {"hostname": "", "ip-address": "192.0.2.53", "port": 53},
            {"hostname": "", "ip-address": "2001:db8::53", "port": 53}]},
    ]},
    "reverse-ddns": {"ddns-domains": []}, "hooks-libraries": [],
    "control-sockets": [{"socket-type": "unix", "socket-name": "/run/kea/d2.sock"}],
    "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO", "debuglevel": 0, "output-options": [
        {"output": "/var/log/kea/d2.log", "flush": True, "maxsize": 10240000, "maxver": 1, "pattern": ""}]}],
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the base with one value set; None removes it."""
    return changed_copy(BASE, path, value)


def differences(new: dict[str, Any], old: dict[str, Any] = BASE) -> list[str]:
    return difference(from_plain(old), from_plain(new), KEA_3_0.config.defaults)


DOMAIN = "forward-ddns/ddns-domains/0"
SERVERS = f"{DOMAIN}/dns-servers"
IN_DOMAIN = "forward-ddns > ddns-domains example.com."


@pytest.mark.parametrize(("path", "value"), [
    ("port", None), ("dns-server-timeout", None), ("ncr-protocol", "udp"), ("hooks-libraries", None),
    ("reverse-ddns", None), ("reverse-ddns", {}), ("tsig-keys/0/digest-bits", None),
    (f"{SERVERS}/0/hostname", None),
    (f"{SERVERS}/0/port", None), (f"{SERVERS}/1/ip-address", "2001:DB8:0::53"),
    ("control-sockets/0/socket-name", "d2.sock"), ("loggers/0/debuglevel", None),
    ("loggers/0/output-options/0", {"output": "d2.log"}),
])
def test_what_means_the_same_is_no_difference(path: str, value: object) -> None:
    assert differences(changed(path, value)) == []


def test_a_secret_that_the_daemon_hides_is_not_compared() -> None:
    hidden = changed("tsig-keys/0/secret", "*****")
    assert differences(BASE, hidden) == ["? tsig-keys k. > secret (not compared: the daemon hides it)"]


@pytest.mark.parametrize(("path", "value", "lines"), [
    ("port", 53002, ["~ port: 53001 -> 53002"]),
    ("ip-address", "::1", ['~ ip-address: "127.0.0.1" -> "::1"']),
    (f"{DOMAIN}/key-name", None, [f'~ {IN_DOMAIN} > key-name: "k." -> ""']),
    (f"{SERVERS}/1", None, [(f"- {IN_DOMAIN} > dns-servers 2001:db8::53 port 53: "
                             '{ "ip-address": "2001:db8::53", "port": 53 }')]),
    (f"{SERVERS}/0/key-name", "x.",
     [f'~ {IN_DOMAIN} > dns-servers 192.0.2.53 port 53 > key-name: "" -> "x."']),
    (SERVERS, [*reversed(BASE["forward-ddns"]["ddns-domains"][0]["dns-servers"])],
     [(f"~ {IN_DOMAIN} > dns-servers: their order: 192.0.2.53 port 53, 2001:db8::53 port 53 -> "
       "2001:db8::53 port 53, 192.0.2.53 port 53")]),
    ("forward-ddns/ddns-domains/1", {"name": "example.net."},
     ['+ forward-ddns > ddns-domains example.net.: { "name": "example.net." }']),
    ("tsig-keys/0/secret", OTHER, ["~ tsig-keys k. > secret (not shown: it is secret)"]),
    ("tsig-keys/0/algorithm", "HMAC-SHA512", ['~ tsig-keys k. > algorithm: "HMAC-SHA256" -> "HMAC-SHA512"']),
    ("user-context", {"pyd2": {"expired": "drop"}}, ['+ user-context: { "pyd2": { "expired": "drop" } }']),
    ("loggers/0/severity", "DEBUG", ['~ loggers kea-dhcp-ddns > severity: "INFO" -> "DEBUG"']),
    ("loggers/0/output-options/0/maxver", 3,
     ["~ loggers kea-dhcp-ddns > output-options d2.log > maxver: 1 -> 3"]),
    ("control-sockets/0/socket-name", "/other/d2.sock",
     ['~ control-sockets unix d2.sock > socket-name: "/run/kea/d2.sock" -> "/other/d2.sock"']),
    ("hooks-libraries/0", {"library": "x.so", "parameters": {"password": "geheim"}},
     ['+ hooks-libraries x.so: { "library": "x.so", "parameters": { "password": "*****" } }']),
    ("control-sockets/1",
     {"socket-type": "http", "authentication": {"clients": [{"user": "u", "password": "p"}]}},
     [('+ control-sockets http 127.0.0.1 port 8000: { "authentication": { "clients": '
       '[ { "password": "*****", "user": "u" } ] }, "socket-type": "http" }')]),
])
def test_each_change_has_a_line(path: str, value: object, lines: list[str]) -> None:
    found = differences(changed(path, value))
    assert found == lines
    assert not [line for line in found if SECRET in line or OTHER in line]


def test_each_switch_of_pyd2_has_a_line() -> None:
    """And not the whole user-context, in which one would have to look for it."""
    socket = {"socket-type": "http", "socket-port": 8001, "user-context": {"pyd2": {"metrics": True}}}
    before = changed("user-context", {"pyd2": {"http": [socket], "history": {"enabled": True}}, "site": "x"})
    after = json.loads(json.dumps(before))
    own = after["user-context"]["pyd2"]
    own["http"][0]["user-context"]["pyd2"]["web"] = True
    own["http"].append({"socket-type": "http"})
    own["history"]["keep-days"] = 7
    assert differences(after, before) == [
        "+ user-context > pyd2 > history > keep-days: 7",
        "+ user-context > pyd2 > http http 127.0.0.1 port 8001 > user-context > pyd2 > web: true",
        '+ user-context > pyd2 > http http 127.0.0.1 port 8000: { "socket-type": "http" }',
    ]


def test_the_configurations_of_the_documentation_differ_from_themselves_in_nothing(
    d2_binary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    """As a daemon shows them: with its defaults, its order and its paths."""
    texts = [text for page in DOCS.glob("*.md") for _, language, text in BLOCK.findall(page.read_text())
             if language == "json" and not page.name.startswith("contract")]
    applied = 0
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        own = d2.command("config-get")["arguments"]["DhcpDdns"]
        for text in texts:
            (tmp_path / "new.json").write_text(
                text if text.lstrip().startswith("{") else f'{{ "DhcpDdns": {{\n{text}\n}} }}')
            bare = re.sub(r"^\s*(//|#).*$", "", (tmp_path / "new.json").read_text(), flags=re.MULTILINE)
            plain = json.loads(bare)
            whole = plain["DhcpDdns"] | {name: own[name] for name in ("control-socket", "loggers", "port")}
            whole.pop("control-sockets", None)
            if d2.command("config-set", {"DhcpDdns": whole})["result"] == 0:
                applied += 1
                (tmp_path / "new.json").write_text(json.dumps({"DhcpDdns": whole}))
                assert main(["apply", str(tmp_path / "new.json"), "--to", str(d2.socket), "--dry-run"]) == 0
                assert "changes nothing" in capsys.readouterr().out, text
    assert applied > 5, applied


@pytest.mark.parametrize("text", [
    '{"a": [1, -2.5, true, null, "x\\u00c3\\u00a9\\u000a\\"\\\\"], "b\\"c": {}}', "1e+300", '"\\u00ff"', "[]",
])
def test_values_are_sent_as_they_came(text: str) -> None:
    value = from_json(text.encode())
    assert from_json(to_json(value).encode()).plain() == value.plain()
    json.loads(to_json(value))


@pytest.mark.parametrize(("before", "after", "text"), [
    (Counts(), Counts(), ""),
    (Counts(), Counts(timeouts=FEW - 1), ""),
    (Counts(), Counts(timeouts=FEW), "3 of 3 updates got no reply"),
    (Counts(), Counts(success=90, timeouts=5, errors=5), ""),
    (Counts(), Counts(success=89, timeouts=5, errors=6), "11 of 100 updates got no reply"),
    (Counts(success=1, timeouts=9), Counts(timeouts=100), ""),
    (Counts(success=2, timeouts=8), Counts(timeouts=100), "before: 8 of 10"),
    (Counts(sent=69, timeouts=60), Counts(sent=147, timeouts=147), ""),  # 9 had not ended yet
    (Counts(finished=10), Counts(finished=10, failed=3), "3 of 10 requests failed; before: 0 of 10"),
    (Counts(finished=10, failed=3), Counts(finished=10, failed=3), ""),
    (Counts(), Counts(queue_full=3), "3 requests were lost to a full queue"),
    (Counts(queue_full=3), Counts(queue_full=30), ""),
])
def test_what_is_worse(before: Counts, after: Counts, text: str) -> None:
    found = worse(before, after)
    assert (text in found) if text else found == ""


def test_only_many_failures_end_the_watch_at_once() -> None:
    few, many = Counts(success=9, timeouts=MANY - 1), Counts(success=8, timeouts=MANY)
    assert worse(Counts(), few, MANY) == ""
    assert worse(Counts(), many, MANY) != ""


def test_counters_that_were_reset_count_from_their_reset() -> None:
    assert Counts(sent=3, errors=9).since(Counts(sent=10, errors=4)) == Counts(sent=3, errors=5)

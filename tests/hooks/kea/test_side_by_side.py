"""The same compiled libraries in the real kea-dhcp-ddns and in pyd2: the same updates, answers and log."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from tests.kit import kea, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease

from .conftest import EXAMPLES, SOURCES, Compile
from .rig import DONE, KEYS, SECRET, Rig, compare, rig


def test_key_per_server(d2_binary: str, compile_library: Compile) -> None:
    library = compile_library(EXAMPLES / "key_per_server.cc")
    parameters = {"keys": {"127.0.0.1": {"name": "a.", "algorithm": "HMAC-SHA256", "secret": SECRET}}}
    _, seen, _ = compare(d2_binary, [(library, parameters)], lambda at: at.update(1))
    assert seen == [("A", "a.", True)]


def test_maintenance(d2_binary: str, compile_library: Compile) -> None:
    """Its commands answer alike, are listed alike, and the servers are passed over."""
    library = compile_library(EXAMPLES / "maintenance.cc")

    def scenario(at: Rig) -> list[Any]:
        answers = [at.d2.command("maintenance-get")]
        at.update(1)
        answers.append(at.d2.command("maintenance-set", {"servers": ["127.0.0.1", "2001:DB8::0"]}))
        answers.append(at.d2.command("maintenance-get"))
        at.update(2)
        answers.append(at.d2.command("maintenance-set", {"servers": "all"}))
        answers.append(at.d2.command("maintenance-set"))
        answers.append(at.d2.command("list-commands"))
        answers.append(at.d2.command("config-reload")["text"])
        answers.append(at.d2.command("maintenance-get"))
        return answers

    answers, seen, _ = compare(d2_binary, [(library, None)], scenario)
    assert seen == [("A", "config.", True)]
    assert answers[2]["arguments"] == {"servers": ["127.0.0.1", "2001:db8::"]}


def test_audit(d2_binary: str, compile_library: Compile) -> None:
    maintenance, audit = (compile_library(EXAMPLES / f"{name}.cc") for name in ("maintenance", "audit"))

    def scenario(at: Rig) -> list[str]:
        at.update(1)
        at.d2.command("maintenance-set", {"servers": ["127.0.0.1"]})
        at.update(2)
        lines = (at.directory / "audit.log").read_text().splitlines()
        return [at._plain(line.partition(" ")[2]) for line in lines]

    lines, _, _ = compare(d2_binary, [(maintenance, None), (audit, {"file": "@DIR@/audit.log"})], scenario)
    assert lines == ["127.0.0.1#PORT0 config. CONTINUE", "127.0.0.1#PORT0 config. SKIP",
                     "127.0.0.1#PORT1 unsigned SKIP"]


def test_signer(d2_binary: str, compile_library: Compile) -> None:
    """The key's own context signs and verifies; without the secret no update leaves."""
    library = compile_library(EXAMPLES / "signer.cc")
    parameters = {"name": "rolling.", "algorithm": "hmac-sha256", "secret-file": "@DIR@/secret"}

    def scenario(at: Rig) -> None:
        (at.directory / "secret").write_bytes(KEYS["rolling."])
        at.update(1)
        (at.directory / "secret").write_bytes(b"tomorrow's secret")
        at.dns.set_script([], KEYS | {"rolling.": b"tomorrow's secret"})
        at.update(2)

    _, seen, lines = compare(d2_binary, [(library, parameters)], scenario)
    assert seen == [("A", "rolling.", True)]
    assert not [line for line in lines if "FAILED" in line]


def test_require_keys_refuses_at_start(d2_binary: str, compile_library: Compile) -> None:
    library = compile_library(EXAMPLES / "require_keys.cc")
    outcomes = []
    for binary in (kea.chosen().program("kea-dhcp-ddns"), d2_binary):
        with private_directory() as directory, PortLease() as lease:
            shutil.copy(library, directory)
            domain = {"name": "example.com.", "dns-servers": [{"ip-address": "192.0.2.1"}]}
            made = config(lease.take(), {"hooks-libraries": [{"library": str(directory / library.name)}],
                                         "forward-ddns": {"ddns-domains": [domain]}})
            (directory / "d2.json").write_text(json.dumps(made))
            d2 = D2(binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
            status = d2.process.wait_for_exit()
            log, failed, reason = d2.process.stderr().partition("Service failed: ")
            assert failed
            assert not log
            wanted = re.compile(r"HOOKS_|DHCP_DDNS_CONFIGURED|DCTL_CONFIG_FILE")
            lines = log_entries(d2.process.stdout(), str(directory))
            outcomes.append((status, reason, [line for line in lines if wanted.match(line[2])]))
    assert outcomes[1] == outcomes[0]
    assert outcomes[1][1] == "Could Not load configuration file: no TSIG key for 192.0.2.1 of example.com.\n"


@pytest.mark.parametrize("action", [
    "", "skip", "drop", "park", "throw", "throw-int", "error", "null-key", "own-key",
    "key=Other.Key.:bm90IHNlY3JldCE=:hmac-sha512:256",
])
def test_every_way_to_select(d2_binary: str, compile_library: Compile, action: str) -> None:
    library = compile_library(SOURCES / "probe.cc")

    def scenario(at: Rig) -> list[Any]:
        at.update(1)
        state = at.d2.command("A-state")["arguments"]
        # Which name the directory and the port have differs.
        assert state.pop("libraries")[0]["parameters"]["name"] == "A"
        assert state.pop("port") == at.port
        (((sent, _),),) = state.pop("sent").values()
        return [state, sent, at.d2.command("A-state", {"action": "throw-int"})["result"]]

    compare(d2_binary, [(library, {"name": "A", "select": action})], scenario)


def test_a_value_of_the_wrong_type_ends_the_request(d2_binary: str, compile_library: Compile) -> None:
    """Nothing is sent, and nothing else is disturbed."""
    def scenario(at: Rig) -> None:
        request = ncr.request("a.example.com.", "192.0.2.77", f"000101{1:064x}", reverse=False)
        ncr.send(ncr.datagram(request), at.port)
        at.d2.wait_for_log("DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR")

    library = compile_library(SOURCES / "probe.cc")
    _, seen, lines = compare(d2_binary, [(library, {"name": "A", "select": "wrong"})], scenario)
    assert seen == []
    assert "bad_any_cast" in next(line for line in lines if "UNEXPECTED" in line)


def test_loggers_of_libraries_follow_the_configuration(d2_binary: str, compile_library: Compile) -> None:
    """Silenced by a reconfiguration, and the rest of the log is not."""
    def scenario(at: Rig) -> None:
        at.update(1)
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["loggers"].append({"name": "kea-dhcp-ddns.probe-hooks", "severity": "ERROR"})
        assert at.d2.command("config-set", wanted)["result"] == 0

    library = compile_library(SOURCES / "probe.cc")
    _, _, lines = compare(d2_binary, [(library, {"name": "A"})], scenario)
    reloaded = [at for at, line in enumerate(lines) if " HOOKS_LIBRARY_LOADED " in line][1]
    assert any("PROBE_SAYS" in line for line in lines[:reloaded])
    assert not any("PROBE_SAYS" in line for line in lines[reloaded:])


def test_a_refused_reload_and_a_failed_one(d2_binary: str, compile_library: Compile) -> None:
    """Here pyd2 does better than Kea: the libraries of before are in force again."""
    library = compile_library(SOURCES / "probe.cc")
    with rig(d2_binary, [(library, {"name": "A", "select": "own-key"})]) as at:
        at.update(1)
        wanted = json.loads(json.dumps(at.made))
        parameters = wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]
        parameters["configured"] = "refuse"
        answer = at.d2.command("config-set", wanted)
        assert (answer["result"], answer["text"]) == (1, "A refuses")
        parameters["configured"], parameters["load"] = "", "throw"
        answer = at.d2.command("config-set", wanted)
        assert answer["result"] == 1
        assert "One or more hook libraries failed to load" in answer["text"]
        at.update(2)
        assert at.seen() == [("A", "own.", True)] * 2
        assert at.d2.stop() == 0
        assert at.lines().count("INFO kea-dhcp-ddns.probe-hooks PROBE_SAYS A says unload") == 5


def test_a_reload_while_an_update_is_under_way(d2_binary: str, compile_library: Compile) -> None:
    """The library that made the key is gone when the reply comes. The real server crashes here."""
    library = compile_library(SOURCES / "probe.cc")
    with rig(d2_binary, [(library, {"name": "A", "select": "own-key"})],
             user={"dns-server-timeout": 5000}) as at:
        at.dns.set_script([{"rcode": 0, "delay": 0.7}], KEYS)
        request = ncr.request("late.example.com.", "192.0.2.77", "00010100", reverse=False)
        ncr.send(ncr.datagram(request), at.port)
        at.d2.wait_for_log("DHCP_DDNS_UPDATE_REQUEST_SENT")
        without = json.loads(json.dumps(at.made))
        without["DhcpDdns"]["hooks-libraries"] = []
        without["DhcpDdns"]["dns-server-timeout"] = 5000
        assert at.d2.command("config-set", without)["result"] == 0
        at.d2.wait_for_log(DONE)
        assert "DHCP_DDNS_ADD_SUCCEEDED" in at.d2.stdout()
        assert at.seen() == [("A", "own.", True)]
        assert at.d2.stop() == 0

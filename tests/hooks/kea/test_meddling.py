"""Libraries that change the configuration they get, or use Kea's CommandMgr, in both servers."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import kea, ncr
from tests.kit.waiting import wait_until

from .conftest import SOURCES, Compile
from .rig import Rig, compare, rig
from .test_tkey import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from .test_tkey import Entry


SOCKET = "control-socket" if kea.chosen().series == "2.6" else "control-sockets"

@pytest.fixture
def library(compile_library: Compile) -> Path:
    return compile_library(SOURCES / "meddler.cc")


# The configuration.

def shown(at: Rig) -> dict[str, Any]:
    """What config-get shows of what the library changes."""
    config: dict[str, Any] = at.d2.command("config-get")["arguments"]["DhcpDdns"]
    servers = config["forward-ddns"]["ddns-domains"][0]["dns-servers"]
    return {"timeout": config["dns-server-timeout"],
            "servers": [(at.dns_ports.index(one["port"]), one.get("key-name", "")) for one in servers],
            "libraries": len(config["hooks-libraries"]), "socket": config[SOCKET],
            "keys": [key["name"] for key in config["tsig-keys"]]}


def test_a_changed_configuration_is_what_is_worked_by(
    d2_binary: str, library: Path, compile_library: Compile,
) -> None:
    """Another order of servers and another timeout; the library after it sees the servers as they are now."""
    def scenario(at: Rig) -> list[Any]:
        at.update(1)
        found = [shown(at)]
        assert at.d2.command("config-reload")["result"] == 0
        at.d2.barrier()  # the real server opens its port anew, and loses what comes meanwhile
        at.d2.wait_for_listener(at.port)
        at.update(2)
        return [*found, shown(at)]

    probe = compile_library(SOURCES / "probe.cc")
    libraries: list[Entry] = [(library, {"configured": "change"}), (probe, {"name": "A"})]
    found, seen, _ = compare(d2_binary, libraries, scenario)
    assert seen[0][:2] == ("B", "unsigned")
    assert found[0]["timeout"] == 4321
    assert found[0]["servers"] == [(1, ""), (0, "config.")]
    assert found[1] == found[0]


BUILT = (
    "", "unsigned server", "server with an inherited key", "server with a key of its own", "another secret",
    "keys", "port", "address", "fewer servers", "disabled server", "context", "domain", "managers", "timeout",
    "no domain",
)
SIGNED_BY_THE_DOMAIN = {"forward-ddns": {"ddns-domains": [{
    "name": "example.com.", "key-name": "config.",
    "dns-servers": [{"ip-address": "127.0.0.1", "port": "@A@"}, {"ip-address": "127.0.0.1", "port": "@B@"}],
}]}}


def test_what_a_library_built_counts_field_by_field(d2_binary: str, library: Path) -> None:
    """Each kind of change: the updates, their keys and config-get are those of the real server."""
    def scenario(at: Rig) -> dict[str, Any]:
        found = {}
        for count, how in enumerate(BUILT, start=1):
            wanted = json.loads(json.dumps(at.made))
            wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"] = {
                "configured": how, "port-b": at.dns_ports[1], "domain": f"host{count}.example.com.",
            }
            before = len(at.seen())
            answer = at.d2.command("config-set", wanted)
            config = at.d2.command("config-get")["arguments"]["DhcpDdns"]
            for name in ("hooks-libraries", SOCKET, "port"):
                del config[name]
            if how != "no domain":
                at.d2.barrier()  # the real server opens its port anew, and loses what comes meanwhile
                at.d2.wait_for_listener(at.port)
                at.update(count)
            text = json.dumps([answer["result"], config, at.seen()[before:]])
            for name, port in zip(("A", "B"), at.dns_ports, strict=True):
                text = text.replace(f'"port": {port}', f'"port": "{name}"')
            found[how] = json.loads(text)
        return found

    found, _, _ = compare(d2_binary, [(library, {})], scenario, user=SIGNED_BY_THE_DOMAIN, only=lambda _: [])
    sent = {how: updates[0][:2] for how, (_, _, updates) in found.items() if updates}
    assert sent == {
        "": ["A", "config."], "unsigned server": ["B", "unsigned"],
    } | {how: sent[how] for how in BUILT[2:-1]}
    assert all(result == 0 for result, _, _ in found.values())


def test_loggers_that_a_library_adds(d2_binary: str, library: Path) -> None:
    """They count, and are shown; the next reload without the library's change has none of them."""
    def scenario(at: Rig) -> list[Any]:
        wanted = json.loads(json.dumps(at.made))
        parameters = wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]
        parameters |= {"configured": "logging", "logger": "kea-dhcp-ddns.d2-to-dns"}
        found = []
        for number, config in enumerate((wanted, at.made), start=1):
            assert at.d2.command("config-set", config)["result"] == 0
            at.d2.barrier()
            at.d2.wait_for_listener(at.port)
            request = ncr.request("host.example.com.", "192.0.2.77", f"000101{number:064x}", reverse=False)
            ncr.send(ncr.datagram(request), at.port)
            wait_until(partial(made, at, number), "the update")
            shown = at.d2.command("config-get")["arguments"]["DhcpDdns"]["loggers"]
            found.append([shown, at.d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED")])
        return found

    def made(at: Rig, number: int) -> bool:
        return at.d2.statistics()["update-success"] == number

    libraries: list[Entry] = [(library, {"port-b": "@B@"})]
    found, _, _ = compare(d2_binary, libraries, scenario, only=lambda _: [])
    assert [(len(shown), count) for shown, count in found] == [(2, 0), (1, 1)]


def test_another_port_for_requests(d2_binary: str, library: Path) -> None:
    """The requests come in where the library has said."""
    def scenario(at: Rig) -> list[Any]:
        wanted = json.loads(json.dumps(at.made))
        parameters = wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]
        parameters["configured"] = "own port"
        assert at.d2.command("config-set", wanted)["result"] == 0
        at.d2.barrier()
        at.d2.wait_for_listener(parameters["own-port"])
        at._replace(port=parameters["own-port"]).update(1)
        return [at.d2.command("config-get")["arguments"]["DhcpDdns"]["port"] == parameters["own-port"]]

    libraries: list[Entry] = [(library, {"port-b": "@B@", "own-port": "@FREE@"})]
    found, seen, _ = compare(d2_binary, libraries, scenario, only=lambda _: [])
    assert found == [True]
    assert seen == [("A", "config.", True)]


def test_a_configuration_made_unusable_is_refused(d2_binary: str, library: Path) -> None:
    """The real server continues with a domain that has no server."""
    with rig(d2_binary, [(library, {})]) as at:
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]["configured"] = "spoil"
        answer = at.d2.command("config-set", wanted)
        assert answer["result"] == 1
        assert answer["text"].startswith("a hook library has made the configuration unusable: ")
        assert shown(at)["servers"] == [(0, "config."), (1, "")]
        at.update(1)
        assert at.seen() == [("A", "config.", True)]
        assert at.d2.stop() == 0


def test_a_changed_configuration_comes_back_after_a_failed_reload(d2_binary: str, library: Path) -> None:
    """Changed once and not twice: the servers are not turned round again."""
    with rig(d2_binary, [(library, {"configured": "change"})]) as at:
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]["remove"] = "no-such-command"
        assert at.d2.command("config-set", wanted)["text"] == "One or more hook libraries failed to load"
        assert shown(at)["servers"] == [(1, ""), (0, "config.")]
        at.update(1)
        assert at.seen() == [("B", "unsigned", True)]
        assert at.d2.stop() == 0


# Commands.

def commands(at: Rig) -> list[Any]:
    """The answers that show which code answers each command."""
    own = at.d2.command("meddler-own", {"a": 1})
    thrown = at.d2.command("meddler-own", {"throw": True})
    version = at.d2.command("version-get")
    version.get("arguments", {}).pop("extended", None)
    return [own, thrown, version, at.d2.command("list-commands")]


@pytest.mark.parametrize("parameters", [{"register": "meddler-own"}, {}])
def test_a_command_of_the_command_manager(
    d2_binary: str, library: Path, parameters: dict[str, str],
) -> None:
    def scenario(at: Rig) -> list[Any]:
        found = commands(at)
        assert at.d2.command("config-reload")["result"] == 0
        assert commands(at) == found
        return found

    answers, _, _ = compare(d2_binary, [(library, parameters)], scenario, only=quiet)
    assert (answers[0]["result"] == 0) is bool(parameters)
    assert ("meddler-own" in answers[3]["arguments"]) is bool(parameters)


def test_libraries_run_the_server_s_commands(d2_binary: str, library: Path) -> None:
    """Through the same CommandMgr: built-in ones, their own, unknown ones."""
    def scenario(at: Rig) -> list[Any]:
        requests: list[dict[str, Any]] = [
            {"command": "statistic-get", "arguments": {"name": "no-such"}}, {"command": "statistic-get"},
            {"command": "meddler-own", "arguments": {"a": [1, None]}}, {"command": "no-such"}, {"a": 1},
            {"command": "list-commands"}, {"command": "config-test", "arguments": {"DhcpDdns": 7}},
        ]
        answers = [at.d2.command("meddler-run", request) for request in requests]
        got = at.d2.command("meddler-run", {"command": "config-get"})
        assert got["arguments"]["DhcpDdns"]["port"] == at.port
        return answers

    compare(d2_binary, [(library, {"register": "meddler-own"})], scenario, only=quiet)


def test_a_library_replaces_a_command_and_gives_it_back(d2_binary: str, library: Path) -> None:
    """At a reload: when the real server starts, it registers its commands after the libraries are loaded.

    And it removes them before it unloads the libraries, so that this one then fails to.
    """
    def scenario(at: Rig) -> list[Any]:
        wanted = json.loads(json.dumps(at.made))
        parameters = wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]
        parameters["remove"] = parameters["register"] = "version-get"
        assert at.d2.command("config-set", wanted)["result"] == 0
        return commands(at)

    answers, _, _ = compare(d2_binary, [(library, {})], scenario, only=lambda _: [])
    assert answers[2] == {"result": 0, "text": "meddler version-get"}


def test_a_command_that_is_taken_cannot_be_registered(d2_binary: str, library: Path) -> None:
    """In both; pyd2 loads the old set again."""
    def scenario(at: Rig) -> list[Any]:
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]["register"] = "config-get"
        answer = at.d2.command("config-set", wanted)
        return [answer, *[line for line in quiet(at.lines()) if "HOOKS_LOAD_" in line]]

    answers, _, _ = compare(d2_binary, [(library, {})], scenario, only=lambda _: [])
    assert "Handler for command 'config-get' is already installed." in answers[1]


def test_what_a_library_leaves_behind_is_taken_away(d2_binary: str, library: Path) -> None:
    """In the real server its code is gone, and the next one to ask for the command ends the process."""
    parameters = {"remove": "version-get", "register": "meddler-own", "keep": "yes"}
    with rig(d2_binary, [(library, parameters)]) as at:
        assert at.d2.command("version-get")["result"] == 2
        without = json.loads(json.dumps(at.made))
        without["DhcpDdns"]["hooks-libraries"] = []
        assert at.d2.command("config-set", without)["result"] == 0
        assert at.d2.command("meddler-own")["result"] == 2
        assert at.d2.command("version-get")["result"] == 0
        assert at.d2.command("config-set", at.made)["result"] == 0
        assert at.d2.command("meddler-own")["text"] == "meddler meddler-own"
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["hooks-libraries"][0]["parameters"]["remove"] = "no-such-command"
        assert at.d2.command("config-set", wanted)["result"] == 1
        assert at.d2.command("meddler-own")["text"] == "meddler meddler-own"
        assert at.d2.stop() == 0


def test_a_library_cannot_reload_the_libraries(d2_binary: str, library: Path) -> None:
    with rig(d2_binary, [(library, {})]) as at:
        answer = at.d2.command("meddler-run", {"command": "config-reload"})
        assert answer == {"result": 1, "text": "Error during command processing: a hook library cannot run "
                                               "config-reload: it would be unloaded meanwhile"}
        assert at.d2.stop() == 0


# Statistics.

def values(at: Rig) -> dict[str, Any]:
    """All statistics without their times."""
    found = at.d2.command("statistic-get-all")["arguments"]
    return {name: [sample[0] for sample in samples] for name, samples in found.items()}


def test_statistics_outlive_their_library(d2_binary: str, library: Path) -> None:
    """Also when no compiled library is left; until they are reset, or the server ends."""
    def scenario(at: Rig) -> list[Any]:
        at.update(1)
        without = json.loads(json.dumps(at.made))
        without["DhcpDdns"]["hooks-libraries"] = []
        assert at.d2.command("config-set", without)["result"] == 0
        found = [values(at)]
        assert at.d2.command("config-set", without)["result"] == 0
        found.append(values(at))
        answers = [at.d2.command(f"statistic-{what}", {"name": "meddler.made"}) for what in ("get", "reset")]
        found += [answers[0]["arguments"]["meddler.made"][0][0], answers[1], values(at)]
        assert at.d2.command("config-set", at.made)["result"] == 0
        found.append(values(at)["meddler.made"])
        found += [at.d2.command("statistic-reset-all")["result"], values(at)]
        # Those of keys: docs/differences.md, 14.
        shown: list[Any] = json.loads(json.dumps(found), object_hook=without_keys)
        return shown

    found, _, _ = compare(d2_binary, [(library, {"statistic": "meddler.made"})], scenario, only=lambda _: [])
    assert found[0]["meddler.made"] == [7]
    assert found[0]["meddler.made-text"] == ["seven"]
    assert found[2] == 7


def without_keys(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not name.startswith("key[")}

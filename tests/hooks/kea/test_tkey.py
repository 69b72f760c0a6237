"""A library like ISC's GSS-TSIG (libraries/tkey.cc): its own exchange over TCP, timer, commands and keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import ncr
from tests.kit.waiting import wait_until

from .conftest import SOURCES, Compile
from .rig import DONE, Rig, compare, rig
from .tkey_server import COMMON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Entry = tuple[Path, Mapping[str, Any] | None]

AGREED = "TKEY_SAYS 127.0.0.1 has key"


@pytest.fixture
def library(compile_library: Compile) -> Path:
    return compile_library(SOURCES / "tkey.cc", "-lkea-asiodns")


def entry(library: Path, **more: object) -> Entry:
    server = {"ip-address": "127.0.0.1", "port": "@A@", "tkey-port": "@TKEY@", "secret": COMMON}
    return library, {"servers": [server], **more}


def wake_until(at: Rig, true: Callable[[], bool]) -> None:
    """Wait; the real server looks at a library's sockets only when something wakes it: a command does."""
    def look() -> bool:
        at.d2.barrier()
        return true()

    wait_until(look, "the exchange")


def wait_for_keys(at: Rig, count: int) -> None:
    """Wait until so many keys have been agreed on."""
    wake_until(at, lambda: at.d2.stdout().count(AGREED) >= count)


def quiet(lines: list[str]) -> list[str]:
    """Without DEBUG: how often commands woke the server differs."""
    return [line for line in lines if not line.startswith("DEBUG")]


@pytest.mark.parametrize("service", ["own", "main"])
def test_its_keys_sign_and_verify(d2_binary: str, library: Path, service: str) -> None:
    def scenario(at: Rig) -> list[Any]:
        wait_for_keys(at, 1)
        at.update(1)
        answers = [at.d2.command("tkey-list")]
        answers.append(at.d2.command("tkey-rekey"))
        wait_for_keys(at, 2)
        at.update(2)
        answers.append(at.d2.command("tkey-list"))
        answers.append(at.d2.command("list-commands"))
        answers.append(at.d2.statistics())
        return answers

    answers, seen, _ = compare(d2_binary, [entry(library, service=service)], scenario, only=quiet)
    assert seen == [("A", "1.tkey.example.", True), ("A", "2.tkey.example.", True)]
    assert answers[2]["arguments"] == {
        "failures": 0, "signs": 2, "verifies": 2,
        "keys": [{"server": "127.0.0.1", "status": "ready", "key": "2.tkey.example.", "chosen": 2}],
    }
    assert {"tkey-list", "tkey-rekey"} < set(answers[3]["arguments"])
    assert answers[4]["tkey.exchanges"] == 2
    assert answers[4]["update-signed"] == 2


@pytest.mark.parametrize("how", ["bad", "none", "other-key"])
def test_a_reply_that_its_context_does_not_accept(d2_binary: str, library: Path, how: str) -> None:
    def scenario(at: Rig) -> list[Any]:
        wait_for_keys(at, 1)
        at.dns.set_script([{"rcode": 0, "sign": how}, {"rcode": 0}], at.tkey.keys)
        at.update(1)
        return [at.d2.command("tkey-list")["arguments"]["failures"], at.d2.statistics()]

    answers, seen, _ = compare(d2_binary, [entry(library)], scenario, only=quiet)
    assert seen[0] == ("A", "1.tkey.example.", True)
    assert answers[0] == 1


def test_without_a_key_the_server_is_passed_over(d2_binary: str, library: Path) -> None:
    """What is no answer ends the exchange; the next one mends it."""
    def scenario(at: Rig) -> list[Any]:
        wait_for_keys(at, 1)
        at.tkey.garbage = True
        assert at.d2.command("config-reload")["result"] == 0
        wake_until(at, lambda: "bad answer" in at.d2.stdout())
        wake_until(at, lambda: at.d2.stdout().count("DHCP_DDNS_QUEUE_MGR_STARTED") == 2)  # it listens again
        at.update(1)
        at.tkey.garbage = False
        at.d2.command("tkey-rekey")
        wait_for_keys(at, 2)
        at.update(2)
        return [at.d2.command("tkey-list")]

    _, seen, _ = compare(d2_binary, [entry(library)], scenario, only=quiet)
    assert seen == [("B", "unsigned", True), ("A", "3.tkey.example.", True)]


def test_unloading_at_exit_in_the_midst_of_an_exchange(
    d2_binary: str, library: Path, compile_library: Compile,
) -> None:
    """In reverse order, by both servers."""
    def scenario(at: Rig) -> None:
        wait_for_keys(at, 1)
        at.tkey.hold()
        at.d2.command("tkey-rekey")
        wake_until(at, lambda: len(at.tkey.asked) == 2)

    probe = compile_library(SOURCES / "probe.cc")
    _, _, lines = compare(
        d2_binary, [entry(library), (probe, {"name": "A"})], scenario,
        only=lambda lines: [line.split(" ", 2)[2] for line in quiet(lines)
                            if "context_" not in line and "command_processed" not in line],
    )
    assert lines[-5:-2] == ["PROBE_SAYS A says unload", "TKEY_SAYS 127.0.0.1 stopped", "TKEY_SAYS unload"]
    assert [line.split()[0] for line in lines[-2:]] == ["HOOKS_LIBRARY_CLOSED"] * 2


def test_keys_are_renewed_by_a_timer_while_the_daemon_idles(d2_binary: str, library: Path) -> None:
    with rig(d2_binary, [entry(library, **{"rekey-interval": 50})]) as at:
        at.tkey.wait_for(4)
        at.d2.wait_for_log(AGREED, 4)
        at.update(1)
        ((server, key, good),) = at.seen()
        assert (server, good) == ("A", True)
        assert key in at.tkey.keys
        assert at.d2.stop() == 0


def begin_update(at: Rig, delay: float = 1.0) -> None:
    """Send a request whose answer takes its time, and wait until it is on its way."""
    at.dns.set_script([{"rcode": 0, "delay": delay}], at.tkey.keys)
    request = ncr.request("late.example.com.", "192.0.2.78", "00010100", reverse=False)
    ncr.send(ncr.datagram(request), at.port)
    at.d2.wait_for_log("DHCP_DDNS_UPDATE_REQUEST_SENT")


@pytest.mark.parametrize("service", ["own", "main"])
def test_a_reload_in_the_midst_of_an_exchange_and_an_update(
    d2_binary: str, library: Path, service: str,
) -> None:
    """Nothing is lost: the update is verified by the old key, the next signed by a new one."""
    with rig(d2_binary, [entry(library, service=service)], user={"dns-server-timeout": 5000}) as at:
        at.d2.wait_for_log(AGREED)
        begin_update(at)
        at.tkey.hold()
        assert at.d2.command("tkey-rekey")["result"] == 0
        at.tkey.wait_for(2)
        assert at.d2.command("config-reload")["result"] == 0
        assert "TKEY_SAYS 127.0.0.1 stopped" in at.d2.stdout()
        at.tkey.wait_for(3)
        at.tkey.release()
        at.d2.wait_for_log(AGREED, 2)
        at.d2.wait_for_log(DONE)
        assert "DHCP_DDNS_ADD_SUCCEEDED" in at.d2.stdout()
        assert at.d2.command("tkey-list")["arguments"]["failures"] == 0
        at.update(2)
        assert [server for server, _, good in at.seen() if good] == ["A", "A"]
        assert at.d2.stop() == 0
        assert at.d2.stdout().count("TKEY_SAYS unload") == 2


def test_a_failed_reload_brings_the_old_set_back(
    d2_binary: str, library: Path, compile_library: Compile,
) -> None:
    probe = compile_library(SOURCES / "probe.cc")
    libraries = [entry(library), (probe, {"name": "A"})]
    with rig(d2_binary, libraries, user={"dns-server-timeout": 5000}) as at:
        at.d2.wait_for_log(AGREED)
        begin_update(at)
        wanted = json.loads(json.dumps(at.made))
        wanted["DhcpDdns"]["dns-server-timeout"] = 1000
        wanted["DhcpDdns"]["hooks-libraries"][1]["parameters"]["load"] = "throw"
        answer = at.d2.command("config-set", wanted)
        assert (answer["result"], answer["text"]) == (1, "One or more hook libraries failed to load")
        at.d2.wait_for_log(AGREED, 2)
        at.d2.wait_for_log(DONE)
        assert "DHCP_DDNS_ADD_SUCCEEDED" in at.d2.stdout()
        assert {"A-state", "tkey-list"} < set(at.d2.command("list-commands")["arguments"])
        assert at.d2.command("config-get")["arguments"]["DhcpDdns"]["dns-server-timeout"] == 5000
        at.update(2)
        assert [(server, good) for server, _, good in at.seen()] == [("A", True)] * 2
        assert at.d2.stop() == 0
        said = [line.split(" ", 2)[2] for line in quiet(at.lines())]
        said = [line for line in said if line.endswith("load") or "HOOKS_LOAD_" in line]
        assert said == [
            "TKEY_SAYS load", "PROBE_SAYS A says load",
            "PROBE_SAYS A says unload", "TKEY_SAYS unload",
            "TKEY_SAYS load",
            *[line for line in said if "HOOKS_LOAD_FRAMEWORK_EXCEPTION" in line],
            "PROBE_SAYS A says unload", "TKEY_SAYS unload",
            "TKEY_SAYS load", "PROBE_SAYS A says load",
            "PROBE_SAYS A says unload", "TKEY_SAYS unload",
        ]

"""Libraries as others write them, in both servers: they read, answer, sign and work in every way there is."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.data.controls import escaped_lines
from tests.kit import control, kea, ncr
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

from .conftest import SOURCES, Compile
from .rig import DONE, SECRET, Rig, compare, rig
from .test_tkey import quiet, wake_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Reading.

PARAMETERS: dict[str, Any] = {
    "int": 5, "negative": -(1 << 63), "real": 1.5, "large": 1e300, "true": True, "null": None, "list": [],
    "map": {}, "text": 'é\n"', "empty": "", "nested": {"a": [{"b": [None]}]},
}
USER = {
    "user-context": {"note": "top", "n": [1, 2.5, None]},
    "tsig-keys": [
        {"name": "config.", "algorithm": "HMAC-SHA256", "secret": SECRET, "user-context": {"k": 1}},
        {"name": "Two.Keys", "algorithm": "hmac-sha512", "digest-bits": 256, "secret": SECRET,
         "comment": "a word"},
    ],
}


@pytest.mark.parametrize("parameters", [PARAMETERS, None])
def test_all_that_there_is_to_read(
    d2_binary: str, compile_library: Compile, parameters: dict[str, Any] | None,
) -> None:
    """Exactly the same parameters, objects and JSON, and the same positions."""
    library = compile_library(SOURCES / "walker.cc")
    user = USER if parameters else None
    _, _, lines = compare(d2_binary, [(library, parameters)], lambda _: None, user=user)
    assert sum("PROBE_WALKS position of " in line for line in lines) > 20


# Commands and statistics.

def ask(at: Rig, name: str, arguments: Any = None) -> Any:
    """Return the answer to a command, whatever it is; None when there is none."""
    request = {"command": name} if arguments is None else {"command": name, "arguments": arguments}
    answer = control.exchange(at.d2.socket, [json.dumps(request)])
    return json.loads(answer) if answer else None


def of_clerk(lines: list[str]) -> list[str]:
    """Without what the rig's own commands made the library say."""
    own = ("tests-barrier", "PROBE_CLERK argument")
    return [line for line in quiet(lines) if not any(text in line for text in own)]


def test_every_way_to_answer_a_command(d2_binary: str, compile_library: Compile) -> None:
    def scenario(at: Rig) -> list[Any]:
        names = ["two-steps", "two_steps", "list", "text", "no-result", "null", "nothing", "throw",
                 "only-throw", "helper", "turn", "throw-later", "gone"]
        answers = [ask(at, f"clerk-{name}") for name in names]
        names = ["version-get", "status-get", "list-commands", "build-report", "Upper-Case", "upper-case",
                 "a_b", "a-b", "statistic-reset-all"]
        answers += [ask(at, name) for name in names]
        answers += [ask(at, "clerk-helper", arguments) for arguments in ({"a": 1}, [1], "text")]
        at.update(1)
        return answers

    library = compile_library(SOURCES / "clerk.cc")
    answers, _, lines = compare(d2_binary, [(library, None)], scenario, only=of_clerk)
    assert answers[0] == {"amended": True, "result": 0, "text": "$clerk_two_steps is answered"}
    assert answers[5:7] == [None, None]
    assert [line.rpartition(" ")[2] for line in lines if "PROBE_CLERK select:" in line] == ["0", "0", "2"]


def values(answer: Any) -> dict[str, list[Any]]:
    """Return of each statistic the values of its samples, without those of keys."""
    return {name: [value for value, _ in samples] for name, samples in answer["arguments"].items()
            if not name.startswith("key[")}


def test_statistics_of_every_type_and_the_server_s_own(d2_binary: str, compile_library: Compile) -> None:
    """A library's samples are all shown, and what it adds to the server's statistics stays in them."""
    def scenario(at: Rig) -> list[Any]:
        found = [ask(at, "clerk-bump")["arguments"]["sent"]["update-sent"][0][0] for _ in range(5)]
        at.update(1)
        names = ("clerk.count", "update-sent", "no-such")
        found += [values(ask(at, "statistic-get", {"name": name})) for name in names]
        found.append(values(ask(at, "statistic-get-all")))
        found.append(ask(at, "statistic-sample-count-set", {"name": "clerk.count", "max-samples": 2}))
        names = ("clerk.text", "update-sent", "no-such")
        found += [ask(at, "statistic-reset", {"name": name}) for name in names]
        found.append(values(ask(at, "statistic-get-all")))
        found += [ask(at, "clerk-bump")["arguments"]["sent"]["update-sent"][0][0]]
        at.update(2)
        found.append(values(ask(at, "statistic-get-all")))
        return found

    library = compile_library(SOURCES / "clerk.cc")
    found, _, _ = compare(d2_binary, [(library, None)], scenario, only=of_clerk)
    assert found[:5] == [100, 200, 300, 400, 500]
    assert found[5:7] == [{"clerk.count": [5, 4, 3]}, {"update-sent": [501]}]


# Keys.

SIGNED = ("none", "plain", "cut", "capitals", "sha1", "md5", "configured", "kept", "null", "other-server",
          "null-server", "telling", "length-400", "verify-accepts", "create-null")
FAILED = ("gss-tsig", "no-secret", "wrong-secret", "unknown", "sign-throws", "sign-throws-std",
          "verify-throws", "verify-refuses", "length-throws", "create-throws")


@pytest.mark.parametrize("modes", [SIGNED, FAILED], ids=["signed", "failed"])
def test_every_way_to_sign(d2_binary: str, compile_library: Compile, modes: tuple[str, ...]) -> None:
    """One after the other: what goes out, and what is asked of a context and when."""
    def scenario(at: Rig) -> list[Any]:
        for number, mode in enumerate(modes, start=1):
            assert at.d2.command("signers-set", {"mode": mode})["result"] == 0
            at.update(number)
        return [values(at.d2.command("statistic-get-all"))]

    def only(lines: list[str]) -> list[str]:
        # A context whose call has failed lives as long as the exception, which is longer in Python.
        return lines if modes is SIGNED else [line for line in lines if "PROBE_SIGNS end" not in line]

    library = compile_library(SOURCES / "signers.cc")
    _, seen, lines = compare(d2_binary, [(library, None)], scenario, only=only)
    assert sum("_FAILED" in line for line in lines) == (0 if modes is SIGNED else len(FAILED))
    assert len(seen) >= len(SIGNED) or modes is FAILED


@pytest.mark.parametrize("mode", ["no-argument", "base-class"])
def test_no_key_that_could_be_read(d2_binary: str, compile_library: Compile, mode: str) -> None:
    def scenario(at: Rig) -> None:
        assert at.d2.command("signers-set", {"mode": mode})["result"] == 0
        request = ncr.request("a.example.com.", "192.0.2.77", "00010100", reverse=False)
        ncr.send(ncr.datagram(request), at.port)
        at.d2.wait_for_log("DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR")

    _, seen, _ = compare(d2_binary, [(compile_library(SOURCES / "signers.cc"), None)], scenario)
    assert seen == []


# Work beside the server.

@pytest.fixture
def port() -> Iterator[int]:
    with PortLease() as lease:
        yield lease.take()


@pytest.fixture
def worker(compile_library: Compile) -> Path:
    return compile_library(SOURCES / "worker.cc", "-lkea-asiodns")


def echoed(at: Rig, port: int) -> str:
    """Ask the library's socket, and wake the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(20)
        asking.sendto(b"something", ("127.0.0.1", port))
        at.d2.barrier()
        at.d2.barrier()
        return asking.recv(512).decode()


def counted(at: Rig) -> dict[str, int]:
    """Return what the library has counted."""
    found: dict[str, int] = at.d2.command("worker-tell")["arguments"]
    return found


def of_worker(lines: list[str]) -> list[str]:
    """Without the lines of repeated queries.

    That the library's own request has gone out comes last: in pyd2 it is received in another thread. Control
    characters are as pyd2 shows them, escaped.
    """
    kept = [escaped_lines(line) for line in lines
            if "$worker_tell" not in line and "from a thread" not in line]
    return sorted(kept, key=lambda line: "PROBE_WORKS request" in line)


def test_work_beside_the_server(d2_binary: str, worker: Path, port: int) -> None:
    """Threads, timers, sockets, programs, an update and a request of its own, all kinds of log messages."""
    def scenario(at: Rig) -> list[Any]:
        found: list[Any] = [echoed(at, port), at.d2.command("worker-point")]
        found += [at.d2.command("worker-run", {"wait": True}), at.d2.command("worker-run")]
        wake_until(at, lambda: counted(at)["exited"] == 7)
        found.append(at.d2.command("worker-update"))
        wake_until(at, lambda: "PROBE_WORKS update" in at.d2.stdout())
        found.append(at.d2.command("worker-request", {"port": at.port}))
        at.d2.wait_for_log(DONE)
        at.update(2)
        wake_until(at, lambda: min(counted(at).values()) > 0)
        found.append(at.d2.command("config-reload")["text"])
        at.d2.barrier()
        at.d2.wait_for_listener(at.port)
        at.update(3)
        lines = at.lines()
        found.append({lines[number + 1].partition(" hook ")[0].partition(" has ")[0].split()[2]
                      for number, line in enumerate(lines) if "from a thread" in line})
        return found

    entry = (worker, {"port": port, "dns-port": "@A@"})
    found, seen, _ = compare(d2_binary, [entry], scenario, only=of_worker)
    assert found[0] == "echo something"
    assert found[-1] == {"HOOKS_CALLOUT_CALLED"}
    assert seen == [("A", "own.", True)] + [("A", "config.", True)] * 3


def test_what_a_library_has_left_open_is_written_at_the_end(
    d2_binary: str, worker: Path, port: int,
) -> None:
    real = kea.chosen().program("kea-dhcp-ddns")
    for binary in (real, d2_binary):
        with rig(binary, [(worker, {"port": port, "dns-port": 1, "file": "@DIR@/left.txt"})]) as at:
            at.update(1)
            assert at.d2.stop() == 0
            assert (at.directory / "left.txt").read_text() == "selected\n"


def test_a_library_s_hook_point_takes_callouts_in_python(
    d2_binary: str, worker: Path, port: int, tmp_path: Path,
) -> None:
    """A text stays a text to the libraries in C++."""
    script = tmp_path / "attached.py"
    script.write_text(f"def version(): return {kea.chosen().rules.version}\n" + """

def probe_point(handle):
    seen = f"{handle.get_argument('text')}, {handle.get_argument('number')} and {handle.get_argument('json')}"
    handle.set_argument("text", f"{seen} seen in Python")
""")
    with rig(d2_binary, [(worker, {"port": port, "dns-port": 1}), (script, None)]) as at:
        answer = at.d2.command("worker-point")
        assert answer == {"result": 0, "text": "begun, seen by its maker, 21 and {'a': 1} seen in Python"}
        assert at.d2.stop() == 0


def test_a_library_that_stops_the_server_s_service_stops_nothing(
    d2_binary: str, worker: Path, port: int,
) -> None:
    """The real server ends."""
    with rig(d2_binary, [(worker, {"port": port, "dns-port": 1})]) as at:
        assert at.d2.command("worker-stop")["result"] == 0
        before = counted(at)["main-ticks"]
        wait_until(lambda: counted(at)["main-ticks"] > before, "the timer on the server's service")
        at.update(1)
        assert at.d2.stop() == 0


def test_what_a_thread_logs_too_fast_is_counted(d2_binary: str, worker: Path, port: int) -> None:
    with rig(d2_binary, [(worker, {"port": port, "dns-port": 1})]) as at:
        assert at.d2.command("worker-flood")["result"] == 0
        at.d2.wait_for_log("PYD2_HOOK_MESSAGES_LOST lost 2000 log messages")
        assert at.d2.stdout().count("PROBE_WORKS flood: ") == 10000
        assert at.d2.stop() == 0

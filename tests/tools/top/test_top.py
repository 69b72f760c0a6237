"""``pyd2ctl top``: its lines, and a daemon that it watches over both kinds of channel."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.tools.channel import daemon as daemon_module
from pyd2.tools.cli import main
from pyd2.tools.top.reading import Reading, Server
from pyd2.tools.top.view import Size, duration, lines
from tests.kit import ncr
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import find_program
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {"name": "k.example.", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM="}


def reading(at: float = 10.0, **changes: Any) -> Reading:
    whole = Reading(
        at, "2.6.3", 77, 100, 60, {"ncr-received": 5, "update-sent": 8, "update-success": 8}, {}, {}, ()
    )
    return whole._replace(**changes)


def test_a_daemon_that_says_little() -> None:
    """Kea's own."""
    assert lines(reading(), None, "unix") == [
        "Kea 2.6.3  pid 77  up 1 min 40 s, configured 1 min 0 s ago  unix",
        "",
        "Requests  received 5  invalid 0  lost 0",
        "Updates   sent 8  replies 8  timeouts 0  bad replies 0",
    ]


def test_rates_and_warnings_come_from_two_readings() -> None:
    before = reading(requests={"done": 4, "queued": 1, "active": 0})
    now = reading(
        14.0,
        requests={"done": 8, "failed": 2, "queued": 30, "active": 1},
        statistics={
            "ncr-received": 25,
            "update-sent": 28,
            "update-success": 20,
            "update-timeout": 3,
            "key[k.].update-sent": 20,
            "key[k.].update-timeout": 3,
            "pyd2-kernel-drops": 2,
        },
        servers=(Server("192.0.2.53:53", True, 75, 0, 30), Server("[2001:db8::1]:53", False, 0, 1, 0)),
        queue={"file": "q", "state": "memory only: no space left on device", "entries": 31, "oldest-age": 80,
               "site": "a", "server": "", "unacknowledged": 30, "node": {"state": "paused", "waiting": 1}},
    )
    assert lines(now, before, "unix") == [
        "Kea 2.6.3  pid 77  up 1 min 40 s, configured 1 min 0 s ago  unix",
        "! 192.0.2.53:53 has been down for 1 min 15 s: 30 requests wait for it",
        "! the durable queue does not work: memory only: no space left on device",
        "! no server of the shared queue can be reached: 30 requests wait on this machine",
        "! 3 updates without a reply since the last look",
        "! 2 requests dropped by the kernel since the last look",
        "",
        "Requests  received 25 (5.0/s)  invalid 0 (0.0/s)  lost 0 (0.0/s)",
        ("          done 8 (1.0/s)  failed 2 (0.5/s)  unmatched 0 (0.0/s)  expired 0 (0.0/s)  "
        "superseded 0 (0.0/s)"),
        "          waiting 30  under way 1",
        "Updates   sent 28 (5.0/s)  replies 20 (3.0/s)  timeouts 3 (0.8/s)  bad replies 0 (0.0/s)",
        "Queue     entries 31  oldest 1 min 20 s",
        "Site      a  paused  waiting 1  not acknowledged 30",
        "",
        "Keys              sent     replies    timeouts bad replies",
        "                    20           0           3           0  k.",
        "",
        "Servers                     state  under way  waiting",
        "          192.0.2.53:53     DOWN           0       30",
        "          [2001:db8::1]:53  up             1        0",
    ]
    assert lines(now, before, "unix", size=Size(200, 7))[5:] == [
        "! 2 requests dropped by the kernel since the last look",
        "... 14 more lines",
    ]


def test_on_a_small_terminal_nothing_is_cut_but_tables() -> None:
    before = reading(requests={"done": 4, "queued": 1, "active": 0})
    now = reading(
        14.0,
        requests={"done": 8, "failed": 2, "queued": 30, "active": 1},
        statistics={"ncr-received": 25, "update-sent": 28, "update-error": 3},
        servers=(Server("192.0.2.53:53", True, 75, 0, 30), Server("192.0.2.54:53", False, 0, 1, 0)),
    )
    place = "/run/kea/kea-ddns-ctrl-socket"
    assert lines(now, before, place, "no answer", Size(80, 23)) == [
        "! no answer",
        "Kea 2.6.3  pid 77  up 1 min 40 s, configured 1 min 0 s ago",
        "          /run/kea/kea-ddns-ctrl-socket",
        "! 192.0.2.53:53 has been down for 1 min 15 s: 30 requests wait for it",
        "! 3 bad replies since the last look",
        "",
        "Requests  received 25 (5.0/s)  invalid 0 (0.0/s)  lost 0 (0.0/s)",
        "          done 8 (1.0/s)  failed 2 (0.5/s)  unmatched 0 (0.0/s)",
        "          expired 0 (0.0/s)  superseded 0 (0.0/s)",
        "          waiting 30  under way 1",
        "Updates   sent 28 (5.0/s)  replies 0  timeouts 0 (0.0/s)  bad replies 3 (0.8/s)",
        "",
        "Servers                  state  under way  waiting",
        "          192.0.2.53:53  DOWN           0       30",
        "          192.0.2.54:53  up             1        0",
    ]
    assert lines(now, before, place, "", Size(40, 9)) == [
        "Kea 2.6.3  pid 77",
        "          up 1 min 40 s, configured 1",
        "          min 0 s ago",
        "          /run/kea/kea-ddns-ctrl-socket",
        "! 192.0.2.53:53 has been down for 1 min",
        "          15 s: 30 requests wait for it",
        "! 3 bad replies since the last look",
        "",
        "... 16 more lines",
    ]


@given(st.text(max_size=300), st.integers(1, 100), st.integers(1, 50))
def test_lines_fit_into_any_terminal(fault: str, columns: int, rows: int) -> None:
    size = Size(columns, rows)
    shown = lines(reading(servers=(Server("192.0.2.53:53", True, 75, 0, 30),)), None, "unix", fault, size)
    assert len(shown) <= rows
    assert max(map(len, shown)) <= columns
    assert lines(reading(), None, "unix", fault, Size(columns, 1000))[-1]


def test_another_process_begins_anew() -> None:
    text = "\n".join(lines(reading(14.0, pid=78), reading(), "unix"))
    assert "/s)" not in text
    reset = reading(14.0, statistics={"ncr-received": 2})
    assert "received 2  invalid" in "\n".join(lines(reset, reading(), "unix"))


def test_names_of_keys_are_escaped() -> None:
    text = "\n".join(lines(reading(statistics={"key[\x1b[2J.].update-sent": 1}), None, "unix"))
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h"), (86400 * 3 + 5, "3 d 0 h")],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def daemon(d2_binary: str, is_pyd2: bool) -> Iterator[tuple[D2, int]]:
    """A daemon with a server that answers, and its HTTP port; Kea 2.6 has none."""
    if not is_pyd2:
        pytest.skip("the switches are pyd2's")
    with ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port, http, server = lease.take(), lease.take(), lease.take()
        stack.enter_context(ScriptedDns({"A": server}))
        domains = {
            "ddns-domains": [
                {"name": "example.com.", "dns-servers": [{"ip-address": "127.0.0.1", "port": server}]}
            ]
        }
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(
            D2.start(
                d2_binary,
                directory,
                config(
                    port,
                    {
                        "forward-ddns": domains,
                        "control-socket": CONTROL_SOCKET,
                        "user-context": {
                            "pyd2": {
                                "retry": {"enabled": True},
                                "http": [
                                    {
                                        "socket-type": "http",
                                        "socket-address": "127.0.0.1",
                                        "socket-port": http,
                                    }
                                ],
                            }
                        },
                    },
                ),
            )
        )
        d2.wait_for_listener(port)
        name = "host.example.com."
        ncr.send(ncr.datagram(ncr.request(name, "192.0.2.1", ncr.dhcid(b"1", name), reverse=False)), port)
        wait_until(lambda: d2.statistics()["update-sent"], "an update")
        yield d2, http


def test_over_a_socket_and_over_http(daemon: tuple[D2, int], capsys: pytest.CaptureFixture[str]) -> None:
    d2, http = daemon
    for place in (str(d2.socket), f"http://127.0.0.1:{http}"):
        assert main(["top", "--to", place, "--count", "2", "--every", "0.1"]) == 0
        text = capsys.readouterr().out
        assert text.count("Requests  received 1") == 2
        assert text.count(f"pid {d2.process.pid}  up ") == 2
        assert text.count("Servers") == 2
        assert "\x1b" not in text


def test_on_a_terminal_it_has_a_screen_of_its_own(daemon: tuple[D2, int]) -> None:
    d2, _ = daemon
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "pyd2.tools",
        "top",
        "--to",
        str(d2.socket),
        "--count",
        "2",
        "--every",
        "0.1",
    ]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(20) == 0
    assert text.startswith(b"\x1b[?1049h\x1b[?25l\x1b[H")
    assert text.count(b"Requests  received 1") == 2
    assert text.endswith(b"\x1b[?25h\x1b[?1049l")


def test_a_terminal_is_left_as_it_was_when_the_program_is_asked_to_end(daemon: tuple[D2, int]) -> None:
    d2, _ = daemon
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pyd2.tools", "top", "--to", str(d2.socket)]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while b"received 1" not in text:
            text += os.read(ours, 65536)
        process.terminate()
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(20) == 0
    assert text.endswith(b"\x1b[?25h\x1b[?1049l")


@pytest.mark.peers
def test_the_real_server_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    kea = find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server")
    with (
        PortLease() as lease,
        private_directory() as directory,
        D2.start(kea, directory, config(lease.take())) as d2,
    ):
        assert main(["top", "--to", str(d2.socket), "--count", "1"]) == 0
        assert "Updates   sent 0  replies 0  timeouts 0  bad replies 0" in capsys.readouterr().out


def test_no_daemon_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert main(["top", "--to", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "no answer to version-get" in error
    assert "--to" not in error


def test_without_a_place_it_says_how_to_name_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "USUAL_SOCKET", str(tmp_path / "none"))
    assert main(["top"]) == 1
    assert "none: No such file or directory; if the daemon has another" in capsys.readouterr().err

"""``pyd2ctl replay``: to a port, to a file, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pyd2.capture.lines import request_line
from pyd2.tools.cli import main
from pyd2.tools.replay import command
from pyd2.tools.replay.source import Source
from pyd2.tools.replay.write import shifted
from tests.kit import ncr
from tests.tools.replay.captures import ETHERNET, Frame, framed, pcap, udp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTS = [
    ncr.datagram(
        ncr.request(f"h{n}.example.com.", f"192.0.2.{n}", ncr.dhcid(b"%d" % n, f"h{n}.example.com."))
    )
    for n in range(1, 6)
]
BEGUN = 1_800_000_000.0


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A file with five requests, ten seconds apart."""
    path = tmp_path / "capture.jsonl"
    path.write_bytes(b"".join(request_line(BEGUN + 10 * n, octets) for n, octets in enumerate(HOSTS)))
    return path


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A socket that receives requests."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


def received(sock: socket.socket, count: int) -> list[bytes]:
    return [sock.recv(65536) for _ in range(count)]


def replay(*arguments: object) -> int:
    return main(["replay", *map(str, arguments)])


def test_packets_arrive_as_they_were(
    tmp_path: Path, receiver: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "d2.pcap"
    rubbish = b"\x00\x05{ no "
    frames = [Frame(framed(udp(octets), ETHERNET)) for octets in (*HOSTS, rubbish)]
    path.write_bytes(pcap([*frames, Frame(framed(udp(b"query", 53), ETHERNET))])[:-1])
    to = f"127.0.0.1:{receiver.getsockname()[1]}"
    assert replay(path, "--to", to) == 0
    assert received(receiver, 6) == [*HOSTS, rubbish]
    output = capsys.readouterr()
    assert output.out == f"sent 6 requests to {to}; see the daemon's log and statistics for the outcome\n"
    assert output.err.startswith(f"{path}: octet ")
    assert output.err.endswith(": the file ends within a packet: what is before that counts\n")


def test_the_pauses_are_those_of_the_capture(
    capture: Path, receiver: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("pyd2.tools.replay.command.time.sleep", slept.append)
    monkeypatch.setattr("pyd2.tools.replay.command.time.monotonic", lambda: 50.0)
    to = f"127.0.0.1:{receiver.getsockname()[1]}"
    assert replay(capture, "--to", to, "--speed", "4") == 0
    assert slept == [2.5, 5.0, 7.5, 10.0]
    assert replay(capture, "--to", to, "--speed", "max", "--limit", "2") == 0
    assert slept == [2.5, 5.0, 7.5, 10.0]
    assert received(receiver, 7) == [*HOSTS, *HOSTS[:2]]


def test_leases_end_later_by_the_time_that_has_passed(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "shifted.jsonl"
    assert replay(capture, "--write", path, "--shift") == 0
    passed = time.time() - BEGUN
    (first, *_) = Source(path, 0).read()
    ends = json.loads(first.datagram[2:])["lease-expires-on"]
    assert shifted(HOSTS[0], passed)[2:].decode().count(ends[:10]) == 1
    assert len(first.datagram) == len(HOSTS[0])


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [
        (0.4, "20400102030405"),
        (86400.0, "20400103030405"),
        (-5.0, "20400102030400"),
        (1e15, "20400102030405"),
    ],
)
def test_a_lease_end_is_moved(seconds: float, ends: str) -> None:
    assert shifted(HOSTS[0], seconds) == HOSTS[0].replace(b"20400102030405", ends.encode())


def test_no_such_day_stays(capture: Path) -> None:
    octets = HOSTS[0].replace(b"20400102030405", b"20409902030405")
    assert shifted(octets, 5.0) == octets


@pytest.mark.parametrize("name", ["copy.pcap", "copy.jsonl"])
def test_a_copy_holds_the_same(
    capture: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / name
    assert replay(capture, "--write", copy) == 0
    assert capsys.readouterr().out == f"wrote 5 requests to {copy}\n"
    source = Source(copy, command.USUAL_PORT)
    assert [tuple(request) for request in source.read()] == [
        tuple(request) for request in Source(capture, 0).read()
    ]
    assert not source.left_out
    assert replay(capture, "--write", copy) == 2  # it would be overwritten
    assert "File exists" in capsys.readouterr().err


def test_an_anonymised_copy(capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capture.open("ab") as file:
        file.write(request_line(BEGUN + 99, b"\x00\x01{"))
    key, copy, config = tmp_path / "key", tmp_path / "copy.jsonl", tmp_path / "d2.json"
    key.write_bytes(b"k" * 32)
    config.write_text(
        json.dumps(
            {
                "DhcpDdns": {
                    "forward-ddns": {
                        "ddns-domains": [
                            {"name": "example.com.", "dns-servers": [{"ip-address": "192.0.2.53"}]}
                        ]
                    },
                }
            }
        )
    )
    assert replay(capture, "--write", copy, "--anonymise", key, "-c", config) == 0
    output = capsys.readouterr()
    assert output.out == f"wrote 5 requests to {copy}\n"
    assert output.err == "1 request left out: not readable, so not to be anonymised\n"
    names = [json.loads(line)["request"]["fqdn"] for line in copy.read_text().splitlines()]
    assert len(set(names)) == 5
    assert all(name.endswith(".example.com.") and not re.match(r"h[0-9]\.", name) for name in names)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ["FILE", "--to", "127.0.0.1:1", "--anonymise", "KEY"],
            "needs the zones: -c CONFIG, or --zone for each",
        ),
        (
            ["FILE", "--to", "127.0.0.1:1", "--anonymise", "KEY", "--zone", "example.com."],
            "KEY: 5 octets are too few for a key; make one with 'head -c 32 /dev/urandom > KEY'",
        ),
        (
            ["FILE", "--against", "pyd2", "--zone", "example.com."],
            "needs --against twice, one for each daemon",
        ),
        (["DAMAGED", "--to", "127.0.0.1:1"], "DAMAGED: line 2: it is no map"),
        (["EMPTY", "--to", "127.0.0.1:1"], "EMPTY, to UDP port 53001: there are no requests"),
        (["MISSING", "--to", "127.0.0.1:1"], "MISSING: No such file or directory"),
        (["FILE", "--to", "127.0.0.1:1", "-c", "MISSING", "--speed", "max"], "Unable to open file MISSING"),
    ],
)
def test_what_it_refuses(
    capture: Path,
    tmp_path: Path,
    arguments: list[str],
    fault: str,
    capsys: pytest.CaptureFixture[str],
    receiver: socket.socket,
) -> None:
    names = {
        "FILE": capture,
        "KEY": tmp_path / "key",
        "DAMAGED": tmp_path / "damaged",
        "EMPTY": tmp_path / "empty",
        "MISSING": tmp_path / "missing",
    }
    names["KEY"].write_bytes(b"short")
    names["DAMAGED"].write_bytes(HOSTS[0][2:] + b"\n[]\n")
    names["EMPTY"].write_bytes(b"")
    to = f"127.0.0.1:{receiver.getsockname()[1]}"
    shown = [str(names.get(argument, argument)).replace("127.0.0.1:1", to) for argument in arguments]
    assert replay(*shown) == 2
    for name, path in names.items():
        fault = fault.replace(name, str(path))
    assert fault in capsys.readouterr().err
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):  # nothing was sent, not even what is before a damage
        receiver.recv(1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["x", "--to", "a:b"],
        ["x", "--to", "127.0.0.1:1", "--speed", "0"],
        ["x", "--to", "127.0.0.1:1", "--limit", "0"],
        ["x", "--to", "127.0.0.1:1", "--write", "y"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        replay(*arguments)
    assert stop.value.code == 2


def test_max_is_without_pauses() -> None:
    assert command._speed("max") == math.inf

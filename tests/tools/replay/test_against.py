"""Two daemons and what they make of the same requests: equal, or what differs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pyd2.capture.lines import request_line
from pyd2.tools.cli import main
from pyd2.tools.replay.against import SHOWN, Seen, differences
from tests.kit import ncr
from tests.kit.process import find_program
from tests.tools.replay.captures import ETHERNET, Frame, framed, pcap, udp

if TYPE_CHECKING:
    from pathlib import Path

ZONES = ("example.com.", "2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.")


def stream(seed: int, count: int) -> list[bytes]:
    """Return requests of some clients with names that some of them share."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        host, client = chance.randrange(12), chance.randrange(3)
        name = f"h{host}.{chance.choice(['example.com.', 'example.com.', 'lost.test.'])}"
        address = f"192.0.2.{10 + host}" if chance.random() < 0.8 else f"2001:db8::{host:x}"
        found.append(
            ncr.datagram(
                ncr.request(
                    name,
                    address,
                    ncr.dhcid(b"%d" % client, name),
                    change=chance.randrange(2),
                    forward=chance.random() < 0.9,
                    mode=chance.choice(ncr.MODES),
                    ttl=chance.choice([600, 3600]),
                )
            )
        )
        if chance.random() < 0.05:
            found.append(ncr.datagram(b'{ "change-type": 5 }'))
    return found


def against(path: Path, first: str, second: str, *more: str) -> int:
    zones = [word for zone in ZONES for word in ("--zone", zone)]
    return main(["replay", str(path), "--against", first, "--against", second, *zones, *more])


@pytest.mark.peers
def test_pyd2_and_the_real_server_do_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stream.pcap"
    path.write_bytes(pcap([Frame(framed(udp(octets), ETHERNET)) for octets in stream(1, 150)]))
    kea = find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server")
    assert against(path, "pyd2", kea, "--at-once", "1", "--kea", "2.6") == 0, capsys.readouterr()
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "both did the same"
    ours, theirs = (line.partition(": ")[2] for line in shown[:2])
    assert ours == theirs
    for word in (
        "ADD_SUCCEEDED",
        "ADD_FAILED",
        "REMOVE_SUCCEEDED",
        "REMOVE_FAILED",
        "INVALID_NCR",
        "NO_FWD_MATCH_ERROR",
    ):
        assert word in ours


def test_a_daemon_that_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_bytes(request_line(5.0, stream(1, 1)[0]))
    assert against(path, "false", "false") == 2
    assert "the daemon did not come up (exit status 1)" in capsys.readouterr().err


def seen(**changes: object) -> Seen:
    whole = Seen(
        2,
        {"0001": ["DHCP_DDNS_ADD_SUCCEEDED"]},
        {("a.example.", "x"): [("NOERROR", "example.", "one")]},
        {"example.": frozenset({"a.example. 60 A 192.0.2.1"})},
    )
    return whole._replace(**changes)  # type: ignore[arg-type]


def test_equal_daemons_have_no_differences() -> None:
    assert list(differences("A", "B", seen(), seen())) == []
    assert str(seen()) == "2 requests, 1 updates, 1 records; 1 ADD_SUCCEEDED"


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        (
            seen(zones={"example.": frozenset({"b.example. 60 A 192.0.2.1"})}),
            [
                "zone example.: only A has a.example. 60 A 192.0.2.1",
                "zone example.: only B has b.example. 60 A 192.0.2.1",
            ],
        ),
        (
            seen(ends={"0001": ["DHCP_DDNS_ADD_SUCCEEDED", "DHCP_DDNS_ADD_FAILED"]}),
            ["request 0001: no. 2 of A is missing, of B DHCP_DDNS_ADD_FAILED"],
        ),
        (
            seen(ends={"0001": ["DHCP_DDNS_ADD_FAILED"]}),
            ["request 0001: no. 1 of A is DHCP_DDNS_ADD_SUCCEEDED, of B DHCP_DDNS_ADD_FAILED"],
        ),
        (
            seen(updates={("a.example.", "x"): [("REFUSED", "example.", "one")]}),
            ["updates of a.example. x: no. 1 of A is NOERROR; example.; one, of B REFUSED; example.; one"],
        ),
    ],
)
def test_each_kind_of_difference_is_shown(other: Seen, lines: list[str]) -> None:
    assert list(differences("A", "B", seen(), other)) == lines


def test_of_very_many_differences_some_are_shown() -> None:
    many = seen(ends={f"{n:04}": ["DHCP_DDNS_ADD_SUCCEEDED"] for n in range(40)})
    shown = list(differences("A", "B", seen(), many))
    assert len(shown) == SHOWN + 1
    assert shown[-1] == f"request ... and {39 - SHOWN} more"

"""pyd2ctl send: what arrives at the other end."""

from __future__ import annotations

import base64
import io
import json
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.cli import main
from pyd2.tools.requests import Identifier, datagram, dhcid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def address_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def receive(listener: socket.socket) -> dict[str, Any]:
    payload = listener.recv(4096)
    assert int.from_bytes(payload[:2], "big") == len(payload) - 2
    values: dict[str, Any] = json.loads(payload[2:])
    return values


@pytest.mark.parametrize(("kind", "identifier", "fqdn", "expected"), [
    (Identifier.DUID, "00010006412df166010203040506", "chi6.example.com",
     "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    (Identifier.CLIENT_ID, "010708090a0b0c", "chi.example.com",
     "AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No="),
    (Identifier.HARDWARE_ADDRESS, "01010203040506", "Client.example.com.",
     "AAABxLmlskllE0MVjd57zHcWmEH3pCQ6VytcKD//7es/deY="),
])
def test_the_examples_of_rfc_4701_section_3_6(kind: Identifier, identifier: str, fqdn: str,
                                              expected: str) -> None:
    assert dhcid(kind, bytes.fromhex(identifier), fqdn) == base64.b64decode(expected).hex().upper()


def test_an_addition_from_options(listener: socket.socket, capsys: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    status = main(["send", "host.example.com.", "2001:DB8::1", "--to", address_of(listener),
                   "--dhcid", "00:01:02", "--ttl", "60"])
    assert status == 0
    values = receive(listener)
    assert values.pop("lease-expires-on") > before
    assert values == {
        "change-type": 0, "forward-change": True, "reverse-change": True, "fqdn": "host.example.com.",
        "ip-address": "2001:db8::1", "dhcid": "000102", "lease-length": 60,
        "conflict-resolution-mode": "check-with-dhcid",
    }
    assert capsys.readouterr().out.startswith("sent 1 request to 127.0.0.1:")


def test_a_removal_of_the_reverse_side_alone(listener: socket.socket) -> None:
    assert main(["send", "h.example.", "192.0.2.1", "--to", address_of(listener), "--remove", "--no-forward",
                 "--mac", "02:00:00:00:00:01", "--mode", "no-check-with-dhcid"]) == 0
    values = receive(listener)
    assert (values["change-type"], values["forward-change"], values["reverse-change"]) == (1, False, True)
    assert values["conflict-resolution-mode"] == "no-check-with-dhcid"
    assert values["dhcid"] == dhcid(Identifier.HARDWARE_ADDRESS, b"\x01\x02\0\0\0\0\x01", "h.example")


def test_lines_of_a_file_go_out_as_they_stand(listener: socket.socket, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"a": 1}\n\n not json \r\n'
    expected = [datagram(b'{"a": 1}'), datagram(b" not json ")]
    file = tmp_path / "requests"
    file.write_bytes(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    for name in (str(file), "-"):
        assert main(["send", "--to", address_of(listener), "--file", name, "--rate", "1000"]) == 0
        assert [listener.recv(100) for _ in expected] == expected


def test_a_daemon_that_is_not_there_is_reported(capsys: pytest.CaptureFixture[str],
                                                listener: socket.socket) -> None:
    to = address_of(listener)
    listener.close()
    assert main(["send", "h.example.", "192.0.2.1", "--to", to, "--duid", "0001"]) == 1
    assert f"no program listens at {to}" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "reason"), [
    ([], "needs a NAME"),
    (["h.example."], "needs a NAME"),
    (["h.example.", "192.0.2.1"], "needs the client"),
    (["h..example.", "192.0.2.1", "--duid", "01"], "not a domain name"),
    (["h.example.", "192.0.2.1", "--duid", "01", "--no-forward", "--no-reverse"], "nothing to do"),
    (["--file", "no-such-file"], "no-such-file: No such file"),
    (["h.example.", "192.0.2.1", "--file", "no-such-file"], "not both"),
])
def test_what_cannot_be_sent_is_explained(arguments: list[str], reason: str,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", *arguments]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "reason"), [
    (["h.example.", "192.0.2.256"], "not an IP address: 192.0.2.256"),
    (["b\xfccher.example.", "192.0.2.1"], "not ASCII: b\xfccher.example."),
    (["h.example.", "192.0.2.1", "--ttl", "-1"], "not from 0 to 4294967295: -1"),
    (["h.example.", "192.0.2.1", "--ttl", "4294967296"], "not from 0 to 4294967295"),
    (["h.example.", "192.0.2.1", "--mac", "02:00:00"], "not six octets: 02:00:00"),
    (["h.example.", "192.0.2.1", "--mac", "zz"], "not hex: zz"),
])
def test_each_wrong_value_is_named(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["send", *arguments])
    assert stop.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--duid", "0g"], ["--dhcid", ""], ["--to", "host"],
                                       ["--duid", "01", "--mac", "02"], ["--mode", "check"]])
def test_wrong_options_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["send", "h.example.", "192.0.2.1", *arguments])
    assert stop.value.code == 2
    assert "usage: pyd2ctl send" in capsys.readouterr().err

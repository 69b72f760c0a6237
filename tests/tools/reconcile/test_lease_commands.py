"""Leases by commands: pages, single leases, and answers that are none; over UNIX sockets and HTTP."""

from __future__ import annotations

import base64
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from pyd2.command_client import read_command_answer
from pyd2.tools.channel.command_socket import HttpOptions, read_credentials
from pyd2.tools.reconcile.channel import Channel
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease_commands import PAGE, LeaseCommands
from tests.tools.reconcile.made import address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LEASE: dict[str, Any] = {
    "ip-address": "192.0.2.1", "hw-address": "02:00:00:00:00:01", "cltt": 1000, "valid-lft": 4000,
    "subnet-id": 1, "fqdn-fwd": True, "fqdn-rev": False, "hostname": "h1.example.com.", "state": 0,
}
LEASE6: dict[str, Any] = {
    "ip-address": "2001:db8::1", "type": "IA_NA", "iaid": 7, "duid": "00:03:00:01:02", "cltt": 1000,
    "preferred-lft": 9, "valid-lft": 4000, "subnet-id": 1, "fqdn-fwd": True, "fqdn-rev": True,
    "hostname": "h1.example.com.", "state": 0,
}


class Kea(Channel):
    """A DHCP server with some leases, or with fixed answers."""

    def __init__(self, leases: list[dict[str, Any]] | None = None,
                 answers: list[dict[str, Any]] | None = None) -> None:
        super().__init__("unix:kea", "dhcp4")
        self.leases, self.answers = leases or [], answers
        self.commands: list[tuple[str, Mapping[str, Any] | None]] = []

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        self.commands.append((name, arguments))
        if self.answers is not None:
            return self.answers.pop(0)
        assert arguments is not None
        if name.endswith("-get"):
            found = [lease for lease in self.leases if lease["ip-address"] == arguments["ip-address"]]
            return found[0] if found else None
        names = [lease["ip-address"] for lease in self.leases]
        at = 0 if arguments["from"] == "start" else names.index(arguments["from"]) + 1
        page = self.leases[at : at + arguments["limit"]]
        return {"leases": page, "count": len(page)} if page else None


def test_pages_are_read_to_the_end() -> None:
    leases = [LEASE | {"ip-address": f"10.0.{number >> 8}.{number & 255}"} for number in range(2 * PAGE + 5)]
    kea = Kea(leases)
    source = LeaseCommands(kea, 4)
    assert [row.address for row in source.read()] == [address(lease["ip-address"]) for lease in leases]
    assert [arguments["from"] for _, arguments in kea.commands if arguments] == [
        "start", "10.0.3.231", "10.0.7.207", "10.0.7.212"]


def test_a_row_has_what_the_lease_has() -> None:
    (row,) = LeaseCommands(Kea([LEASE]), 4).read()
    assert (row.identifier, row.since, row.expires, row.forward, row.reverse) == (
        b"\x01\x02\0\0\0\0\x01", 1000, 5000, True, False)
    client = LeaseCommands(Kea([LEASE | {"client-id": "01:02:03"}]), 4).at(address("192.0.2.1"))
    assert client is not None
    assert client.identifier == b"\1\2\3"
    assert LeaseCommands(Kea([LEASE]), 4).at(address("192.0.2.2")) is None


def test_prefixes_are_left_out() -> None:
    kea = Kea([LEASE6, LEASE6 | {"ip-address": "2001:db8:1::", "type": "IA_PD", "prefix-len": 56}])
    (row,) = LeaseCommands(kea, 6).read()
    assert row.address == address("2001:db8::1")


def test_a_lease_that_cannot_be_read_is_shown() -> None:
    source = LeaseCommands(Kea([LEASE | {"state": "x"}, LEASE | {"ip-address": "192.0.2.2"}]), 4)
    assert [row.address for row in source.read()] == [address("192.0.2.2")]
    assert source.faults == ["unix:kea: lease 192.0.2.1: state is not a number from 0 to 4294967296"]


@pytest.mark.parametrize(("answers", "reason"), [
    ([{}], "it has no list of leases"),
    ([{"leases": [1]}], "it has no list of leases"),
    ([{"leases": [{}]}], "ip-address is no string"),
    ([{"leases": [LEASE]}] * 2, "it ends at 192.0.2.1, which is not behind where it begins"),
])
def test_a_page_that_is_none_ends_all(answers: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ReconcileError, match=reason):
        list(LeaseCommands(Kea(answers=list(answers)), 4).read())


@pytest.mark.parametrize("raw", [
    b"", b"[]", b"{}", b'{"result": "0"}', b'{"result": 0, "arguments": []}', b"[1]",
    b'[{"result": 0}, {"result": 0}]',
])
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_command_answer(raw)


def answer_all(path: Path, answers: Sequence[Mapping[str, Any]]) -> threading.Thread:
    """Answer one command after the other on a UNIX socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener:
            for answer in answers:
                with listener.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(orjson.dumps(answer))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_unix_socket(tmp_path: Path) -> None:
    thread = answer_all(tmp_path / "s", [{"result": 0, "text": "t", "arguments": {"a": 1}}])
    assert Channel(f"unix:{tmp_path}/s", "dhcp4").command("x") == {"a": 1}
    thread.join()
    thread = answer_all(tmp_path / "e", [{"result": 3, "text": "none"}])
    assert Channel(f"unix:{tmp_path}/e", "dhcp4").command("x") is None
    thread.join()
    thread = answer_all(tmp_path / "t", [{"result": 2, "text": "unknown"}])
    with pytest.raises(ReconcileError, match=r"x failed: unknown"):
        Channel(f"unix:{tmp_path}/t", "dhcp4").command("x")
    thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
        answer = orjson.dumps([{"result": 0, "arguments": body}])
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_http(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("u:p\n")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}"
        options = HttpOptions(read_credentials(str(tmp_path / "auth")))
        answer = Channel(place, "dhcp6", options).command("x", {"a": 1})
        assert answer == {"command": "x", "arguments": {"a": 1}, "service": ["dhcp6"]}
        with pytest.raises(ReconcileError, match="HTTP status 401"):
            Channel(place, "dhcp6").command("x")
        server.shutdown()
        thread.join()


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(HttpOptions(b"user:secret"))


def test_what_is_no_channel(tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match="not a control channel"):
        Channel("ftp://x", "dhcp4")
    (tmp_path / "auth").write_text("no colon")
    with pytest.raises(ReconcileError, match=f"https://x: {tmp_path}/none: No such file"):
        Channel("https://x", "dhcp4", HttpOptions(ca_file=str(tmp_path / "none")))
    with pytest.raises(ValueError, match="auth: its first line is not USER:PASSWORD"):
        read_credentials(str(tmp_path / "auth"))

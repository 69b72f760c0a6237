"""Whether two clients are one host, by what DHCP servers answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.policy import PolicySwitches
from pyd2.dns.dhcid import CLIENT_ID, DUID, make_dhcid
from pyd2.dns.names import parse_name
from pyd2.net import lease_servers
from pyd2.net.lease_servers import what_differs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAC = "52:54:00:00:00:01"
CLIENT = "01:" + MAC
LL = "00:03:00:01:" + MAC
LLT = "00:01:00:01:2a:2a:2a:2a:" + MAC
UUID = "00:04:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
NAME = "h1.example.com."
WIRE = parse_name(NAME)


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def dhcids(client: str, duid: str) -> tuple[bytes, bytes]:
    return make_dhcid(CLIENT_ID, octets(client), WIRE), make_dhcid(DUID, octets(duid), WIRE)


def lease4(**more: Any) -> dict[str, Any]:
    return {"ip-address": "192.0.2.1", "hw-address": MAC, "client-id": CLIENT, "hostname": NAME} | {
        key.replace("_", "-"): value for key, value in more.items()
    }


def lease6(**more: Any) -> dict[str, Any]:
    return {"ip-address": "2001:db8::1", "duid": UUID, "hw-address": MAC, "hostname": NAME} | {
        key.replace("_", "-"): value for key, value in more.items()
    }


@contextlib.contextmanager
def server(path: Path, leases: list[dict[str, Any]] | bytes, *, with_dot: bool = True) -> Iterator[list[Any]]:
    """Run a DHCP server's control channel, which has these leases, or answers these octets."""
    asked: list[Any] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    command = json.loads(client.recv(65536))
                    if command == "end":
                        return
                    asked.append(command)
                    if isinstance(leases, bytes):
                        client.sendall(leases)
                        continue
                    mine = leases if command["arguments"]["hostname"].endswith(".") == with_dot else []
                    answer = {"result": 0 if mine else 3, "text": "", "arguments": {"leases": mine}}
                    client.sendall(json.dumps(answer).encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b'"end"')
        thread.join()
        listener.close()


def policy(folder: Path) -> PolicySwitches:
    return PolicySwitches("same-host", dhcp4_socket=str(folder / "4"), dhcp6_socket=str(folder / "6"))


@pytest.mark.parametrize(("four", "six", "differs"), [
    ([lease4()], [lease6()], ""),
    ([lease4()], [lease6(duid=LL, hw_address=None)], ""),
    ([lease4()], [lease6(duid=LLT, hw_address=None)], ""),
    ([lease4(client_id="01:02")], [lease6()], "DHCPv4 server has no lease of the client"),
    ([lease4()], [lease6(duid=LL[:-1] + "2")], "DHCPv6 server has no lease of the client"),
    ([], [lease6()], "DHCPv4 server has no lease"),
    ([lease4()], [lease6(hw_address="52:54:00:00:00:09")], "has 52:54:00:00:00:09"),
    ([lease4()], [lease6(hw_address=None)], "has none"),
    ([lease4(hw_address="")], [lease6(hw_address="")], "hardware address none"),
    ([lease4(client_id="01:09"), lease4()], [lease6(duid=LL[:-1] + "2"), lease6()], ""),
])
@pytest.mark.parametrize("with_dot", [True, False])
def test_the_leases_decide(
    tmp_path: Path, four: list[dict[str, Any]], six: list[dict[str, Any]], differs: str, *, with_dot: bool
) -> None:
    duid = LL if six and six[0].get("duid") == LL else LLT if six and six[0].get("duid") == LLT else UUID
    with server(tmp_path / "4", four, with_dot=with_dot), server(tmp_path / "6", six, with_dot=with_dot):
        found = what_differs(policy(tmp_path), WIRE, NAME, dhcids(CLIENT, duid))
    assert (differs in found) if differs else found == ""


def test_a_client_without_client_id_is_found_by_its_hardware_address(tmp_path: Path) -> None:
    mine = make_dhcid(0, b"\x01" + octets(MAC), WIRE)
    with server(tmp_path / "4", [lease4(client_id=None)]), server(tmp_path / "6", [lease6()]):
        assert what_differs(policy(tmp_path), WIRE, NAME, (mine, dhcids(CLIENT, UUID)[1])) == ""


@pytest.mark.parametrize("answer", [
    b"", b"nothing", b"[]", b'{"result": 2, "text": "not supported"}', b'{"result": 1}',
    b" " * (lease_servers._LONGEST + 1),
])
def test_a_server_that_cannot_say_is_an_error(tmp_path: Path, answer: bytes) -> None:
    with server(tmp_path / "4", answer), pytest.raises(ValueError, match=r".+"):
        what_differs(policy(tmp_path), WIRE, NAME, dhcids(CLIENT, UUID))


def test_a_server_that_is_not_there_is_an_error_with_its_socket(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"{tmp_path}/4"):
        what_differs(policy(tmp_path), WIRE, NAME, dhcids(CLIENT, UUID))


def test_a_server_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_servers, "TIMEOUT", 0.01)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "4"))
        listener.listen()
        with pytest.raises(OSError, match="timed out"):
            what_differs(policy(tmp_path), WIRE, NAME, dhcids(CLIENT, UUID))


def test_a_server_that_drips_its_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could hold the main thread for days, an octet a second."""
    monkeypatch.setattr(lease_servers, "DEADLINE", 0.05)
    ended = threading.Event()

    def drip(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, contextlib.suppress(OSError):
            for _ in range(2000):
                client.sendall(b" ")
                ended.wait(0.005)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "4"))
        listener.listen()
        thread = threading.Thread(target=drip, args=[listener])
        thread.start()
        with pytest.raises(OSError, match=r"takes longer than 0\.05 seconds"):
            what_differs(policy(tmp_path), WIRE, NAME, dhcids(CLIENT, UUID))
        ended.set()
        thread.join()

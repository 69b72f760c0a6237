"""The rig's own parts, where a fault in them would make other tests lie."""

import base64
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest

from tests.kit import dnswire, ncr, replies
from tests.kit.d2 import whole_lines
from tests.kit.normalise import PortMap, log_entries, mask
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.tsigkeys import ALGORITHMS, TsigKey
from tests.kit.waiting import WaitTimeoutError, wait_until

HOLD_A_PORT = ("import sys; from tests.kit.ports import PortLease; lease = PortLease();"
               "print(lease.take(), flush=True); sys.stdin.read()")


def _update(key: TsigKey | None = None) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage("example.com.")
    update.absent("host")
    update.add("host", 3600, "A", "192.0.2.1")
    if key:
        update.use_tsig(_ring(key))
    return update


def _ring(key: TsigKey) -> dict[dns.name.Name, dns.tsig.Key]:
    algorithm = "hmac-md5.sig-alg.reg.int." if key.algorithm == "HMAC-MD5" else key.lower_algorithm
    ring: dict[dns.name.Name, dns.tsig.Key] = dns.tsigkeyring.from_text({key.name: (algorithm, key.secret)})
    return ring


def test_ports_held_by_another_process_are_not_given_out() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD_A_PORT], cwd=Path(__file__).parents[2],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder as other, PortLease() as lease:
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        with pytest.raises(WaitTimeoutError):
            lease.take_exactly(taken, timeout=0.05)
        other.communicate()
        assert lease.take_exactly(taken) == taken


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(WaitTimeoutError, match="a miracle"):
        wait_until(lambda: False, "a miracle", timeout=0.01)


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(AssertionError, match="install the package no-such-package"):
        find_program("no-such-program", "no-such-package")


def test_a_process_that_does_not_leave_is_killed(tmp_path: Path) -> None:
    code = ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True);"
            "signal.sigwait({signal.SIGUSR1})")
    process = Process([sys.executable, "-c", code], tmp_path)
    process.wait_for_output("on")
    with pytest.raises(WaitTimeoutError):
        process.stop(timeout=0.05)
    assert not process.alive


def test_ports_go_there_and_back() -> None:
    with PortLease() as lease:
        ports = PortMap(lease, ['{"port": 53980}', "127.0.0.1 port:53981"])
        there = ports.apply('"port": 53980, "AB53981CD" 153980')
        assert there == f'"port": {ports[53980]}, "AB53981CD" 153980'
        assert ports.undo({"a": [there, 1]}) == {"a": ['"port": 53980, "AB53981CD" 153980', 1]}


def test_a_wrong_hash_is_not_put_right() -> None:
    with PortLease() as lease:
        ports = PortMap(lease, ["53980"])
        wrong = "0" * 64
        body = f'{{ "DhcpDdns": {{ "port": {ports[53980]} }}, "hash": "{wrong}" }}'
        ports.learn_hash(f'{{ "arguments": {body}, "result": 0 }}'.encode())
        assert ports.undo(wrong) == wrong


def test_log_lines_are_cut_where_they_begin() -> None:
    text = ("2026-01-02 03:04:05.678 INFO  [kea-dhcp-ddns.dctl/123.140677] ID_ONE one, pid: 12, of /tmp/x\n"
            "more of one\n2026-01-02 03:04:05.679 ERROR [kea-dhcp-ddns/123.140677] ID_TWO two\n")
    assert log_entries(text, "/tmp/x") == [
        ["INFO", "kea-dhcp-ddns.dctl", "ID_ONE", "one, pid: @PID@, of @DIR@\nmore of one"],
        ["ERROR", "kea-dhcp-ddns", "ID_TWO", "two"]]
    assert mask("2026-01-02 03:04:05.123456", "/") == "@TIME@"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signatures_agree_with_dnspython(algorithm: str) -> None:
    key = TsigKey.of(algorithm)
    update = _update(key)
    request = dnswire.parse(update.to_wire())
    keys = {key.name + ".": base64.b64decode(key.secret)}
    for known, valid in ((keys, True), ({key.name + ".": b"other"}, False), ({}, None)):
        described = dnswire.describe(request, "A", known)
        assert described["tsig"]["mac_valid_over_original_id"] is valid
    reply = replies.build(request, {"rcode": 5}, keys)
    assert reply is not None
    read = dns.message.from_wire(reply, keyring=_ring(key), request_mac=update.mac)
    assert read.had_tsig
    assert read.rcode() == dns.rcode.REFUSED
    forged = replies.build(request, {"sign": "bad"}, keys)
    assert forged is not None
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(forged, keyring=_ring(key), request_mac=update.mac)


@pytest.mark.parametrize(("action", "holds"), [
    ({"mutate": "qr0"}, lambda request, reply: reply[2] & 0x80 == 0),
    ({"mutate": "opcode-query"}, lambda request, reply: reply[2] & 0x78 == 0),
    ({"mutate": "tc"}, lambda request, reply: reply[2] & 0x02),
    ({"mutate": "wrong-id"}, lambda request, reply: reply[:2] != request[:2]),
    ({"mutate": "no-zone"}, lambda request, reply: len(reply) == 12 and reply[5] == 0),
    ({"mutate": "two-zones"}, lambda request, reply: reply[5] == 2),
    ({"mutate": "other-zone"}, lambda request, reply: b"\5other" in reply),
    ({"mutate": "full-echo"}, lambda request, reply: reply[4:] == request[4:]),
    ({"mutate": "count-lie"}, lambda request, reply: reply[7] == 3 and len(reply) == 29),
    ({"mutate": "header-only-11"}, lambda request, reply: len(reply) == 11),
    ({"mutate": "one-byte"}, lambda request, reply: reply == request[:1]),
    ({"mutate": "two-bytes"}, lambda request, reply: reply == request[:2]),
    ({"mutate": "trailing-junk"}, lambda request, reply: reply.endswith(b"\xde\xad\xbe\xef")),
    ({"raw": "ffff8000"}, lambda request, reply: reply == request[:2] + b"\x80\0"),
    ({"sign": "forced"}, lambda request, reply: reply[11] == 1),
    ({"rcode": 9}, lambda request, reply: reply[3] == 9),
    ({"drop": True}, lambda request, reply: reply is None),
], ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_each_fault_is_in_the_reply(action: replies.Action, holds: object) -> None:
    request = _update().to_wire()
    assert callable(holds)
    assert holds(request, replies.build(dnswire.parse(request), action, {}))


def test_the_scripted_server_follows_its_script_on_both_transports() -> None:
    with PortLease() as lease:
        port = lease.take()
        with ScriptedDns({"A": port}) as server:
            server.set_script([{"rcode": 3}, {"delay": 0.05, "rcode": 6}], {})
            wire = _update().to_wire()
            with socket.create_connection(("127.0.0.1", port), timeout=10) as tcp:
                tcp.sendall(struct.pack("!H", len(wire)) + wire)
                length = struct.unpack("!H", tcp.recv(2, socket.MSG_WAITALL))[0]
                assert tcp.recv(length, socket.MSG_WAITALL)[3] & 0xF == 3
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(10)
                for rcode in (6, 0):
                    udp.sendto(wire, ("127.0.0.1", port))
                    assert udp.recv(512)[3] & 0xF == rcode
            updates = server.updates()
        assert [update.get("transport") for update in updates] == ["tcp", None, None]
        assert updates[0]["update"] == ["host.example.com. 3600 IN A 192.0.2.1"]
        assert updates[0]["prereq"] == ["host.example.com. 0 NONE ANY"]


def test_a_request_is_framed_by_its_length() -> None:
    request = ncr.request("a.example.com.", "192.0.2.1", "00")
    payload = ncr.datagram(request)
    assert struct.unpack_from("!H", payload)[0] == len(payload) - 2
    assert json.loads(payload[2:]) == request


@pytest.mark.parametrize(("text", "start", "cut"), [
    ("before\nours\n", 7, "ours\n"),
    ("before\nours\naft", 7, "ours\n"),  # the rest of the last line is not seen yet
    ("before\nours\n", 3, "ours\n"),  # nor was the rest of the first one
    ("before\n", 7, ""),
    ("bef", 3, ""),
    ("ours\n", 0, "ours\n"),
    ("", 0, ""),
])
def test_only_whole_lines_are_left_out(text: str, start: int, cut: str) -> None:
    assert text[whole_lines(text, start)] == cut

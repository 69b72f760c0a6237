"""A daemon, from outside: mutated datagrams, control requests and DNS replies, all at the same time."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from typing import TYPE_CHECKING

from tests.fuzz.command_target import ANSWER, CommandTarget
from tests.fuzz.mutate import mutate_message
from tests.fuzz.ncr_target import NcrTarget
from tests.fuzz.runner import ACCEPTED, Finding, Report
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until
from tests.update.support import answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "daemon"
GROWTH = 64 * 1024 * 1024
"""Bytes that the daemon's memory may grow by, whatever it is sent."""
_BATCH = 16
"""Datagrams sent before the daemon must have counted them: they fit in the smallest receive buffer."""
_LONGEST = 6000
# These would end the daemon, move it to other ports or set back what is added up here.
_LEFT_OUT = re.compile(rb"shutdown|config-set|config-reload|config-write|reset")


def run_daemon(binary: str, count: int, seed: int) -> Report:
    """Send ``count`` datagrams, and a control request for each eight, to a daemon of its own."""
    report = Report(NAME)
    begin = time.monotonic()
    with PortLease() as lease, private_directory() as directory, contextlib.ExitStack() as stack:
        port, dns_port = lease.take(), lease.take()
        stack.enter_context(_odd_dns_server(dns_port, seed))
        server = {"name": "*", "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        zones = {"ddns-domains": [server]}
        body = {"forward-ddns": zones, "reverse-ddns": zones, "dns-server-timeout": 100}
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        before = d2.process.resident_bytes()
        batch: list[bytes] = []
        try:
            _stream(d2, port, count, seed, batch, report)
            _check_end(d2, before)
        except Exception as error:  # a daemon that has ended shows itself in many ways
            what = f"{type(error).__name__}: {error}"
            trace = d2.process.output()[-4000:] + "\n"
            size = sum(map(len, batch))
            report.faults += 1
            report.findings.append(Finding(NAME, seed, report.inputs, tuple(batch), what, trace, size))
        if d2.alive:
            report.peak = d2.process.peak_resident_bytes()
    report.seconds = time.monotonic() - begin
    return report


def _stream(d2: D2, port: int, count: int, seed: int, batch: list[bytes], report: Report) -> None:
    """Send everything, and see each datagram counted and each control request answered or closed."""
    datagrams = _datagrams(seed)
    requests = CommandTarget()
    sent = number = 0
    with contextlib.closing(requests), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        while sent < count:
            batch[:] = [next(datagrams) for _ in range(min(_BATCH, count - sent))]
            for datagram in batch:
                sock.send(datagram)
            sent += len(batch)

            def counted(want: int = sent) -> bool:
                found = d2.statistics()
                assert found["ncr-error"] == 0
                return found["ncr-received"] + found["ncr-invalid"] == want

            wait_until(counted, f"{sent} datagrams to be counted", timeout=30)
            for _ in range(_BATCH // 8):
                request = _harmless(requests, seed, number)
                number += 1
                batch[:] = request
                report.count(_ask(d2.socket, b"".join(request)))
    found = d2.statistics()
    report.inputs += sent
    report.accepted += found["ncr-received"]
    report.rejected["datagrams: ncr-invalid"] += found["ncr-invalid"]


def _datagrams(seed: int) -> Iterator[bytes]:
    maker = NcrTarget()
    number = 0
    while True:
        _, *found = maker.make(random.Random(f"{seed}/{NAME}/{number}"))
        yield from (datagram[:_LONGEST] for datagram in found)
        number += 1


def _harmless(maker: CommandTarget, seed: int, number: int) -> tuple[bytes, ...]:
    rng = random.Random(f"{seed}/{NAME}/control/{number}")
    while True:
        request = maker.make(rng)
        if not _LEFT_OUT.search(b"".join(request)):
            return request


def _ask(path: Path, request: bytes) -> str:
    """Return what became of a request whose client says that nothing more comes."""
    found = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        # The daemon answers and closes as soon as it has read enough.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                found += data
    if not found:
        return "control: closed without an answer"
    match = ANSWER.fullmatch(found)
    assert match is not None or len(found) > 60000, f"this is no answer: {found[:200]!r}"
    return ACCEPTED if match and match[1] == b"0" else "control: result 1"


def _check_end(d2: D2, before: int) -> None:
    """Check that the daemon lives, has brought all to an end, and has not grown."""

    def settled() -> bool:
        found = d2.statistics()
        return (
            found["update-sent"] == found["update-success"] + found["update-timeout"] + found["update-error"]
        )

    wait_until(settled, "the end of all updates", timeout=60)
    assert d2.command("status-get")["result"] == 0
    assert "PYD2_INTERNAL_ERROR" not in d2.stdout(), "the daemon reports an internal error"
    assert d2.stderr() == "", "the daemon complains on stderr"
    grown = d2.process.peak_resident_bytes() - before
    assert grown < GROWTH, f"the daemon has grown by {grown} bytes"


@contextlib.contextmanager
def _odd_dns_server(port: int, seed: int) -> Iterator[None]:
    """A DNS server whose every third answer is mutated; an empty datagram ends it."""
    rng = random.Random(f"{seed}/{NAME}/dns")

    def serve() -> None:
        while data := sock.recvfrom(65535):
            message, peer = data
            if not message:
                return
            reply = answer(message, rng.choice([0, 0, 0, 6, 8, 3, 2]))
            if rng.random() < 0.33:
                reply = reply[:2] + mutate_message(reply, rng, [message, reply])[2:60000]
            sock.sendto(reply, peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"", ("127.0.0.1", port))
            thread.join()

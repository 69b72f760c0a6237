"""The HTTP control sockets under attack, measured: ``python -m tests.faults http``.

Each row is one attack beside a healthy zone with a steady stream of requests: requests that were lost, the
99th percentile of their delay alone and beside the attack, how long the thread of the updates was held, and
what the attack has done. Meanwhile an operator sends commands over HTTP; the row says how long its slowest
answer took.

The law: none lost, a delay that grows by at most 2 ms, and every command answered.

As root all but the attackers runs at a real-time priority: on their own machines they would take no
processor from the daemon or from what measures.
"""

import base64
import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.control.http_fakes import command, post
from tests.faults import probe
from tests.faults.healthy import ROOT, ZONE, Figures, Healthy
from tests.faults.load import domain
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease

MORE_MS: Final = 2.0
"""By how many milliseconds the delay beside an attack may be longer."""
RELEASE: Final = "3.0.4"
_MEBIBYTE: Final = 1 << 20
_USER: Final = "Authorization: Basic " + base64.b64encode(b"admin:s3cret-Word").decode()
_AUTHENTICATION: Final = {"type": "basic", "clients": [{"user": "admin", "password": "s3cret-Word"}]}


@dataclass
class Front:
    """The doors of a daemon, as an attack finds them."""

    port: int
    tls_port: int
    context: ssl.SSLContext
    """Of a client that the HTTPS socket lets in."""
    end: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    """How often the attack did what it does."""

    def connect(self, port: int = 0) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=5)


def _run(attack: Callable[[Front], None], front: Front) -> None:
    """Attack at a low priority: an attacker has a processor of its own, on another machine."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.nice(0) + 10))
    attack(front)


def _each(front: Front, attack: Callable[[], None], pause: float = 0.0) -> None:
    """Do something again and again; that the server closes a connection ends one time of it."""
    while not front.end.wait(pause):
        with contextlib.suppress(OSError):
            attack()
        front.done += 1


def _idle(front: Front) -> None:
    """Keep 1,000 connections open that say nothing."""
    held: list[socket.socket] = []

    def attack() -> None:
        held.append(front.connect())
        if len(held) > 1000:
            held.pop(0).close()

    _each(front, attack)
    for sock in held:
        sock.close()


def _drip(front: Front) -> None:
    """Send heads and bodies a byte at a time over 100 connections."""
    held: list[socket.socket] = []
    starts = b"POST / HTTP/1.1\r\nX: ", post("", _USER).replace(b"Length: 0", b"Length: 60000")

    def attack() -> None:
        if len(held) < 100:
            held.append(front.connect())
            held[-1].sendall(starts[len(held) % 2])
        sock = held.pop(0)
        try:
            sock.send(b"a")
        except OSError:
            sock.close()
        else:
            held.append(sock)

    _each(front, attack)
    for sock in held:
        sock.close()


def _pour(front: Front) -> None:
    """Send bodies of 100 MiB that are not wanted."""
    head = post("", _USER).replace(b"Length: 0", b"Length: 104857600")

    def attack() -> None:
        with front.connect() as sock:
            sock.sendall(head)
            for _ in range(100):
                if front.end.is_set():
                    return
                sock.sendall(bytes(_MEBIBYTE))

    _each(front, attack)


def _largest(front: Front) -> None:
    """Send bodies as long as a client may send them, with as many values, that are no commands."""
    body = b"[" + b"0," * 399_990 + b"0]"
    body += b" " * (16 * _MEBIBYTE - len(body))
    _each(front, lambda: _ask(front, post(body, _USER, "Connection: close")))


def _bombs(front: Front) -> None:
    """Send heads that are too long, have too many headers, or are folded without end."""
    bombs = [
        b"POST / HTTP/1.1\r\n" + piece * (100_000 // len(piece))
        for piece in (b"a:\r\n", b"X: " + b"a" * 1000 + b"\r\n", b"X: a\r\n b\r\n c\r\n", b"a")
    ]
    _each(front, lambda: _ask(front, bombs[front.done % len(bombs)]))


def _pipeline(front: Front) -> None:
    """Send thousands of requests without reading a response, then read them."""
    requests = command("list-commands", _USER) * 1000

    def attack() -> None:
        with front.connect() as sock:
            thread = threading.Thread(target=_drain, args=(sock,))
            thread.start()
            with contextlib.suppress(OSError):
                sock.sendall(requests)
                sock.shutdown(socket.SHUT_WR)
            thread.join()

    _each(front, attack)


def _smuggle(front: Front) -> None:
    """Send requests whose end is ambiguous, with others behind them."""
    behind = command("shutdown", _USER)
    heads = ("Transfer-Encoding: chunked", "Content-Length: 5", "Transfer-Encoding : chunked", "Host: a", "X")
    _each(
        front, lambda: _ask(front, command("list-commands", _USER, heads[front.done % len(heads)]) + behind)
    )


def _guess(front: Front) -> None:
    """Guess passwords, over one connection as fast as it goes."""

    def attack() -> None:
        with front.connect() as sock:
            for number in range(1000):
                if front.end.is_set():
                    return
                guess = base64.b64encode(f"admin:{number}".encode()).decode()
                sock.sendall(command("shutdown", f"Authorization: Basic {guess}"))
                sock.recv(4096)
                front.done += 1

    _each(front, attack)


def _handshakes(front: Front) -> None:
    """Make TLS connections, each with a whole handshake, and end them."""

    def attack() -> None:
        with front.context.wrap_socket(front.connect(front.tls_port), server_hostname="127.0.0.1"):
            pass

    _each(front, attack)


def _mute(front: Front) -> None:
    """Begin handshakes of TLS and say nothing more."""
    held: list[socket.socket] = []

    def attack() -> None:
        held.append(front.connect(front.tls_port))
        held[-1].sendall(b"\x16\x03\x01\x02\x00\x01")
        if len(held) > 1000:
            held.pop(0).close()

    _each(front, attack, 0.001)
    for sock in held:
        sock.close()


def _resets(front: Front) -> None:
    """Reset connections in the middle of a request, or of its response."""
    request = command("config-get", _USER)

    def attack() -> None:
        with front.connect() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(request[: 1 + front.done % len(request)])

    _each(front, attack)


def _ask(front: Front, request: bytes) -> None:
    with front.connect() as sock:
        with contextlib.suppress(OSError):
            sock.sendall(request)
        sock.recv(4096)


def _drain(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


ATTACKS: Final[dict[str, Callable[[Front], None]]] = {
    "idle": _idle,
    "drip": _drip,
    "pour": _pour,
    "largest": _largest,
    "bombs": _bombs,
    "pipeline": _pipeline,
    "smuggle": _smuggle,
    "guess": _guess,
    "handshakes": _handshakes,
    "mute": _mute,
    "resets": _resets,
}


@dataclass
class Operator:
    """A client that sends commands meanwhile, each over a connection of its own."""

    front: Front
    answered: int = 0
    failed: int = 0
    slowest: float = 0.0
    """Seconds."""

    def work(self) -> None:
        """Send commands until the end."""
        request = command("status-get", _USER, "Connection: close")
        while not self.front.end.wait(0.05):
            began = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.front.port), timeout=30) as sock:
                    sock.sendall(request)
                    good = sock.recv(4096).startswith(b"HTTP/1.1 200 ")
            except OSError:
                good = False
            self.answered += good
            self.failed += not good
            self.slowest = max(self.slowest, time.monotonic() - began)


@dataclass
class Row:
    """What one attack has done."""

    attack: str
    alone: Figures
    beside: Figures
    holds: probe.Holds
    done: int
    operator: Operator
    grown: int
    """Bytes of memory."""

    @property
    def fine(self) -> bool:
        """Whether the law was kept."""
        return (
            not self.alone.lost
            and not self.beside.lost
            and not self.operator.failed
            and self.operator.answered > 0
            and self.beside.p99 <= self.alone.p99 + MORE_MS
        )

    def text(self) -> str:
        """Return a line of the table."""
        operator, holds = self.operator, self.holds
        return (
            f"| {self.attack} | {self.done} | {self.beside.lost} of {self.beside.sent} "
            f"| {self.alone.p99:.2f} | {self.beside.p99:.2f} "
            f"| {self.beside.longest:.0f} | {1000 * holds.cpu:.1f} "
            f"| {operator.failed} of {operator.answered + operator.failed} | {1000 * operator.slowest:.0f} "
            f"| {self.grown / _MEBIBYTE:.0f} | {'yes' if self.fine else 'NO'} |"
        )


HEAD: Final = (
    "| attack | times | healthy zone lost | p99 alone, ms | p99 beside, ms | longest, ms | held, ms of CPU "
    "| commands failed | slowest command, ms | memory grown, MiB | kept |\n" + "|---" * 11 + "|"
)


def measure(attack: str, seconds: float, rate: float) -> Row:
    """Run one attack beside a healthy zone."""
    with contextlib.ExitStack() as stack:
        healthy = stack.enter_context(Healthy())
        directory = stack.enter_context(private_directory())
        lease = stack.enter_context(PortLease())
        ncr_port, front = lease.take(), _front(directory, lease.take(), lease.take())
        seen = directory / "probe"
        seen.write_bytes(bytes(probe.SIZE))
        program = _program(directory, seen)
        body = _body(directory, healthy.dns_port, front)
        whole = config(ncr_port, body)
        whole["DhcpDdns"].pop("control-socket")
        d2 = D2.start(str(program), directory, whole)
        stack.callback(d2.process.kill)
        d2.wait_for_listener(ncr_port)
        time.sleep(0.5)
        healthy.start(ncr_port, rate)
        time.sleep(max(1.0, seconds / 2))
        alone = healthy.stop()
        before = d2.process.resident_bytes()
        operator = Operator(front)
        attacker = threading.Thread(target=_run, args=(ATTACKS[attack], front))
        threads = [attacker, threading.Thread(target=operator.work)]
        probe.read(seen, clear=True)
        healthy.start(ncr_port, rate)
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        front.end.set()
        for thread in threads:
            thread.join()
        beside = healthy.stop()
        assert d2.alive, d2.process.output()[-4000:]
        grown = d2.process.peak_resident_bytes() - before
        return Row(attack, alone, beside, probe.read(seen), front.done, operator, grown)


def _front(directory: Path, port: int, tls_port: int) -> Front:
    authority = make_authority(directory)
    make_certificate(directory, authority, "IP:127.0.0.1")
    client = make_certificate(directory, authority, "DNS:client.test", "client")
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.load_cert_chain(client.cert, client.key)
    return Front(port, tls_port, context)


def _body(directory: Path, dns_port: int, front: Front) -> dict[str, Any]:
    plain = {"socket-type": "http", "socket-port": front.port, "authentication": _AUTHENTICATION}
    secure = {
        "socket-type": "https",
        "socket-port": front.tls_port,
        "trust-anchor": str(directory / "authority.crt"),
        "cert-file": str(directory / "server.crt"),
        "key-file": str(directory / "server.key"),
    }
    return {
        "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port)]},
        "control-sockets": [CONTROL_SOCKET, plain, secure],
    }


def _program(directory: Path, seen: Path) -> Path:
    """Write a program that is the daemon as Kea 3.0, with the probe."""
    version = directory / "kea-version"
    version.write_text(f"{RELEASE}\n")
    program = directory / "probed"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.faults.probe import run\n"
        f"sys.exit(run({str(seen)!r}, sys.argv[1:], version_file={str(version)!r}))\n"
    )
    program.chmod(0o700)
    return program


def http(attacks: Sequence[str], seconds: float, rate: float) -> bool:
    """Print the table; return whether the law was kept in all rows."""
    priority = "ordinary"
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        priority = "real-time"
    one, five, _ = os.getloadavg()
    print(
        f"{rate:g} requests/s for the healthy zone, {seconds:g} s, {priority} priority; load of the machine "
        f"before: {one:.1f}, {five:.1f}\n\n{HEAD}",
        flush=True,
    )
    fine = True
    for attack in attacks or ATTACKS:
        row = measure(attack, seconds, rate)
        print(row.text(), flush=True)
        fine = fine and row.fine
    return fine

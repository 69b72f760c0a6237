"""The load generator and its DNS sink: they lose nothing, and say the truth.

Nothing here depends on how fast the machine is, nor fails when it pauses for some seconds: what a run
by the clock completes while its figures are taken may be nothing; a burst is always measured as a whole.
"""

from __future__ import annotations

import base64
import contextlib
import math
import random
import signal
import socket
import subprocess
import time
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest

from benchmarks.build import C_OPTIONS, SOURCES, load_program
from benchmarks.settings import ALGORITHMS, KEY_NAME, SECRET
from pyd2.ncr import ChangeType, decode
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.conftest import Load

QUICK = ("--warmup", "0.05", "--seconds", "0.2")
PATIENT = ("--timeout", "30")
HEALTHY = dict.fromkeys(["lost", "late", "kernel_drops", "repeated", "malformed", "unknown", "unverified",
                         "ignored", "sink_drops"], 0)


@pytest.mark.parametrize("options", [
    ("--window", "1"), ("--window", "300"), ("--rate", "2000"), ("--burst", "5000"),
], ids=" ".join)
def test_nothing_is_lost_by_a_d2_that_loses_nothing(reflected: Load, options: tuple[str, ...]) -> None:
    figures = reflected.run(*options, *QUICK, *PATIENT)
    assert figures["sent"] == figures["completed"] > 0
    assert figures["updates"] == 2 * figures["sent"]
    assert {name: figures[name] for name in HEALTHY} == HEALTHY


def test_a_burst_is_measured_as_a_whole(reflected: Load) -> None:
    figures = reflected.run("--burst", "5000", *PATIENT)
    assert figures["sent"] == figures["completed"] == figures["counted"] == 5000
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["p999_ms"] <= figures["max_ms"]
    assert math.isclose(figures["rate"], figures["counted"] / figures["seconds"], rel_tol=0.01)


def test_a_rate_is_kept(reflected: Load) -> None:
    figures = reflected.run("--rate", "1000", "--warmup", "0.1", "--seconds", "0.4")
    assert 0 < figures["send_rate"] <= 1000  # it never sends ahead of its time


def test_a_request_has_waited_since_it_was_due(load: Load, station: Station) -> None:
    """Including the time in which the generator was late: else a slow server would seem fast."""
    options = ("--rate", "100", "--warmup", "0", "--seconds", "60", "--direction", "forward")
    with load.running(*options) as process:
        station.request()
        first = time.monotonic()  # it was due before
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > first + 0.5, "half a second to pass")
        process.send_signal(signal.SIGCONT)
        while station.request().fqdn != "h00000010.bench.example.":
            pass
        answered = time.monotonic()
        assert station.ask(add("h00000010", "10.0.0.10")).rcode() == dns.rcode.NOERROR
        figures = load.figures_of(process, stopped=True)
    assert figures["completed"] == 1
    assert figures["max_ms"] > (answered - first) * 1000 - 100  # it was due 100 ms after the first


def test_replies_are_late_by_the_delay(reflected: Load) -> None:
    figures = reflected.run("--burst", "50", "--delay-ms", "10", *PATIENT)
    assert figures["completed"] == 50
    assert figures["p50_ms"] >= 20  # two updates, one after the other


def test_lost_updates_lose_requests(reflected: Load) -> None:
    """The reflector sends nothing again: each lost update loses a request, as does a late one."""
    figures = reflected.run("--burst", "1000", "--loss", "5", "--timeout", "0.3")
    assert figures["sent"] == 1000
    assert figures["lost"] >= figures["ignored"] > 0
    assert figures["completed"] == figures["sent"] - figures["lost"]


def test_silence_is_reported_as_loss(load: Load) -> None:
    figures = load.run("--burst", "10", "--timeout", "0.2")
    assert (figures["sent"], figures["completed"], figures["lost"]) == (10, 0, 10)
    assert figures["p50_ms"] is None


@pytest.mark.parametrize(("options", "words"), [
    ((), "--ncr-port and --dns-port are needed"),
    (("--ncr-port", "70000"), "70000 is not a number from 1 to 65535"),
    (("--ncr-port", "1", "--dns-port", "2", "--rate", "5", "--burst", "5"), "exclude each other"),
    (("--change", "nothing"), "nothing is no change"),
    (("--ncr-port", "1", "--dns-port", "2", "surplus"), "surplus is not an option"),
])
def test_nonsense_is_refused(options: tuple[str, ...], words: str) -> None:
    done = subprocess.run([load_program(), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr


Keys = dict[dns.name.Name, dns.tsig.Key]


class Station:
    """Stands where the D2 would: takes the one request, and sends updates of the test's."""

    def __init__(self, load: Load) -> None:
        self._requests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests.bind(("127.0.0.1", load.ncr_port))
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.connect(("127.0.0.1", load.dns_port))
        for sock in (self._requests, self._server):
            sock.settimeout(20)

    def request(self) -> Any:
        return decode(self._requests.recv(4096))

    def ask(self, message: dns.message.Message) -> dns.message.Message:
        """Send a message and return the verified reply."""
        self._server.send(message.to_wire())
        reply = self._server.recv(4096)
        return dns.message.from_wire(reply, keyring=message.keyring, request_mac=message.mac)

    def close(self) -> None:
        self._requests.close()
        self._server.close()


@pytest.fixture
def station(load: Load) -> Iterator[Station]:
    made = Station(load)
    yield made
    made.close()


def keyring(algorithm: str, secret: str = SECRET) -> Keys:
    name = "hmac-md5.sig-alg.reg.int." if algorithm == "HMAC-MD5" else algorithm.lower()
    key = dns.tsig.Key(KEY_NAME, base64.b64decode(secret), name)
    return {key.name: key}


def add(name: str = "h00000000", address: str = "10.0.0.0",
        signed: Keys | None = None) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage("bench.example.", keyring=signed)
    update.absent(name)
    update.add(name, 3600, "A", address)
    return update


def replace() -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage("bench.example.")
    update.present("h00000000")
    update.delete("h00000000", "A")
    update.add("h00000000", 3600, "A", "10.0.0.0")
    return update


def reverse(signed: Keys | None = None) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage("10.in-addr.arpa.", keyring=signed)
    update.delete("0.0.0", "PTR")
    return update


@pytest.mark.parametrize("algorithm", ["", *ALGORITHMS])
def test_replies_are_what_a_server_sends(load: Load, station: Station, algorithm: str) -> None:
    signed = keyring(algorithm) if algorithm else None
    key = ("--key", f"{algorithm}:{KEY_NAME}:{SECRET}") if algorithm else ()
    with load.running("--burst", "1", "--timeout", "20", *key) as process:
        request = station.request()
        assert (request.fqdn, request.address_text) == ("h00000000.bench.example.", "10.0.0.0")
        assert request.change_type is ChangeType.ADD
        for message in (add(signed=signed), reverse(signed)):
            reply = station.ask(message)  # dnspython verifies its TSIG
            assert reply.rcode() == dns.rcode.NOERROR
            assert reply.id == message.id
            assert reply.flags & dns.flags.QR
            assert reply.had_tsig == bool(signed)
            assert [rrset.name for rrset in reply.sections[0]] == [message.zone[0].name]
        figures = load.figures_of(process)
    assert (figures["sent"], figures["completed"], figures["lost"]) == (1, 1, 0)
    assert {name: figures[name] for name in HEALTHY} == HEALTHY


@pytest.mark.parametrize("wrong", ["unsigned", "another secret", "another algorithm"])
def test_what_is_not_signed_right_is_refused(load: Load, station: Station, wrong: str) -> None:
    others = {"unsigned": None,
              "another secret": keyring("HMAC-SHA256", base64.b64encode(b"x" * 32).decode()),
              "another algorithm": keyring("HMAC-SHA512")}
    key = f"HMAC-SHA256:{KEY_NAME}:{SECRET}"
    with load.running("--burst", "1", "--timeout", "60", "--key", key) as process:
        station.request()
        message = add(signed=others[wrong])
        station._server.send(message.to_wire())
        reply = dns.message.from_wire(station._server.recv(4096))
        assert reply.rcode() == dns.rcode.NOTAUTH
        figures = load.figures_of(process, stopped=True)
    assert (figures["unverified"], figures["completed"]) == (1, 0)


def test_a_conflict_is_met_once(load: Load, station: Station) -> None:
    with load.running("--burst", "1", "--timeout", "20", "--conflicts", "100") as process:
        station.request()
        assert station.ask(add()).rcode() == dns.rcode.YXDOMAIN
        assert station.ask(replace()).rcode() == dns.rcode.NOERROR
        assert station.ask(reverse()).rcode() == dns.rcode.NOERROR
        figures = load.figures_of(process)
    assert (figures["conflicts"], figures["completed"], figures["repeated"]) == (1, 1, 0)


def test_an_update_that_comes_twice_counts_once(load: Load, station: Station) -> None:
    with load.running("--burst", "1", "--timeout", "20") as process:
        station.request()
        for message in (add(), add(), reverse()):
            assert station.ask(message).rcode() == dns.rcode.NOERROR
        figures = load.figures_of(process)
    assert (figures["updates"], figures["repeated"], figures["completed"]) == (3, 1, 1)


def answered(load: Load, station: Station, seed: str) -> set[int]:
    """Send 100 updates to a sink that loses half of all; return the IDs of those that were answered."""
    with load.running("--burst", "1", "--timeout", "60", "--loss", "50", "--seed", seed) as process:
        station.request()
        for number in range(100):
            station._server.send(number.to_bytes(2) + add().to_wire()[2:])
        wait_until(lambda: waiting(load.dns_port) == 0, "the sink to read all")
        figures = load.figures_of(process, stopped=True)
    found = set()
    station._server.setblocking(False)  # all that comes has come
    with contextlib.suppress(BlockingIOError):
        while True:
            found.add(int.from_bytes(station._server.recv(4096)[:2]))
    assert figures["ignored"] == 100 - len(found)
    assert figures["updates"] == len(found)
    return found


def waiting(port: int) -> int:
    """Return how many octets wait in the socket that is bound to a port."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(line[4].partition(":")[2], 16) for line in lines if line[1].endswith(f":{port:04X}"))


def test_a_seed_says_which_updates_are_lost(load: Load, station: Station) -> None:
    once, again, other = (answered(load, station, seed) for seed in ("1", "1", "2"))
    assert once == again
    assert once not in (other, set(), set(range(100)))


def test_rubbish_is_counted(load: Load, station: Station) -> None:
    with load.running("--burst", "1", "--timeout", "60") as process:
        station.request()
        rng = random.Random(1)
        whole = add().to_wire()
        query = dns.message.make_query("bench.example.", "SOA")
        rubbish = [b"", b"x", whole[:20], whole + b"x", query.to_wire(),
                   dns.update.UpdateMessage("other.example.").to_wire(),
                   *(whole[:12] + rng.randbytes(30) for _ in range(200))]
        for message in (*rubbish, whole):
            station._server.send(message)
        while station._server.recv(4096)[3] & 15 != dns.rcode.NOERROR:
            pass  # the reply to the last one comes last
        figures = load.figures_of(process, stopped=True)
    assert figures["malformed"] == len(rubbish)
    assert figures["completed"] == 0


def test_quantiles(tmp_path: Path) -> None:
    """A quantile is the smallest value that so many do not exceed."""
    program = tmp_path / "quantiles"
    sources = [SOURCES / "book.c", SOURCES / "options.c", SOURCES.parents[1] / "tests/benchmarks/quantiles.c"]
    subprocess.run(["cc", *C_OPTIONS, f"-I{SOURCES}", *sources, "-o", program, "-lm"], check=True)
    rng = random.Random(2)
    samples = [[5], [1, 2], list(range(1, 101)), list(range(1, 1001)), list(range(1, 2002)),
               *([rng.randrange(10**6) for _ in range(rng.randrange(1, 500))] for _ in range(200))]
    for sample in samples:
        rng.shuffle(sample)
    text = "".join(" ".join(map(str, sample)) + "\n" for sample in samples)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    for sample, line in zip(samples, done.stdout.splitlines(), strict=True):
        ordered = sorted(sample)
        # The smallest of which at least so many are no greater: bisect_right counts those.
        right = [next(value for value in ordered if bisect_right(ordered, value) >= part * len(ordered))
                 for part in (Fraction(1, 2), Fraction(99, 100), Fraction(999, 1000), 1)]
        assert [float(word) for word in line.split()] == [value / 1e4 for value in right]

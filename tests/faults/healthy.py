"""A healthy zone in a process of its own: ``python -m tests.faults.healthy``.

It sends requests at a steady rate, answers the updates that they cause at once, and measures the time between
the two. It says its DNS port on stdout, and takes orders on stdin: ``start PORT RATE`` and ``stop``, which it
answers with the figures as JSON.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.kit import ncr

ROOT: Final = Path(__file__).resolve().parents[2]
ZONE: Final = "healthy.test."
_OWNER: Final = 12 + len(ZONE) + 1 + 4
"""The offset of the owner of an update's first record: behind the header and the zone."""
GRACE: Final = 20.0
"""Seconds that are waited for the last updates."""


class Figures(NamedTuple):
    """How it went; times are in milliseconds, from the request to its update."""

    sent: int
    lost: int
    p50: float
    p99: float
    longest: float


class Healthy:
    """The process as the harness sees it. Use it as a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.healthy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=ROOT,
        )
        self.dns_port = int(self._read())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with self._process:
            self._process.kill()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def start(self, port: int, rate: float) -> None:
        """Begin to send requests to a D2."""
        self._order(f"start {port} {rate}")

    def stop(self) -> Figures:
        """Stop, and wait for updates under way."""
        self._order("stop")
        return Figures(**json.loads(self._read()))


class _Station:
    def __init__(self) -> None:
        self._dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._dns.bind(("127.0.0.1", 0))
        self._dns.setblocking(False)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port: Final[int] = self._dns.getsockname()[1]
        self._next = 0
        self._sent: dict[bytes, float] = {}
        """Requests under way: the label of each, and when it was sent."""
        self._took: list[float] = []

    def _send(self, port: int) -> None:
        name = f"h{self._next}"
        address = f"10.{self._next >> 16 & 255}.{self._next >> 8 & 255}.{self._next & 255}"
        request = ncr.request(f"{name}.{ZONE}", address, ncr.dhcid(b"", name), reverse=False)
        data = ncr.datagram(request)
        self._next += 1
        self._sent[name.encode()] = time.monotonic()
        self._out.sendto(data, ("127.0.0.1", port))

    def _answer(self, until: float, also: int = -1) -> bool:
        """Answer updates until a time; return whether something can be read from another descriptor."""
        dns = self._dns.fileno()
        watched = [dns] if also < 0 else [dns, also]
        while True:
            left = until - time.monotonic()
            ready, _, _ = select.select(watched, [], [], max(0.0, left))
            if dns in ready:
                update, asker = self._dns.recvfrom(4096)
                now = time.monotonic()
                self._dns.sendto(update[:2] + b"\xa8\0" + bytes(8), asker)
                label = update[_OWNER + 1 : _OWNER + 1 + update[_OWNER]]
                sent = self._sent.pop(label, None)
                if sent is not None:
                    self._took.append(1000 * (now - sent))
            if also in ready:
                return True
            if left <= 0:
                return False

    def run(self, port: int, rate: float) -> Figures:
        """Send requests until there is an order."""
        self._sent.clear()
        self._took = []
        began, first = time.monotonic(), self._next
        while not self._answer(began + (self._next - first) / rate, sys.stdin.fileno()):
            self._send(port)
        sys.stdin.readline()
        end = time.monotonic() + GRACE
        while self._sent and time.monotonic() < end:
            self._answer(time.monotonic() + 0.05)
        took = sorted(self._took) or [0.0]
        return Figures(self._next - first, len(self._sent), took[len(took) // 2],
                       took[int(0.99 * len(took))], took[-1])


def _main() -> None:
    station = _Station()
    print(station.port, flush=True)
    while order := sys.stdin.readline():
        _, port, rate = order.split()
        print(json.dumps(station.run(int(port), float(rate))._asdict()), flush=True)


if __name__ == "__main__":
    os.set_blocking(sys.stdin.fileno(), True)
    _main()

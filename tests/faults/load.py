"""Load for a D2: hosts that come and go, requests at a steady rate, and how each of them ended."""

import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kit import ncr
from tests.kit.d2 import D2
from tests.kit.waiting import wait_until

TICK: Final = 0.005
"""Seconds between two rounds of sending."""

_FINAL: Final = re.compile(
    rb"^(\S+ \S+) .*DHCP_DDNS_(ADD|REMOVE)_(SUCCEEDED|FAILED) \S+ Request ID ([0-9A-F]+)"
)


class Host:
    """A host with a name and an address of its own; ``number`` is below 2**16."""

    def __init__(self, number: int, zone: str) -> None:
        self.name = f"host{number}.{zone}"
        high, low = divmod(number, 256)
        self.address = f"10.0.{high}.{low}"
        self.pointer = f"{low}.{high}.0.10.in-addr.arpa."
        self.dhcid = ncr.dhcid(b"client %d" % number, self.name)

    def request(self, change: int = ncr.ADD, *, reverse: bool = False) -> bytes:
        """Return a request as it comes over the wire."""
        return ncr.datagram(ncr.request(self.name, self.address, self.dhcid, change=change, reverse=reverse))


class Load:
    """Sends requests at a steady rate, in seconds, from a thread of its own. Use it as a context manager."""

    def __init__(self, port: int, requests: Iterable[bytes], rate: float) -> None:
        self.sent_at: list[float] = []
        """When each was sent, in seconds since the epoch."""
        self.allowed = sys.maxsize
        """How many may be sent for now."""
        self._port = port
        self._requests = iter(requests)
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def running(self) -> bool:
        """Whether there is more to send."""
        return self._thread.is_alive()

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return len(self.sent_at)

    def _run(self) -> None:
        begin = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self._port))
            while not self._stop.is_set():
                due = min(int((time.monotonic() - begin) * self._rate), self.allowed)
                while self.sent < due:
                    request = next(self._requests, None)
                    if request is None:
                        return
                    try:
                        sock.send(request)
                    except ConnectionRefusedError:  # of an earlier one, at a closed port: repeat this one
                        sock.send(request)
                    self.sent_at.append(time.time())
                self._stop.wait(TICK)


class Ends:
    """Follows a D2's log: which requests have ended, when and how."""

    def __init__(self, d2: D2) -> None:
        self.by_dhcid: dict[str, list[tuple[str, str]]] = {}
        """For each client the changes that ended, in order: ``ADD`` or ``REMOVE``, and the outcome."""
        self.at: dict[str, float] = {}
        """When the last of them ended, in seconds since the epoch, as the log says."""
        self.count = 0
        self._d2 = d2
        self._read = 0

    def read(self) -> int:
        """Read on; return how many requests have ended."""
        with self._d2.process.stdout_path.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        for line in text.splitlines():
            found = _FINAL.match(line)
            if found is not None:
                at, kind, outcome, dhcid = (part.decode() for part in found.groups())
                self.by_dhcid.setdefault(dhcid, []).append((kind, outcome))
                self.at[dhcid] = datetime.fromisoformat(at).timestamp()
                self.count += 1
        return self.count

    def wait(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many requests have ended."""
        def ended() -> bool:
            alive = self._d2.alive
            return self.read() >= count or not alive

        wait_until(ended, f"the end of {count} requests", timeout)
        assert self._d2.alive, self._d2.process.output()[-4000:]

    def succeeded(self, hosts: Iterable[Host]) -> list[Host]:
        """Return those hosts whose every change succeeded."""
        return [host for host in hosts
                if {outcome for _, outcome in self.by_dhcid.get(host.dhcid, [("", "")])} == {"SUCCEEDED"}]


def domain(name: str, port: int, **more: Any) -> dict[str, Any]:
    """Return a ddns-domains entry with one server on 127.0.0.1."""
    return {"name": name, "dns-servers": [{"ip-address": "127.0.0.1", "port": port}], **more}


def forward(*domains: dict[str, Any], timeout: int = 500) -> dict[str, Any]:
    """Return the part of a configuration with forward domains only; the timeout in milliseconds."""
    return {"forward-ddns": {"ddns-domains": [*domains]}, "dns-server-timeout": timeout}


def check_balance(d2: D2) -> dict[str, int]:
    """Return the statistics of a D2 with nothing under way: every try has ended in exactly one way."""
    counts = d2.statistics()
    assert counts["update-sent"] == \
        counts["update-success"] + counts["update-timeout"] + counts["update-error"], counts
    assert counts["update-sent"] == counts["update-signed"] + counts["update-unsigned"], counts
    return counts


def descriptors(pid: int) -> dict[str, str]:
    """Return the open file descriptors of a process: number to what it is, such as ``socket:[123]``."""
    found = {}
    for number in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found[number.name] = str(number.readlink())
    return found


def udp_socket(d2: D2, port: int) -> str:
    """Return what the D2's socket on a UDP port is called in its file descriptors."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}")}
    names = {f"socket:[{inode}]" for inode in inodes} & set(descriptors(d2.process.pid).values())
    assert len(names) == 1, f"{len(names)} sockets on port {port}"
    return names.pop()


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of all values, from 0 to 1, does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]

"""kea-dhcp4 and its clients on the loopback: leases by the thousand, each with a request to the D2."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.servers import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS: Final = 30.0
SUFFIX: Final = "bench.example."
_FOLDERS: Final = ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR", "KEA_LOG_FILE_DIR", "KEA_DHCP_DATA_DIR")
_HARDWARE, _CLIENT_ID = b"\0\0", b"\0\1"  # identifier types (RFC 4701, section 3.3)
_SHA256: Final = b"\1"


class Lease(NamedTuple):
    """A lease, and what the DNS should say about it."""

    address: str
    name: str
    """Lower case, with its final dot."""
    dhcid: bytes


class DhcpServer:
    """kea-dhcp4 in a directory of its own."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port

    def count(self) -> int:
        """Return how many leases were handed out, more or less: by the lines of its file."""
        with (self._directory / "leases.csv").open("rb") as file:
            return max(0, sum(1 for _ in file) - 1)

    def leases(self) -> list[Lease]:
        """Return the leases that it has handed out."""
        with (self._directory / "leases.csv").open(newline="") as file:
            rows = {row["address"]: row for row in csv.DictReader(file)}
        return [_lease(row) for row in rows.values() if row["state"] == "0" and row["hostname"]]

    @contextlib.contextmanager
    def clients(self, count: int, rate: int, client_port: int) -> Iterator[subprocess.Popen[str]]:
        """Have clients get a lease each, ``rate`` of them a second, while the context lasts.

        perfdhcp never sleeps. It stands for other machines, so it gets what the servers leave of this one.
        """
        command = ["nice", "-n", "10", find("perfdhcp"), "-4", "-l", "127.0.0.1", "-N", str(self._port),
                   "-L", str(client_port), "-R", str(count), "-n", str(count), "-r", str(rate),
                   "-W", "1000000", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with process:
            try:
                yield process
            finally:
                process.kill()


def _lease(row: dict[str, str]) -> Lease:
    name = row["hostname"].lower().rstrip(".") + "."
    wire = b"".join(len(label).to_bytes(1) + label.encode() for label in name.split("."))
    if row["client_id"]:
        kind, client = _CLIENT_ID, bytes.fromhex(row["client_id"].replace(":", ""))
    else:
        kind, client = _HARDWARE, b"\1" + bytes.fromhex(row["hwaddr"].replace(":", ""))
    return Lease(row["address"], name, kind + _SHA256 + hashlib.sha256(client + wire).digest())


@contextlib.contextmanager
def serving(directory: Path, port: int, client_port: int, d2_port: int) -> Iterator[DhcpServer]:
    """Run kea-dhcp4 while the context lasts. Raises BenchmarkError."""
    body = {
        "interfaces-config": {"interfaces": ["lo/127.0.0.1"], "dhcp-socket-type": "udp"},
        "lease-database": {"type": "memfile", "name": "leases.csv", "lfc-interval": 0},
        "valid-lifetime": 86400,
        "multi-threading": {"enable-multi-threading": False},
        "subnet4": [{"id": 1, "subnet": "10.0.0.0/8", "pools": [{"pool": "10.64.0.0 - 10.127.255.255"}],
                     "relay": {"ip-addresses": ["127.0.0.1"]}}],
        "dhcp-ddns": {"enable-updates": True, "server-ip": "127.0.0.1", "server-port": d2_port},
        "ddns-override-no-update": True, "ddns-override-client-update": True,
        "ddns-replace-client-name": "always", "ddns-generated-prefix": "h", "ddns-qualifying-suffix": SUFFIX,
        "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output-options": [{"output": "stdout"}]}],
    }
    (directory / "dhcp.json").write_text(json.dumps({"Dhcp4": body}))
    env = os.environ | dict.fromkeys(_FOLDERS, str(directory))
    command = [find("kea-dhcp4"), "-c", "dhcp.json", "-p", str(port), "-P", str(client_port)]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_SECONDS
        while not (directory / "leases.csv").exists():
            if process.poll() is not None or time.monotonic() > end:
                said = (directory / "output").read_text()[-2000:]
                raise BenchmarkError(f"kea-dhcp4 does not start:\n{said}")
            time.sleep(0.02)
        yield DhcpServer(directory, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

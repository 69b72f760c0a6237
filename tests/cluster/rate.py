"""What the shared queue costs: ``python -m tests.cluster rate``.

One daemon that is receiver and owner, three servers of NATS that write to the disk before they answer, and
the load generator of the benchmarks, which is the DNS server, too; all on this machine. Beside it the same
without a queue, and with the durable one. ``elsewhere`` (``tests.cluster.elsewhere``) leaves the servers out.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.build import load_program
from benchmarks.daemon import TEMPLATE, default_subjects, free_port, running, work_directory
from benchmarks.measure import RUN_SECONDS, raise_limits, sound
from benchmarks.settings import Settings, fill
from tests.cluster.site import SITE, create
from tests.kit.nats_servers import nats_servers
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Run

KINDS: Final = ("memory", "durable", "nats")
SECONDS: Final = 5.0
LONE_RATE: Final = 20
MOST_LONE_MS: Final = 10.0
MOST_CPU_US: Final = 8.0


def rate(rounds: int) -> bool:
    """Measure each kind of queue so often, in turn; print the medians."""
    raise_limits()
    full: dict[str, list[Run]] = {kind: [] for kind in KINDS}
    lone: dict[str, list[Run]] = {kind: [] for kind in KINDS}
    with nats_servers(3) as servers:
        asyncio.run(create(servers))
        urls = [f"nats://127.0.0.1:{server.port}" for server in servers]
        for number in range(rounds):
            for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
                before = sum(server.process.cpu_seconds() for server in servers)
                figures = run_kind(kind, urls, "--window", "2000", "--direction", "forward")
                used = sum(server.process.cpu_seconds() for server in servers) - before
                figures["servers_us"] = 1e6 * used / max(1, figures["completed"])
                full[kind].append(figures)
                lone[kind].append(run_kind(kind, urls, "--rate", str(LONE_RATE), "--direction", "forward"))
    print(f"medians of {rounds}; forward updates only\n"
          f"{'queue':8} requests/s  CPU us a request: pyd2, servers   a lone request: p50, p99 ms")
    for kind in KINDS:
        print(f"{kind:8} {middle(full[kind], 'rate'):10.0f}  {middle(full[kind], 'cpu_us'):22.1f} "
              f"{middle(full[kind], 'servers_us'):8.1f}   {middle(lone[kind], 'p50_ms'):19.2f} "
              f"{middle(lone[kind], 'p99_ms'):6.2f}")
    more = cpu_more(full["nats"], full["memory"])
    slowest = middle(lone["nats"], "p99_ms")
    print(f"beside memory: {more:.1f} us of CPU time more (at most {MOST_CPU_US:g} are wanted); "
          f"beside durable: {middle(full['nats'], 'rate') / middle(full['durable'], 'rate'):.2f} times the "
          f"rate; a lone request within {slowest:.1f} ms (p99; at most {MOST_LONE_MS:g} are wanted)")
    return more <= MOST_CPU_US and slowest <= MOST_LONE_MS


def middle(runs: list[Run], figure: str) -> float:
    """Return the median of a figure."""
    return float(median([run[figure] for run in runs]))


def cpu_more(runs: list[Run], others: list[Run]) -> float:
    """Return by how many us of CPU time a request takes more than in the others, as median of the rounds.

    Two runs of one round have the same neighbours on this machine; those of different rounds do not.
    """
    return float(median([run["cpu_us"] - other["cpu_us"] for run, other in zip(runs, others, strict=True)]))


def run_kind(kind: str, urls: list[str], *load: str) -> Run:
    """Start a daemon, drive it, and return the figures."""
    ports = free_port(), free_port()
    with work_directory() as directory:
        queue: dict[str, Any] = {"type": kind}
        if kind != "memory":
            queue["directory"] = str(directory / "queue")
        if kind == "nats":
            queue |= {"servers": urls, "site": SITE, "name": "bench"}
        settings = Settings(user_context={"queue": queue})
        text = fill(TEMPLATE.read_text(), settings, ncr_port=ports[0], dns_port=ports[1], beside_port=0,
                    directory=str(directory), libraries=[])
        with running(default_subjects()[0], text, directory, ports, {}) as daemon:
            if kind == "nats":
                wait_until(lambda: _owns(directory), "the daemon to own the queue")
            command = [
                str(load_program()), "--ncr-port", str(ports[0]), "--dns-port", str(ports[1]),
                "--pid", str(daemon.pid), "--seconds", str(SECONDS), *load,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    figures = sound(kind, done.stdout)
    assert not figures["lost"], f"{figures['lost']} of {figures['sent']} requests were lost"
    return figures


def _owns(directory: Path) -> bool:
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(directory / "socket"))
        connection.sendall(b'{"command": "status-get"}')
        while data := connection.recv(65536):
            answer += data
    state = json.loads(answer)["arguments"]["pyd2"]["queue"]["node"]["state"]
    return bool(state == "owner")

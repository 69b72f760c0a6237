"""How many requests a D2 carries out, and what each costs: pyd2 and the real server in one run.

Run: ./dev bench [--requests N] [--rounds N] [--window N] [--daemon PROGRAM]... [--out FILE]

A daemon is driven as a black box. Requests (one forward and one reverse addition each) are kept waiting up
to a window; a DNS server in this process answers each update at once with NOERROR. A request is complete
when its last update was answered. CPU time is the daemon's own, read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import uvloop

from pyd2.ncr import ChangeType
from pyd2.tools.daemon_process import DaemonProcess, running
from pyd2.tools.demo import FORWARD, REVERSE4, make_config
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.ports import free_udp_port
from pyd2.tools.requests import encode, request

_TICK = os.sysconf("SC_CLK_TCK")
_STALL = 3.0
"""Seconds without progress after which the rest counts as lost."""
_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Measure, print a table, and write the figures where ``--out`` says."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure D2s side by side.")
    parser.add_argument("--requests", type=int, default=10000, help="for each daemon and round (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="the median is reported (3)")
    parser.add_argument("--window", type=int, default=64, help="requests under way at a time (64)")
    parser.add_argument("--daemon", action="append", metavar="PROGRAM",
                        help="default: this pyd2, and kea-dhcp-ddns if it is installed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures to FILE as JSON")
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {daemon: [] for daemon in arguments.daemon or default_daemons()}
    for _ in range(arguments.rounds):
        for daemon, results in runs.items():
            results.append(uvloop.run(measure(daemon, arguments.requests, arguments.window)))
    about = {"commit": commit(), "machine": machine(), "requests": arguments.requests,
             "window": arguments.window}
    print(*(f"{name:10} {value}" for name, value in about.items()), sep="\n")
    print(f"\n{'daemon':34} {'requests/s':>12} {'CPU us/request':>16} {'lost':>6}")
    for daemon, results in runs.items():
        rate, cpu = (median(result[key] for result in results) for key in ("rate", "cpu_us"))
        lost = sum(result["lost"] for result in results)
        print(f"{Path(daemon).name + ' ' + results[0]['version']:34} {rate:12.0f} {cpu:16.0f} {lost:6}")
    if arguments.out:
        arguments.out.write_text(json.dumps({"about": about, "runs": runs}, indent=1) + "\n")
    return 0


def default_daemons() -> list[str]:
    """Return this pyd2 and, if it is installed, the real server."""
    kea = shutil.which("kea-dhcp-ddns", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return [str(Path(sys.executable).with_name("pyd2")), *([kea] if kea else [])]


async def measure(program: str, requests: int, window: int) -> dict[str, Any]:
    """Drive one daemon through a number of requests, after a warm-up of a tenth."""
    loop = asyncio.get_running_loop()
    driver = Driver(window)
    dns, _ = await loop.create_datagram_endpoint(lambda: driver, local_addr=("127.0.0.1", 0))
    server = Endpoint("127.0.0.1", dns.get_extra_info("sockname")[1])
    port = free_udp_port()
    config = make_config(port, server, None)
    config["DhcpDdns"]["loggers"] = [{"name": "kea-dhcp-ddns", "severity": "ERROR",
                                      "output-options": [{"output": "stdout"}]}]
    config["DhcpDdns"]["dns-server-timeout"] = 2000
    async with running([program], config) as daemon:
        await daemon.command("list-commands")  # twice round the main loop: it listens now
        ncr, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol,
                                                     remote_addr=("127.0.0.1", port))
        await driver.carry_out(payloads(0, requests // 10), ncr)
        cpu, start = cpu_seconds(daemon), perf_counter()
        done = await driver.carry_out(payloads(requests // 10, requests), ncr)
        seconds, cpu = perf_counter() - start, cpu_seconds(daemon) - cpu
        version = (await daemon.command("version-get"))["arguments"]["extended"].splitlines()[0]
        ncr.close()
    dns.close()
    return {"version": version, "rate": done / seconds, "cpu_us": cpu / max(done, 1) * 1e6,
            "lost": requests - done, "seconds": seconds}


class Driver(asyncio.DatagramProtocol):
    """The DNS server, which also knows when a request is complete and lets the next one go."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._completed = 0
        self._progress = asyncio.Event()
        self._last = b"\x01" + REVERSE4[:1].encode()  # the reverse zone's name begins with a one-octet label

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer NOERROR; the reverse update is the last of its request."""
        self._transport.sendto(data[:2] + b"\xa8\x00" + bytes(8), addr)
        if data[12:14] == self._last:
            self._completed += 1
            self._progress.set()

    async def carry_out(self, waiting: list[bytes], ncr: asyncio.DatagramTransport) -> int:
        """Send requests, never more than the window ahead of what is complete; return how many were."""
        self._completed = sent = 0
        while self._completed < len(waiting):
            until = min(len(waiting), self._completed + self._window)
            for payload in waiting[sent:until]:
                ncr.sendto(payload)
            sent = max(sent, until)
            self._progress.clear()
            try:
                async with asyncio.timeout(_STALL):
                    await self._progress.wait()
            except TimeoutError:
                break
        return self._completed


def payloads(first: int, count: int) -> list[bytes]:
    """Return requests of clients that differ in everything but the zones."""
    return [encode(request(ChangeType.ADD, f"host{number}.{FORWARD}", f"192.0.2.{number % 256}",
                           f"000101{number:064X}"))
            for number in range(first, first + count)]


def cpu_seconds(daemon: DaemonProcess) -> float:
    """Return the CPU time that a daemon has used, with all its threads."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def commit() -> str:
    """Return the commit that is measured, marked when files have changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    """Return what the figures depend on."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {cpu}, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())

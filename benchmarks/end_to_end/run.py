"""One run: clients come for leases, and the DNS is looked at while their names arrive there."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import servers
from benchmarks.daemon import TEMPLATE, cpu_seconds, default_subjects, free_port, running, work_directory
from benchmarks.end_to_end import dhcp, zones
from benchmarks.end_to_end.variants import SETTINGS
from benchmarks.errors import BenchmarkError
from benchmarks.settings import fill
from benchmarks.settings import zones as zone_names

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from benchmarks.daemon import Daemon
    from benchmarks.end_to_end.variants import Variant

POLL_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 10.0
"""After which a D2 that does nothing is taken to have done all that it will do."""
_WORK: Final = ("ncr-received", "update-sent", "update-success", "update-timeout")
"""Statistics that change while there is something to do."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in each run."""

    leases: int
    rate: int
    """Leases that are asked for a second."""
    at: tuple[float, ...]
    """Seconds after the first client's coming at which to look, ascending. The last one ends the run."""
    disk: Path | None = None
    """Where the DNS server's files are; None: in memory."""


class EndToEnd:
    """Makes runs, all on the same ports."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        ports: set[int] = set()
        while len(ports) < 4:
            ports.add(free_port())
        self._d2_port, self._dns_port, self._dhcp_port, self._client_port = sorted(ports)
        self._subjects = {subject.name: subject for subject in default_subjects()}

    def run(self, variant: Variant, server: str) -> dict[str, Any]:
        """Make a run and return its figures. Raises BenchmarkError."""
        if variant.subject not in self._subjects:
            raise BenchmarkError(f"{variant.subject} is not installed")
        scenario = self._scenario
        settings = variant.settings_before(server)
        with ExitStack() as stack:
            dns_pid = stack.enter_context(servers.serving(server, settings, self._dns_port, scenario.disk))
            d2_directory = stack.enter_context(work_directory())
            text = fill(TEMPLATE.read_text(), settings, ncr_port=self._d2_port, dns_port=self._dns_port,
                        beside_port=0, directory=str(d2_directory), libraries=[])
            d2 = stack.enter_context(running(self._subjects[variant.subject], text, d2_directory,
                                             (self._d2_port, self._dns_port), {}))
            dhcp_server = stack.enter_context(dhcp.serving(
                stack.enter_context(work_directory()), self._dhcp_port, self._client_port, self._d2_port))
            cpu_before = cpu_seconds(d2.pid), cpu_seconds(dns_pid)
            begin = time.monotonic()
            with dhcp_server.clients(scenario.leases, scenario.rate, self._client_port) as clients:
                looks, ended, at_work = self._watch(variant, d2, dhcp_server, clients, begin)
                if clients.poll() not in {0, 3, None}:
                    said = clients.stderr.read() if clients.stderr is not None else ""
                    raise BenchmarkError(f"perfdhcp fails: {said[-2000:]}")
            statistics = d2.statistics()
            given, right = looks[-1]
            return {
                "looks": [list(look) for look in looks], "leases": given,
                "waiting": given - right if at_work else 0, "lost": 0 if at_work else given - right,
                "ended_s": ended, "received": statistics["ncr-received"], "drops": _drops(self._d2_port),
                "timeouts": statistics["update-timeout"], "updates": statistics["update-sent"],
                "cpu_s": cpu_seconds(d2.pid) - cpu_before[0],
                "server_cpu_s": cpu_seconds(dns_pid) - cpu_before[1],
            }

    def _watch(self, variant: Variant, d2: Daemon, dhcp_server: dhcp.DhcpServer,
               clients: subprocess.Popen[str], begin: float) -> tuple[list[tuple[int, int]], float, bool]:
        """Look at each time that is asked for: how many leases there are, and how many are right in the DNS.

        Returns that, the seconds after which nothing more happened, and whether the D2 is still at work.
        Once there is nothing more to do, the last look stands for the rest.
        """
        looks: list[tuple[int, int]] = []
        work: list[int] = []
        changed = begin
        for at in self._scenario.at:
            while (now := time.monotonic()) < begin + at:
                time.sleep(min(POLL_SECONDS, begin + at - now))
                statistics = d2.statistics()
                if work != (work := [statistics[name] for name in _WORK]) or clients.poll() is None:
                    changed = time.monotonic()
                if time.monotonic() > changed + QUIET_SECONDS:
                    look = self._look(dhcp_server)
                    if look[0] == look[1] or not variant.retries:
                        looks += [look] * (len(self._scenario.at) - len(looks))
                        return looks, changed - begin, False
                    changed = time.monotonic()
            looks.append(self._look(dhcp_server))
        return looks, changed - begin, True

    def _look(self, dhcp_server: dhcp.DhcpServer) -> tuple[int, int]:
        leases = dhcp_server.leases()
        (forward,), (reverse,) = zone_names(SETTINGS)
        found = [zones.transfer(zone, self._dns_port) for zone in (forward, reverse)]
        return len(leases), zones.count_right(leases, *found)


def _drops(port: int) -> int:
    """Return how many datagrams the kernel has dropped that were for a port."""
    wanted = f":{port:04X}"
    found: Sequence[list[str]] = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(fields[-1]) for fields in found if fields[1].endswith(wanted))

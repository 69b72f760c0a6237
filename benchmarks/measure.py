"""One run of one case on one D2."""

from __future__ import annotations

import json
import resource
import subprocess
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks import servers
from benchmarks.build import load_program
from benchmarks.daemon import Subject, cpu_seconds, free_port, running, work_directory
from benchmarks.errors import BenchmarkError
from benchmarks.libraries import entries
from benchmarks.settings import KEY_NAME, SECRET, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.cases import Case
    from benchmarks.figures import Run

RUN_SECONDS: Final = 180.0
"""After which a run is given up."""
_WRONG: Final = ("malformed", "unknown", "unverified", "sink_drops")
"""Counters of the load generator that make a run worthless."""


class Bench:
    """Runs cases, all on the same ports."""

    def __init__(self, seconds: float = 2.0) -> None:
        self._seconds = seconds
        ports: set[int] = set()
        while len(ports) < 3:
            ports.add(free_port())
        self.ncr_port, self.dns_port, self.beside_port = sorted(ports)

    def run(self, case: Case, subject: Subject, seed: int = 1) -> Run:
        """Start a D2, drive it through a case, end it. Raises BenchmarkError.

        With another ``seed`` other updates are lost, where some are to be.
        """
        if case.starts:
            return self._starts(case, subject)
        with ExitStack() as stack:
            directory = stack.enter_context(work_directory())
            server = 0
            if case.server:
                server = stack.enter_context(
                    servers.serving(case.server, case.settings, self.dns_port, case.disk)
                )
            env = dict(case.env) if subject.name == "pyd2" else {}
            text = self._text(case, subject, directory)
            ports = self.ncr_port, self.dns_port
            daemon = stack.enter_context(running(subject, text, directory, ports, env))
            socket = str(directory / "socket") if case.server else ""
            server_cpu = cpu_seconds(server) if server else 0.0
            with self._beside(case) as beside:
                figures = self._load(case, subject, daemon.pid, socket, seed)
            figures |= beside
            if server:
                used = cpu_seconds(server) - server_cpu
                figures["server_cpu_us"] = used * 1e6 / max(1, figures["completed"])
            if server and not figures["lost"]:
                servers.check(self.dns_port, figures["sent"])
            if "--hold" in case.load:
                queued = figures["begin_rss_kb"] - figures["first_rss_kb"]
                figures["queued_bytes"] = queued * 1024 / _window(case)
                daemon.kill()  # it would work off its queue first
            else:
                statistics = daemon.statistics()
                figures["timeouts"] = statistics.get("update-timeout")
                figures["errors"] = statistics.get("update-error")
            figures["peak_rss_mb"] = figures["peak_rss_kb"] / 1024
            return figures | {"start_ms": daemon.start_ms, "start_cpu_ms": daemon.start_cpu_ms,
                              "idle_rss_kb": daemon.idle_rss_kb}

    def limit(self, case: Case) -> Run:
        """Measure what the case's real DNS server does at most, without a D2. Raises BenchmarkError."""
        with servers.serving(case.server, case.settings, self.dns_port, case.disk) as pid:
            before = cpu_seconds(pid)
            rate = servers.limit(case.settings, self.dns_port, self._seconds, in_flight=96)
            return {"rate": rate, "server_load": (cpu_seconds(pid) - before) / self._seconds}

    def _starts(self, case: Case, subject: Subject) -> Run:
        """Start a D2 several times; each figure is the median."""
        starts = []
        ports = self.ncr_port, self.dns_port
        for _ in range(case.starts):
            with work_directory() as directory:
                text = self._text(case, subject, directory)
                with running(subject, text, directory, ports, dict(case.env)) as daemon:
                    starts.append({"start_ms": daemon.start_ms, "start_cpu_ms": daemon.start_cpu_ms,
                                   "idle_rss_kb": daemon.idle_rss_kb,
                                   "idle_rss_mb": daemon.idle_rss_kb / 1024})
        return {figure: median(start[figure] for start in starts) for figure in starts[0]}

    def _text(self, case: Case, subject: Subject, directory: Path) -> str:
        return fill(subject.template.read_text(), case.settings, ncr_port=self.ncr_port,
                    dns_port=self.dns_port, beside_port=self.beside_port, directory=str(directory),
                    libraries=entries(case.library, subject.name, directory, self.beside_port))

    def _load(self, case: Case, subject: Subject, pid: int, socket: str, seed: int) -> Run:
        settings = case.settings
        asked = case.load if subject.name == "pyd2" or case.other_load is None else case.other_load
        command: list[str] = [
            str(load_program()), "--address", settings.address, "--ncr-port", str(self.ncr_port),
            "--dns-port", str(self.dns_port), "--pid", str(pid), "--seconds", str(self._seconds),
            "--seed", str(seed),
        ]
        if settings.ipv6:
            command += ["--ipv6"]
        if settings.algorithm and not case.server:
            command += ["--key", f"{settings.algorithm}:{KEY_NAME}:{SECRET}"]
        if socket:
            command += ["--control", socket]
        command += asked
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{case.name} on {subject.name} does not end") from None
        if done.returncode != 0:
            raise BenchmarkError(f"{case.name} on {subject.name}: {done.stderr.strip()}")
        return sound(f"{case.name} on {subject.name}", done.stdout)

    @contextmanager
    def _beside(self, case: Case) -> Iterator[Run]:
        """Keep the second load generator running, if there is one; its figures are there once it has ended.

        Raises BenchmarkError when nothing came of its requests.
        """
        figures: Run = {}
        if not case.beside:
            yield figures
            return
        command = [
            str(load_program()), "--address", case.settings.address, "--ncr-port", str(self.ncr_port),
            "--dns-port", str(self.beside_port), "--ipv6", "--direction", "reverse", "--first", "5000000",
            "--warmup", "0", "--seconds", str(RUN_SECONDS), *case.beside,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield figures
            finally:
                process.terminate()
            output = process.communicate()[0]
        found = sound(f"{case.name}, beside", output)
        if not found["completed"]:
            raise BenchmarkError(f"{case.name}: none of the requests beside was carried out")
        figures |= {f"beside_{name}": found[name] for name in ("completed", "p50_ms", "max_ms")}


def sound(what: str, output: str) -> Run:
    """Return the figures that a load generator printed. Raises BenchmarkError when they are invalid."""
    figures: dict[str, Any] = json.loads(output)
    wrong = {name: figures[name] for name in _WRONG if figures.get(name)}
    if wrong:
        raise BenchmarkError(f"{what} is worth nothing: {wrong}")
    return figures


def _window(case: Case) -> int:
    return int(case.load[case.load.index("--window") + 1])


def raise_limits() -> None:
    """Allow this process and its children as many open files as the system permits."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

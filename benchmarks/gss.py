"""Compare updates that are signed with GSS-TSIG: pyd2, and the real server with ISC's library, in turns.

Run: python -m benchmarks.gss [--runs 5] [--seconds 2] [--case NAME]... [--json FILE]

The DNS server is the load generator's sink, which agrees on keys by TKEY, and verifies and signs each message
with libgssapi: no real DNS server is quick enough to show what a D2 can do. A KDC of its own runs meanwhile.
`python -m devtools.gss_tsig` builds ISC's library for each Kea that there is; without it only pyd2 is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.build import ROOT, load_program
from benchmarks.daemon import (
    Subject,
    default_subjects,
    end_on_sigterm,
    free_port,
    is_bound,
    running,
    work_directory,
)
from benchmarks.errors import BenchmarkError
from benchmarks.figures import advantage
from benchmarks.measure import RUN_SECONDS, raise_limits, sound
from benchmarks.settings import KEY_NAME, SECRET, Settings, fill
from devtools.gss_tsig import FILE, there
from tests.kit.kerberos import CLIENT, DNS_SERVICE, realm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Run
    from tests.kit.kerberos import Realm

KEA: Final = ROOT / ".kea"
FAR_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    title: str
    load: tuple[str, ...] = ()
    other_load: tuple[str, ...] = ()
    """The load generator's options for other D2s than pyd2."""
    settings: Settings = field(default_factory=Settings)
    gss: bool = True
    """Whether GSS-TSIG is used; else a shared secret."""


CASES: Final = {
    "add": Case("additions, GSS-TSIG"),
    "remove": Case("removals, GSS-TSIG", ("--change", "remove"), ("--change", "remove")),
    "far": Case(f"additions, GSS-TSIG, DNS {FAR_MS} ms away, max-in-flight 1,024",
                ("--delay-ms", str(FAR_MS), "--window", "3000", "--ramp", "10", "--warmup", "4"),
                ("--delay-ms", str(FAR_MS)), Settings(user_context={"lanes": {"max-in-flight": 1024}})),
    "sha256": Case("additions, HMAC-SHA256", settings=Settings(algorithm="HMAC-SHA256"), gss=False),
}
COLUMNS: Final = ("rate", "cpu_us", "p50_ms", "p99_ms", "lost")


class Bench:
    """Runs cases, all on the same ports."""

    def __init__(self, kdc: Realm, seconds: float) -> None:
        self._kdc = kdc
        self._seconds = seconds
        self._ncr_port, self._dns_port = sorted({free_port(), free_port(), free_port()})[:2]

    def run(self, case: Case, subject: Subject, library: Path | None) -> Run:
        """Start a D2, drive it through a case, end it. Raises BenchmarkError."""
        with work_directory() as directory:
            text = fill(
                subject.template.read_text(), case.settings, ncr_port=self._ncr_port, dns_port=self._dns_port,
                beside_port=0, directory=str(directory),
                libraries=self._libraries(library, directory) if case.gss else [],
            )
            ports = self._ncr_port, self._dns_port
            with running(subject, text, directory, ports, self._kdc.environment) as daemon:
                figures = self._load(case, subject, daemon.pid, directory / "socket")
                counts = daemon.statistics()
            return figures | {name: counts.get(name) for name in (
                "update-timeout", "update-error", "gss-tsig-key-created", "tkey-success", "tkey-error")}

    def _libraries(self, library: Path | None, directory: Path) -> list[dict[str, Any]]:
        """Return the entry for a D2, which finds the library in its directory, or has its own."""
        if library is not None:
            (directory / FILE).write_bytes(library.read_bytes())
        name = FILE if library is None else str(directory / FILE)
        return [{"library": name, "parameters": {
            "server-principal": DNS_SERVICE, "client-principal": CLIENT,
            "client-keytab": self._kdc.client_keytab, "tkey-protocol": "UDP", "retry-interval": 1,
            "servers": [{"id": "sink", "ip-address": "127.0.0.1", "port": self._dns_port}],
        }}]

    def _load(self, case: Case, subject: Subject, pid: int, control: Path) -> Run:
        what = f"{case.title}, on {subject.name}"
        command = [
            str(load_program()), "--ncr-port", str(self._ncr_port), "--dns-port", str(self._dns_port),
            "--pid", str(pid), "--seconds", str(self._seconds),
            *(case.load if subject.name == "pyd2" else case.other_load),
        ]
        if case.gss:
            command.append("--gss")
        else:
            command += ["--key", f"{case.settings.algorithm}:{KEY_NAME}:{SECRET}"]
        env = os.environ | self._kdc.environment | {"KRB5_KTNAME": self._kdc.server_keytab}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as load:
            try:
                if case.gss:
                    self._agree(load, control)
                output, errors = load.communicate(timeout=RUN_SECONDS)
            except subprocess.TimeoutExpired:
                raise BenchmarkError(f"{what}: it does not end") from None
            finally:
                load.kill()
        if load.returncode != 0:
            raise BenchmarkError(f"{what}: {errors.strip()}")
        return sound(what, output)

    def _agree(self, load: subprocess.Popen[str], control: Path) -> None:
        """Have the D2 agree on a key now that there is a DNS server: it may have given up."""
        while not is_bound(self._dns_port) and load.poll() is None:
            time.sleep(0.01)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(control))
            connection.sendall(b'{"command": "gss-tsig-rekey-all"}')
            connection.recv(4096)


def subjects() -> list[tuple[Subject, Path | None]]:
    """Return pyd2, and each real server with its library."""
    own, *installed = default_subjects()
    found: list[tuple[Subject, Path | None]] = [(own, None)]
    for release, library in there(KEA).items():
        program = KEA / release / "bin/kea-dhcp-ddns"
        command = (str(program), "-c", "{}") if program.is_file() else next(
            (subject.command for subject in installed), ())
        if command:
            found.append((Subject(f"kea {release}", command), library))
    return found


def measure(bench: Bench, case: Case, runs: int) -> dict[str, list[Run]]:
    """Measure a case on all D2s in turns."""
    results: dict[str, list[Run]] = {}
    for number in range(runs):
        turns = subjects()
        if number % 2:
            turns.reverse()  # neither always has the machine as the other left it
        for subject, library in turns:
            results.setdefault(subject.name, []).append(bench.run(case, subject, library))
    return results


def show(case: Case, results: Mapping[str, Sequence[Run]]) -> None:
    """Print the medians, and how many times better pyd2 is."""
    names = (*COLUMNS, "x rate", "x CPU")
    print(f"\n{case.title}\n{'':12}" + "".join(f"{name:>12}" for name in names))
    for name, runs in results.items():
        row = "".join(f"{median(float(run[column] or 0) for run in runs):12,.1f}" for column in COLUMNS)
        ratios = [advantage(results["pyd2"], runs, figure) for figure in ("rate", "cpu_us")] \
            if name != "pyd2" else []
        row += "".join(f"{ratio.median:12.2f}" for ratio in ratios if ratio is not None)
        print(f"{name:12}{row}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 when a run failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gss", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="of each case on each D2 (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run (2)")
    parser.add_argument("--case", action="append", choices=CASES, help="only these (add, far)")
    parser.add_argument("--json", type=Path, help="write all runs there")
    options = parser.parse_args(arguments)
    raise_limits()
    everything: dict[str, dict[str, list[Run]]] = {}
    try:
        with realm() as kdc:
            bench = Bench(kdc, options.seconds)
            for name in options.case or ("add", "far"):
                everything[name] = measure(bench, CASES[name], options.runs)
                show(CASES[name], everything[name])
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())

"""Measured runs: a distant server with a wide window, whose answers come in great number at once."""

from dataclasses import replace
from typing import Final

from benchmarks.cases import CASES
from benchmarks.daemon import Subject, running, work_directory
from benchmarks.measure import Bench, raise_limits
from tests.kit import control

RUNS: Final = 5


def wide(binary: str, _seconds: float, _rate: float) -> bool:
    """Send 40,000 requests at once to a server 20 ms away, max-in-flight 4096; no answer may be dropped."""
    raise_limits()
    case = next(case for case in CASES if case.name == "distance-20-4096")
    burst = replace(case, load=("--delay-ms", "20", "--burst", "40000", "--warmup", "0"))
    subject = Subject("pyd2", (binary, "-c", "{}"))
    total = 0
    for number in range(1, RUNS + 1):
        bench = Bench()
        with work_directory() as directory:
            text = bench._text(burst, subject, directory)
            ports = bench.ncr_port, bench.dns_port
            with running(subject, text, directory, ports, {}) as daemon:
                figures = bench._load(burst, subject, daemon.pid, "", 1)
                socket = directory / "socket"
                timeouts = control.statistics(socket)["update-timeout"]
                name = "pyd2-replies-dropped"
                dropped = control.command(socket, "statistic-get", {"name": name})["arguments"][name][0][0]
        total += dropped
        print(f"{number}: 40,000 requests, {figures['lost']} lost, {dropped} answers dropped by the kernel, "
              f"{timeouts} tries timed out, {figures['rate']:.0f} requests/s", flush=True)
    return not total

"""The long form: ``python -m tests.fuzz --count 200000 --seed 1``; see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import sys
import time
from math import inf
from pathlib import Path

from tests.fuzz.daemon_target import NAME as DAEMON
from tests.fuzz.daemon_target import run_daemon
from tests.fuzz.runner import Report, run_target, table
from tests.fuzz.targets import ALL
from tests.web.page_target import NAME as PAGE
from tests.web.page_target import run_page

DAEMON_SHARE = 4
"""A daemon gets one datagram, or request over HTTP, where the other targets get this many inputs."""


def main() -> int:
    """Run the targets, print the table and each finding; return 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--count", type=int, default=200_000, help="inputs for each target (default %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="what the inputs are made from (default %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, help="in place of a number of inputs, for all targets but the daemon"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to make one again")
    parser.add_argument(
        "--target", action="append", choices=[*ALL, DAEMON, PAGE], help="only this one; may be repeated"
    )
    parser.add_argument(
        "--d2", default=str(Path(sys.executable).with_name("pyd2")), help="the daemon (default %(default)s)"
    )
    options = parser.parse_args()
    reports: list[Report] = []
    for name in options.target or [*ALL, DAEMON, PAGE]:
        if name == DAEMON:
            report = run_daemon(options.d2, -(-options.count // DAEMON_SHARE), options.seed)
        elif name == PAGE:
            report = run_page(
                options.d2, -(-options.count // DAEMON_SHARE) if options.seconds is None else sys.maxsize,
                options.seed, options.seconds or inf,
            )
        else:
            target = ALL[name]()
            report = run_target(
                target, options.count if options.seconds is None else sys.maxsize, options.seed,
                first=options.first, cpu=time.thread_time, seconds=options.seconds or inf,
            )
            target.close()
        print(
            f"{name}: {report.inputs} inputs, {len(report.findings)} findings, {report.seconds:.0f} s",
            flush=True,
        )
        for finding in report.findings:
            print(finding, flush=True)
        reports.append(report)
    print(table(reports))
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())

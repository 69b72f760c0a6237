"""From the clients to the DNS: perfdhcp, kea-dhcp4, a D2, and a real DNS server, with TSIG.

Many clients come at once, as after a power cut. How many of their leases does the DNS show as it should
(A, PTR, both with the DHCID) after some seconds, and how many never?

Run: python -m benchmarks.end_to_end [--leases 100000 --rate 3000 --at 10,60,300 --publish]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.daemon import default_subjects, end_on_sigterm
from benchmarks.end_to_end import report
from benchmarks.end_to_end.run import EndToEnd, Scenario
from benchmarks.end_to_end.variants import VARIANTS, parse
from benchmarks.errors import BenchmarkError
from benchmarks.measure import raise_limits
from benchmarks.report import between_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.end_to_end.variants import Variant

HERE = Path(__file__).resolve().parents[1]


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--leases", type=int, default=2000, help="clients that come (2,000)")
    made.add_argument("--rate", type=int, default=1000, help="of them a second (1,000)")
    made.add_argument("--at", type=parse_times, default=(2.0, 10.0, 30.0), metavar="S,S,S",
                      help="seconds after the first one's coming at which to look (2,10,30)")
    made.add_argument("--server", action="append", choices=report.TITLES, help="all, if none is named")
    made.add_argument("--variant", action="append", type=parse_variant, metavar="NAME[=SWITCHES]",
                      help=f"{', '.join(variant.name for variant in VARIANTS)}; or pyd2 with switches, as in "
                           'mine={"lanes":{"max-in-flight":64}}. All, if none is named')
    made.add_argument("--runs", type=int, default=1)
    made.add_argument("--disk", type=Path, metavar="DIRECTORY",
                      help="where the DNS server's files go; otherwise they are in memory")
    made.add_argument("--out", type=Path, metavar="DIRECTORY", help="write end-to-end.json and .svg there")
    made.add_argument("--publish", action="store_true",
                      help="write them to benchmarks/results, and the table into benchmarks/README.md")
    return made


def parse_times(text: str) -> tuple[float, ...]:
    """Return the times of a list. Raises ArgumentTypeError."""
    try:
        times = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"no list of seconds: {text}") from None
    if list(times) != sorted(times) or times[0] <= 0:
        raise argparse.ArgumentTypeError(f"not ascending: {text}")
    return times


def parse_variant(text: str) -> Variant:
    """Return a variant. Raises ArgumentTypeError."""
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs; return 1 if one failed."""
    options = parser().parse_args(arguments)
    scenario = Scenario(options.leases, options.rate, options.at, options.disk)
    variants = options.variant or list(VARIANTS)
    about = machine.about(default_subjects()) | {
        "leases": options.leases, "rate": options.rate, "at": list(options.at), "runs": options.runs,
        "disk": options.disk is not None,
        "variants": {variant.name: variant.switches for variant in variants},
    }
    raise_limits()
    bench = EndToEnd(scenario)
    results: report.Results = {}
    sound = True
    for server in options.server or report.TITLES:
        own = results[server] = {variant.name: [] for variant in variants}
        for number in range(options.runs):
            for variant in reversed(variants) if number % 2 else variants:
                try:
                    own[variant.name].append(bench.run(variant, server))
                except BenchmarkError as error:
                    print(f"{variant.name} with {report.TITLES[server]}: {error}", file=sys.stderr)
                    sound = False
        print(report.terminal({server: own}, options.at), flush=True)
    for directory in {options.out, HERE / "results" if options.publish else None} - {None}:
        write(about, results, directory)
    if options.publish:
        readme = HERE / "README.md"
        fresh = report.markdown(about, results)
        readme.write_text(between_markers(readme.read_text(), fresh, report.BEGIN, report.END))
    return 0 if sound else 1


def write(about: dict[str, Any], results: report.Results, directory: Path) -> None:
    """Write all figures and the chart."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": about, "results": results}, indent=1)
    (directory / "end-to-end.json").write_text(text + "\n")
    (directory / "end-to-end.svg").write_text(report.chart(results, about["at"]))


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())

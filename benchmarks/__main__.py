"""Measure pyd2 and the real server, case by case and in turns.

Run: ./dev bench [--quick] [--case PATTERN]... [--out DIRECTORY]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import machine
from benchmarks.build import HERE
from benchmarks.cases import CASES
from benchmarks.daemon import TEMPLATE, Subject, default_subjects, end_on_sigterm, loopback
from benchmarks.errors import BenchmarkError
from benchmarks.figures import LIMIT
from benchmarks.measure import Bench, raise_limits
from benchmarks.plots import all_plots
from benchmarks.report import between_markers, markdown, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from benchmarks.cases import Case
    from benchmarks.report import Runs

ONE_WAY: Final = ("commit", "cpu", "runs", "seconds")
"""What all published results have in common, so that it can stand above them."""
RESULTS: Final = HERE / "results"
README: Final = HERE / "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen cases; return 1 when a run failed."""
    options = parser().parse_args(arguments)
    if options.render:
        publish(json.loads((RESULTS / "results.json").read_text()))
        return 0
    cases = chosen(options)
    if options.list:
        for case in cases:
            print(f"{case.name:32} {case.title}{' (--quick)' if case.quick else ''}")
        return 0
    if not cases:
        print("no case has such a name: --list shows them", file=sys.stderr)
        return 2
    subjects = options.daemon or default_subjects()
    about = machine.about(subjects) | {"runs": options.runs, "seconds": options.seconds}
    if options.publish and (why := refusal(about, {case.name for case in cases})):
        print(why, file=sys.stderr)
        return 2
    for name in ("commit", "cpu", "system", "load_before"):
        print(f"{name:12} {about[name]}")
    print(*(f"{name:12} {version}" for name, version in about["versions"].items()), sep="\n")
    results: dict[str, Runs] = {}
    raise_limits()
    try:
        sound = measure_all(cases, subjects, options, results)
    except KeyboardInterrupt:
        print("stopped: what follows is what there is")
        sound = False
    data = {"about": about, "results": results}
    if options.out:
        write(data, options.out)
    if options.publish:
        if why := refusal(about, results.keys()):  # fewer than were to be measured
            print(why, file=sys.stderr)
            return 1
        publish(data)
    return 0 if sound else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(prog="./dev bench", description="Measure D2s side by side.")
    made.add_argument("--case", action="append", metavar="PATTERN",
                      help="only cases with such names, as the shell matches them; may be repeated")
    made.add_argument("--quick", action="store_true", help="the headline cases in under three minutes")
    made.add_argument("--list", action="store_true", help="list the cases and leave")
    made.add_argument("--runs", type=int, metavar="N", help="of each case on each D2 (5; with --quick 2)")
    made.add_argument("--seconds", type=float, metavar="S", help="of each run (2; with --quick 1)")
    made.add_argument("--daemon", action="append", type=parse_subject, metavar="NAME=COMMAND",
                      help="a D2; {} stands for its configuration file, NAME@TEMPLATE=COMMAND gives it a "
                           "template of its own. Default: pyd2, and kea if installed. Ratios are to kea")
    made.add_argument("--out", type=Path, metavar="DIRECTORY", help="write results.json and the plots there")
    made.add_argument("--publish", action="store_true",
                      help="write them to benchmarks/results, and the tables into benchmarks/README.md; some "
                           "cases only beside others of the same commit, machine and options")
    made.add_argument("--render", action="store_true",
                      help="measure nothing: make plots and tables afresh of benchmarks/results/results.json")
    return made


def parse_subject(text: str) -> Subject:
    """Return the D2 that ``NAME=COMMAND`` or ``NAME@TEMPLATE=COMMAND`` means."""
    head, equals, command = text.partition("=")
    name, _, template = head.partition("@")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"not NAME=COMMAND: {text}")
    return Subject(name, tuple(command.split()), Path(template) if template else TEMPLATE)


def chosen(options: argparse.Namespace) -> list[Case]:
    """Return the cases that the options ask for, and set what else follows from --quick."""
    options.runs = options.runs or (2 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    patterns = options.case or ["*"]
    return [case for case in CASES if any(fnmatch(case.name, pattern) for pattern in patterns)
            and (case.quick or not options.quick or options.case)]


def measure_all(cases: Sequence[Case], subjects: Sequence[Subject], options: argparse.Namespace,
                results: dict[str, Runs]) -> bool:
    """Measure the cases into ``results``, and show each; return whether nothing went wrong."""
    bench = Bench(options.seconds)
    by_name = {case.name: case for case in CASES}
    begin = time.monotonic()
    sound = True
    for case in cases:
        runs: Runs = {}
        for number in range(options.runs):
            turns: list[Subject | None] = [subject for subject in subjects if case.only in {"", subject.name}]
            if number % 2:
                turns.reverse()  # neither always has the machine as the other left it
            if case.ceiling:
                turns.append(loopback())
            if case.server:
                turns.append(None)
            for subject in turns:
                try:
                    figures = bench.run(case, subject, number + 1) if subject else bench.limit(case)
                    if case.baseline and subject:
                        base = bench.run(by_name[case.baseline], subject, number + 1)
                        figures["base_cpu_us"] = base["cpu_us"]
                except BenchmarkError as error:
                    print(f"{case.name}: {error}", file=sys.stderr)
                    sound = False
                    figures = {}  # run N of one D2 stays beside run N of another
                runs.setdefault(subject.name if subject else LIMIT, []).append(figures)
        results[case.name] = runs
        print(f"\n{terminal(case, runs)}", flush=True)
    print(f"\n{len(cases)} cases in {time.monotonic() - begin:.0f} s")
    return sound


def published() -> dict[str, Any]:
    """Return what results.json holds."""
    file = RESULTS / "results.json"
    empty: dict[str, Any] = {"about": {}, "results": {}}
    return json.loads(file.read_text()) if file.exists() else empty


def refusal(about: Mapping[str, Any], cases: AbstractSet[str]) -> str:
    """Return why these cases cannot be published: they leave others that were measured in another way."""
    before = published()
    then = before["about"]
    others = before["results"].keys() & {case.name for case in CASES} - cases
    unlike = [name for name in ONE_WAY if others and then[name] != about[name]]
    if not unlike:
        return ""
    how = "; ".join(f"{name} {then[name]}, now {about[name]}" for name in unlike)
    return (f"not published: {RESULTS / 'results.json'} has {len(others)} other cases, of {how}. "
            "Measure all cases afresh, or these in the same way; --out keeps them elsewhere")


def publish(data: dict[str, Any]) -> None:
    """Write results, plots and the tables in README.md; cases that were not measured now stay as they are.

    refusal() says whether that makes sense.
    """
    names = {case.name for case in CASES}
    others = {name: runs for name, runs in published()["results"].items() if name in names}
    data["results"] = others | data["results"]
    plots = write(data, RESULTS)
    fresh = markdown(data["about"], data["results"], plots)
    README.write_text(between_markers(README.read_text(), fresh))


def write(data: dict[str, Any], directory: Path) -> list[tuple[str, str]]:
    """Write results.json and the plots; return the plots' files and titles."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(as_json(data))
    plots = all_plots(data["results"], {case.name: case.title for case in CASES})
    for file, _, drawing in plots:
        (directory / file).write_text(drawing)
    return [(file, title) for file, title, _ in plots]


def as_json(data: dict[str, Any]) -> str:
    """Return results as JSON with one line for each run, so that a change of them can be read."""
    rounded = json.loads(json.dumps(data["results"]), parse_float=lambda text: round(float(text), 4))
    cases = []
    for case, runs in rounded.items():
        d2s = [f"   {json.dumps(name)}: [\n    " + ",\n    ".join(map(json.dumps, own)) + "\n   ]"
               for name, own in runs.items()]
        cases.append(f"  {json.dumps(case)}: {{\n" + ",\n".join(d2s) + "\n  }")
    about = json.dumps(data["about"], indent=1)
    return f'{{"about": {about},\n "results": {{\n' + ",\n".join(cases) + "\n }}\n"


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())

"""The gate: no hot function may need more instructions than it did.

Run: python -m benchmarks.gate [--renew]

The counts are kept in counts.json. Under the same compiler or Python, 3% more is a regression; others make
other code, so that only a much higher count says something there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.gate.count import GATE, Count, count_all

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTS: Final = GATE / "counts.json"
TOLERANCE: Final = 1.03
"""How many times the recorded count is still the same, where the code is made by the same tools."""
OTHER_TOOLS: Final = 1.5
"""The same where it is not, and for what other libraries do."""


def main() -> int:
    """Count, and compare or record; return 1 when something needs more than it did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="record the counts in counts.json")
    options = parser.parse_args()
    try:
        counts = count_all()
    except BenchmarkError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    recorded = load()
    print(f"{'instructions':44} {'recorded':>10} {'now':>10}")
    for name, count in counts.items():
        before = recorded["counts"].get(name, {})
        for part in ("own", "all"):
            if getattr(count, part):
                print(f"{f'{name} ({part})':44} {before.get(part, ''):>10} {getattr(count, part):>10}")
    if options.renew:
        save(counts)
        return 0
    found = regressions(recorded, tools(), counts)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def tools() -> dict[str, str]:
    """Return what makes the code that is counted."""
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return {"compiler": compiler.stdout.splitlines()[0], "python": sys.version}


def load() -> dict[str, Any]:
    """Return what was recorded."""
    recorded: dict[str, Any] = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    return {"tools": {}, "counts": {}} | recorded


def save(counts: Mapping[str, Count]) -> None:
    """Record counts."""
    kept = {name: {"own": count.own, "all": count.all} for name, count in counts.items()}
    COUNTS.write_text(json.dumps({"tools": tools(), "counts": kept}, indent=1) + "\n")


def regressions(recorded: Mapping[str, Any], present: Mapping[str, str],
                counts: Mapping[str, Count]) -> list[str]:
    """Return a line for everything that is dearer than recorded, not recorded, or not counted any more."""
    lines = [f"{name}: not in counts.json; record it with --renew"
             for name in counts if name not in recorded["counts"]]
    for name, before in recorded["counts"].items():
        if name not in counts:
            lines.append(f"{name}: in counts.json, and no scenario any more; renew it with --renew")
            continue
        # Python's own instructions are all in "all", the compiled layer's in "own".
        part = "own" if before["own"] else "all"
        tool = "compiler" if before["own"] else "python"
        same = recorded["tools"].get(tool) == present[tool]
        limits = {"all": OTHER_TOOLS} | {part: TOLERANCE if same else OTHER_TOOLS}
        for which, limit in limits.items():
            now = getattr(counts[name], which)
            if now > before[which] * limit:
                lines.append(f"{name}: {now} instructions ({which}), {before[which]} recorded, "
                             f"{now / before[which]:.2f} times")
    return lines


if __name__ == "__main__":
    sys.exit(main())

"""Record the conformance cases again, from any D2: python -m tests.conformance.generate --out DIR.

The inputs are those of the recorded files; of a new case a file with its inputs alone is enough. What the
D2 given with --d2 does with them is written to the same places under DIR, in the same form.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance import cases
from tests.kit import kea
from tests.kit.conformance import run_cli, run_commands, run_config
from tests.kit.station import Station
from tests.kit.transactions import run_ncr, run_transaction

KINDS = ("configs", "ncr", "transactions", "commands", "cli")


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def _configs(binary: str, data: Path, out: Path, wanted: Callable[[str], bool]) -> int:
    recorded = {}
    for name, case in cases.configs(data).items():
        if not wanted(name):
            continue
        for file in (case["file"], *case.get("files", [])):
            (out / "configs" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / "configs" / file, out / "configs" / file)
        recorded[name] = case | run_config(binary, case, data / "configs")
    _write(out / "configs/expected.json", recorded)
    return len(recorded)


def _others(kind: str, binary: str, data: Path, out: Path, wanted: Callable[[str], bool]) -> int:
    chosen = [name for name in cases.names(kind, data) if wanted(name)]
    with Station(binary) as station:
        record: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ncr": lambda case: {"result": run_ncr(station, case)},
            "transactions": lambda case: {"result": run_transaction(station, case)},
            "commands": lambda case: run_commands(binary, case),
            "cli": lambda case: run_cli(binary, case)}
        for name in chosen:
            case = cases.load(kind, name, data)
            _write(out / kind / f"{name}.json", case | record[kind](case))
    return len(chosen)


def generate(binary: str, data: Path, out: Path, kinds: list[str], part: str = "") -> dict[str, int]:
    """Record all cases of the kinds whose names contain `part`; return how many there were of each kind."""
    def wanted(name: str) -> bool:
        return part in name

    return {kind: _configs(binary, data, out, wanted) if kind == "configs"
            else _others(kind, binary, data, out, wanted) for kind in kinds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kea", default="2.6", metavar="RELEASE", help="2.6 (installed) or 3.0 (./dev kea)")
    parser.add_argument("--d2", metavar="PATH", help="the D2 to record (that of --kea)")
    parser.add_argument("--cases", type=Path, default=cases.DATA, metavar="DIR", help="the cases to repeat")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", default=",".join(KINDS), metavar="KINDS", help="kinds, separated by commas")
    parser.add_argument("--name", default="", metavar="TEXT", help="only cases with this in their name")
    order = parser.parse_args()
    kea.choose(order.kea)
    binary = order.d2 or kea.chosen().program("kea-dhcp-ddns")
    for kind, count in generate(binary, order.cases, order.out, order.only.split(","), order.name).items():
        print(f"{kind:13} {count:4} cases")


if __name__ == "__main__":
    main()

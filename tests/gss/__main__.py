"""Run the scenarios in pyd2 and in the real server with ISC's library, and compare.

Run: python -m devtools.gss_tsig                                        (builds ISC's library)
     python -m tests.gss [--kea 2.6] [--kea 3.0] [--scenario NAME]...
     python -m tests.gss --alone [--scenario NAME]...                   (pyd2 only: shows what came of it)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.gss import differential
from tests.gss.scenarios import SCENARIOS, Daemon, play
from tests.kit import kea


def main() -> int:
    """Compare; return 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.gss", description=__doc__.partition("\n")[0])
    parser.add_argument("--kea", action="append", metavar="RELEASE", help="2.6 and 3.0, or one of them")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only these")
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")), help="pyd2's command")
    parser.add_argument("--alone", action="store_true", help="run them in pyd2 only, and show what came out")
    options = parser.parse_args()
    if options.alone:
        for name in options.scenario or SCENARIOS:
            print(name, json.dumps(play(name, Daemon(options.d2)), indent=1), flush=True)
        return 0
    differs = 0
    for wanted in options.kea or ("2.6", "3.0"):
        kea.choose(wanted)
        chosen = kea.chosen()
        with tempfile.TemporaryDirectory() as directory:
            ours = differential.own(options.d2, chosen, Path(directory))
            for name in options.scenario or SCENARIOS:
                begin = time.monotonic()
                try:
                    found = differential.compare(name, differential.real(chosen), ours)
                except Exception as error:  # the others can still be compared
                    found = [f"{name}: {type(error).__name__}: {error}"]
                outcome = f"{len(found)} differences" if found else "equal"
                seconds = time.monotonic() - begin
                print(f"Kea {chosen.release} {name:26} {outcome:16} {seconds:5.0f} s", flush=True)
                print(*found, sep="\n", end="\n" if found else "", flush=True)
                differs += bool(found)
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz the compiled packet layer with libFuzzer: ``python -m tests.wire --seconds 600``; needs clang."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.wire.build import build_fuzzer, find_clang
from tests.wire.inputs import GENERATORS, make


def main() -> int:
    """Run each harness for a time; return 1 when one of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    options = parser.parse_args()
    clang = find_clang()
    if clang is None:
        parser.error("needs clang (Debian: clang)")
    failed = False
    for name in GENERATORS:
        with tempfile.TemporaryDirectory() as place:
            corpus = Path(place, "corpus")
            corpus.mkdir()
            for number, data in enumerate(make(name, 2000, options.seed)):
                (corpus / str(number)).write_bytes(data)
            program = build_fuzzer(clang, name, Path(place))
            limits = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1"]
            limits += [f"-max_total_time={options.seconds}", f"-seed={options.seed}"]
            command = [str(program), *limits, str(corpus)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            failed |= done.returncode != 0
            lines = done.stderr.splitlines()
            print(f"{name}: {'FAILED' if done.returncode else 'nothing found'}")
            print("\n".join(lines if done.returncode else [line for line in lines[-12:] if "stat::" in line]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

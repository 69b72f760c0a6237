"""Fuzz the compiled packet layer with libFuzzer: ``python -m tests.wire --seconds 600``; needs clang.

What covers more than shorter inputs do is kept in ``tests/wire/corpus``, and the next run begins with it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.fuzz.guided import keep, kept
from tests.wire.build import HERE, build_fuzzer, find_clang
from tests.wire.inputs import GENERATORS, make

CORPUS: Final = HERE / "corpus"


def main() -> int:
    """Run each harness for a time; return 1 when one of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--harness", action="append", choices=[*GENERATORS],
                        help="only this one; may be repeated")
    options = parser.parse_args()
    clang = find_clang()
    if clang is None:
        parser.error("needs clang (Debian: clang)")
    failed = False
    for name in options.harness or GENERATORS:
        with tempfile.TemporaryDirectory() as place:
            corpus, small = Path(place, "corpus"), Path(place, "small")
            corpus.mkdir()
            small.mkdir()
            for number, data in enumerate([*kept(name, CORPUS), *make(name, 2000, options.seed)]):
                (corpus / str(number)).write_bytes(data)
            program = build_fuzzer(clang, name, Path(place))
            limits = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1"]
            limits += [f"-artifact_prefix={place}/", f"-seed={options.seed}"]
            command = [str(program), *limits, f"-max_total_time={options.seconds}", str(corpus)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            lines = done.stderr.splitlines()
            if done.returncode:
                failed = True
                print(f"{name}: FAILED", *lines, sep="\n")
                continue
            subprocess.run([program, "-merge=1", small, corpus], capture_output=True, check=True)
            keep(name, [file.read_bytes() for file in small.iterdir()], CORPUS)
            stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
            print(f"{name}: nothing found in {stats['number_of_executed_units']} inputs, "
                  f"peak {stats['peak_rss_mb']} MiB, {len(kept(name, CORPUS))} inputs kept", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

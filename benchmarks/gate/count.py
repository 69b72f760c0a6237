"""Counts instructions with callgrind, which gives the same figures on a busy machine as on an idle one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.build import HERE, ROOT, WARNINGS, compiled
from benchmarks.errors import BenchmarkError
from benchmarks.gate import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GATE: Final = HERE / "gate"
WIRE: Final = ROOT / "cbridge" / "wire"
SCENARIO_TIMES: Final = 1000
"""How often scenarios.c does each scenario."""
_OPTIONS: Final = ("-std=c11", "-g", "-O2", *WARNINGS, f"-I{WIRE}", f"-I{GATE}")
_MINUTES: Final = 5 * 60


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions of one scenario, done once."""

    own: int
    """Those in the compiled layer's own code; 0 where it is not the subject."""
    all: int
    """Those in the libraries it calls, too: they depend on their versions and on the processor."""


def count_all() -> dict[str, Count]:
    """Count every scenario. Raises BenchmarkError when a compiler or valgrind is missing."""
    marks = [GATE / "marks.c"]
    headers = [*sorted(WIRE.glob("*.h")), GATE / "marks.h"]
    program = compiled("scenarios", [GATE / "scenarios.c", *marks, *sorted(WIRE.glob("*.c"))],
                       [*_OPTIONS, "-lcrypto", "-lpthread"], headers)
    library = compiled("marks.so", marks, [*_OPTIONS, "-fPIC", "-shared"], headers)
    counts = {name: Count(own // SCENARIO_TIMES, total // SCENARIO_TIMES)
              for name, own, total in _run([str(program)], program)}
    command = [sys.executable, "-m", "benchmarks.gate.engine", str(library)]
    counts |= {name: Count(0, total // engine.REQUESTS) for name, _, total in _run(command, None)}
    return counts


def _run(command: Sequence[str], program: Path | None) -> list[tuple[str, int, int]]:
    """Run a program under callgrind; return its scenarios with their counts: in the program, in all."""
    with tempfile.TemporaryDirectory(prefix="gate.") as folder:
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--compress-strings=no",
                    "--compress-pos=no", f"--callgrind-out-file={folder}/out"]
        env = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run([*valgrind, *command], cwd=ROOT, env=env, capture_output=True, text=True,
                                  check=False, timeout=_MINUTES)
        except FileNotFoundError:
            raise BenchmarkError("there is no valgrind (Debian: valgrind)") from None
        if done.returncode != 0:
            raise BenchmarkError(f"failed: {' '.join(command)}\n{done.stderr[-4000:]}")
        return list(read_counts(Path(folder), program))


def read_counts(directory: Path, program: Path | None) -> Iterator[tuple[str, int, int]]:
    """Yield what callgrind has written, in order: scenario, instructions in the program, and in all."""
    for path in sorted(directory.glob("out.*"), key=lambda path: int(path.suffix[1:])):
        text = path.read_text()
        name = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
        total = re.search(r"^summary: (\d+)$", text, re.MULTILINE)
        if name and total:
            yield name[1], _in_file(text, str(program)) if program else 0, int(total[1])


def _in_file(text: str, program: str) -> int:
    """Return the instructions in the functions of one file, without what they call."""
    total = 0
    inside = called = False
    for line in text.splitlines():
        if line.startswith("ob="):
            inside = line == f"ob={program}"
        elif line.startswith("calls="):
            called = True  # the next line is what the call cost
        elif line[:1].isdigit():
            if inside and not called:
                total += int(line.split()[1])
            called = False
    return total

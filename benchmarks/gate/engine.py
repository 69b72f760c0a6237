"""One request through the engine, for callgrind to count: run by count.py, under valgrind.

usage: engine.py LIBRARY, the compiled marks.c
"""

from __future__ import annotations

import ctypes
import gc
import sys

from benchmarks.micro_engine import Bench

WARM_UP = 200
REQUESTS = 500
"""How many are counted, one after the other."""
NAME = "one request through the engine, unsigned"


def main() -> None:
    """Carry out requests, the last of them between the marks."""
    marks = ctypes.CDLL(sys.argv[1])
    bench = Bench(None, "compiled")
    gc.disable()
    bench.carry_out(0, WARM_UP, 1)
    marks.gate_begin()
    bench.carry_out(WARM_UP, REQUESTS, 1)
    marks.gate_end(NAME.encode())


if __name__ == "__main__":
    main()

"""One request through the engine, for callgrind to count: run by count.py, under valgrind.

usage: engine.py LIBRARY, the compiled marks.c
"""

from __future__ import annotations

import ctypes
import gc
import sys

from benchmarks.micro_engine import Bench

WARM_UP = 192
REQUESTS = 512
"""How many are counted."""
TOGETHER = 32
"""How many come at a time, as they do under load."""
NAME = "one request of many through the engine, unsigned"
MANY = 512
"""How many come at a time to go in batches."""
BATCH = 50
NAME_OF_BATCHES = "one request of many in batches of 50, unsigned"
OWN = 10
"""Each so manieth name is there already, so that all are asked for."""
NAME_OF_QUESTIONS = "one request of many in batches of 50 whose names are asked for, unsigned"


def main() -> None:
    """Carry out requests, the last of them between the marks."""
    marks = ctypes.CDLL(sys.argv[1])
    bench = Bench(None, "compiled")
    gc.disable()
    bench.carry_out(0, WARM_UP, TOGETHER)
    marks.gate_begin()
    bench.carry_out(WARM_UP, REQUESTS, TOGETHER)
    marks.gate_end(NAME.encode())
    for own, name in ((0, NAME_OF_BATCHES), (OWN, NAME_OF_QUESTIONS)):
        bench = Bench(None, "compiled", BATCH, own)
        bench.carry_out(0, MANY, MANY)
        marks.gate_begin()
        bench.carry_out(MANY, REQUESTS, MANY)
        marks.gate_end(name.encode())


if __name__ == "__main__":
    main()

"""Fuzzing that is led by coverage, with atheris: ``python -m tests.fuzz.guided --target ncr --seconds 600``.

The inputs are the targets' own, with their parts packed into one string of octets, and half of the mutations
are made by the targets' generators: what knows the form of the input gets deeper. What the corpus holds at
the end is kept in ``tests/fuzz/corpus``, and the tests run all of it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import lzma
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.runner import Input

CORPUS: Final = Path(__file__).with_name("corpus")
NAMES: Final = ("ncr", "reply", "command", "http", "config", "lease", "tkey")
_SEEDS: Final = 1000
_LONGEST: Final = 16384
_ARTIFACTS: Final = "crash-*", "timeout-*", "oom-*"


def pack(parts: Sequence[bytes], octets: int = 2) -> bytes:
    """Return the parts as one string; the length of each stands before it, in so many octets."""
    most = 256**octets - 1
    return b"".join(len(part[:most]).to_bytes(octets, "big") + part[:most] for part in parts)


def unpack(data: bytes, octets: int = 2) -> Input:
    """Return the parts of any string of octets; the last may be shorter than it says."""
    parts = []
    at = 0
    while at + octets <= len(data):
        begin = at + octets
        at = begin + int.from_bytes(data[at:begin], "big")
        parts.append(data[begin:at])
    return tuple(parts)


def kept(name: str, folder: Path = CORPUS) -> list[bytes]:
    """Return the corpus that is kept of a target."""
    file = folder / f"{name}.xz"
    return list(unpack(lzma.decompress(file.read_bytes()), 4)) if file.exists() else []


def keep(name: str, corpus: Sequence[bytes], folder: Path = CORPUS) -> None:
    """Make these the corpus that is kept of a target."""
    folder.mkdir(exist_ok=True)
    parts = sorted(set(corpus), key=lambda data: (len(data), data))
    (folder / f"{name}.xz").write_bytes(lzma.compress(pack(parts, 4)))


def _fuzz(name: str, arguments: list[str]) -> None:
    """Give the target what atheris makes; ends the process."""
    atheris = importlib.import_module("atheris")
    # Only what is imported in here is watched, so nothing of pyd2 may have been imported before.
    with atheris.instrument_imports(include=["pyd2"]):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]()

    def one(data: bytes) -> None:
        list(target.run(unpack(data)))

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        way = rng.random()
        parts = list(unpack(data))
        if way < 0.2 or not parts:
            return pack(target.make(rng))[:most]
        if way < 0.5:
            at = rng.randrange(len(parts))
            other = target.make(rng)
            parts[at] = other[at % len(other)]
            return pack(parts)[:most]
        if way < 0.95:
            at = rng.randrange(len(parts))
            parts[at] = bytes(atheris.Mutate(parts[at], len(parts[at]) + 64))
            return pack(parts)[:most]
        return bytes(atheris.Mutate(data, most))

    atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutated)
    atheris.Fuzz()


def run(name: str, seconds: int, seed: int) -> tuple[bool, str]:
    """Fuzz a target for a time, beginning with what was kept; return whether all is well, and a line."""
    with tempfile.TemporaryDirectory() as place:
        corpus, base = Path(place, "corpus"), Path(place, "base")
        corpus.mkdir()
        base.mkdir()
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]()
        seeds = [pack(target.make(random.Random(f"{seed}/{number}"))) for number in range(_SEEDS)]
        target.close()
        for number, data in enumerate([*kept(name), *seeds]):
            (base / str(number)).write_bytes(data)
        limits = [f"-max_len={_LONGEST}", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]
        command: list[Any] = [sys.executable, "-m", "tests.fuzz.guided", "--inside", "--target", name, "--"]
        command += [*limits, f"-seed={seed}", f"-artifact_prefix={place}/"]
        done = subprocess.run([*command, f"-max_total_time={seconds}", corpus, base], capture_output=True,
                              text=True, errors="replace", check=False)
        found = [file.read_bytes() for pattern in _ARTIFACTS for file in Path(place).glob(pattern)]
        text = done.stderr[-6000:] if done.returncode or found else ""
        if not found:
            keep(name, [*kept(name), *(file.read_bytes() for file in corpus.iterdir())])
        stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
        covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
        line = (f"{name}: {stats.get('number_of_executed_units', '?')} inputs in {seconds} s, coverage, "
                f"features and corpus {covered[-1] if covered else '?'}, "
                f"peak {stats.get('peak_rss_mb', '?')} MiB, {len(found)} findings, "
                f"{len(kept(name))} inputs kept")
        return not text, "\n".join([line, *(data.hex() for data in found), text]).rstrip()


def main() -> int:
    """Fuzz; return 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("--target", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options, arguments = parser.parse_known_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("needs atheris: pip install atheris")
    names = options.target or NAMES
    if options.inside:
        _fuzz(names[0], [argument for argument in arguments if argument != "--"])
    fine = True
    for name in names:
        good, text = run(name, options.seconds, options.seed)
        print(text, flush=True)
        fine = fine and good
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

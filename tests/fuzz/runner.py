"""Runs targets on many inputs, tells what became of them, and makes a failing input small.

An input is made from the seed, the target's name and its number, so each can be made again alone.
"""

from __future__ import annotations

import random
import re
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Input: TypeAlias = tuple[bytes, ...]

SLOW = 0.2
"""Seconds of CPU that an input must not need whose parts have at most SHORT bytes."""
SHORT = 65536
ACCEPTED = "accepted"
_MOST_FAULTS = 5
_MOST_SLOW = 3
_MOST_HEX = 1000
_MOST_ATTEMPTS = 2000
_MOST_FAMILIES = 14


class Target(Protocol):
    """Something that must stand any input."""

    name: str

    def make(self, rng: random.Random) -> Input:
        """Return an input, the same for the same state of ``rng``."""

    def run(self, data: Input) -> Iterable[str]:
        """Take the input; return what became of each of the things in it: ACCEPTED, or why not.

        Raises any error when the code under test does what it must not do.
        """

    def reset(self) -> None:
        """Begin anew, as after a fault."""

    def close(self) -> None:
        """Leave nothing behind."""


@dataclass
class Finding:
    """An input that the code under test does not stand."""

    target: str
    seed: int
    number: int
    data: Input
    what: str
    trace: str
    original: int
    """Bytes of the input before it was made small."""

    def __str__(self) -> str:
        parts = "\n".join(f"  {_hex(part)}" for part in self.data)
        again = (
            f"python -m tests.fuzz --target {self.target} --seed {self.seed} --first {self.number} --count 1"
        )
        size = sum(map(len, self.data))
        return (
            f"{self.target}: {self.what}\n{self.trace}"
            f"input, {size} bytes made small from {self.original}, in hex:\n{parts}\nagain: {again}"
        )


def _hex(part: bytes) -> str:
    more = f"... ({len(part)} bytes)" if len(part) > _MOST_HEX else ""
    return part[:_MOST_HEX].hex() + more or "(empty)"


@dataclass
class Report:
    """What became of the inputs of one target."""

    target: str
    inputs: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    faults: int = 0
    slow: int = 0
    """Inputs that needed too much CPU; a few of them stand in the findings."""
    slowest: float = 0.0
    """Seconds of CPU of the slowest input of at most SHORT bytes in each part."""
    seconds: float = 0.0
    peak: int = 0
    """Highest resident memory, in bytes."""

    def count(self, outcome: str) -> None:
        self.inputs += 1
        if outcome.startswith(ACCEPTED):
            self.accepted += 1
        if outcome != ACCEPTED:
            self.rejected[family(outcome)] += 1


def family(text: str) -> str:
    """Return an error text without what is special to one input: places, numbers, quotations."""
    text = text[:400].removeprefix("fromFormat: buffer read error: ")
    text = re.sub(r"\(?\S*(?:d2\.json|\.inc|<\w+>):\d+[.:]\d+\S*\)?:? ?", "", text)
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*", "..", text.partition("\n")[0])
    text = re.sub(r"[0-9]+", "N", text)
    head, colon, tail = text.partition(": ")
    keep = text if len(head) < 20 or tail.isupper() else head + colon.rstrip()
    return keep.encode("ascii", "replace").decode()[:72].strip() or "(empty)"


def run_target(
    target: Target, count: int, seed: int, *, first: int = 0, cpu: Callable[[], float] | None = None,
    seconds: float = inf,
) -> Report:
    """Give a target ``count`` things, beginning with input number ``first``; stop after five faults.

    ``cpu`` tells seconds of CPU; None: slowness is not looked at. After ``seconds`` it stops, too.
    """
    report = Report(target.name)
    reset_peak()
    begin = time.monotonic()
    number = first
    end = begin + seconds
    while report.inputs < count and report.faults < _MOST_FAULTS and time.monotonic() < end:
        data = target.make(random.Random(f"{seed}/{target.name}/{number}"))
        started = cpu() if cpu else 0.0
        outcomes: list[str] = []
        try:
            outcomes.extend(target.run(data))
        except Exception as error:  # whatever it is, it is a finding
            outcomes.append("a finding")
            report.faults += 1
            report.findings.append(_finding(target, seed, number, data, error))
        else:
            if cpu:
                _watch_time(target, seed, number, data, cpu, cpu() - started, report)
        for outcome in outcomes:
            report.count(outcome)
        number += 1
    report.seconds = time.monotonic() - begin
    report.peak = peak_memory()
    return report


def _finding(target: Target, seed: int, number: int, data: Input, error: Exception) -> Finding:
    same = signature(error)

    def fails(attempt: Input) -> bool:
        target.reset()
        try:
            list(target.run(attempt))
        except Exception as other:
            return signature(other) == same
        return False

    trace = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    if fails(data):
        small = minimise(data, fails)
    else:
        small, what = data, f"{what} (only after the inputs before it)"
    target.reset()
    return Finding(target.name, seed, number, small, what, trace, sum(map(len, data)))


def signature(error: BaseException) -> tuple[str, str]:
    """Return what makes two faults the same: the error's type and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__, f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _watch_time(
    target: Target, seed: int, number: int, data: Input, cpu: Callable[[], float], used: float, report: Report
) -> None:
    if any(len(part) > SHORT for part in data):
        return
    if used > SLOW:
        # Once more, and once more: garbage collection and a busy machine are no finding.
        for _ in range(2 if report.slow < _MOST_SLOW else 0):
            started = cpu()
            list(target.run(data))
            used = min(used, cpu() - started)
        if used > SLOW:
            report.slow += 1
            if report.slow <= _MOST_SLOW:
                size = sum(map(len, data))
                what = f"needs {used:.3f} s of CPU"
                report.findings.append(Finding(target.name, seed, number, data, what, "", size))
    report.slowest = max(report.slowest, used)


def minimise(data: Input, fails: Callable[[Input], bool]) -> Input:
    """Return a smaller input that fails, too: without parts, then without stretches of the parts."""
    left = _MOST_ATTEMPTS

    def still(attempt: Input) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(attempt)

    for index in reversed(range(len(data))):
        attempt = data[:index] + data[index + 1 :]
        if still(attempt):
            data = attempt
    for index, part in enumerate(data):
        size = len(part)
        while size:
            at = 0
            while at < len(data[index]):
                shorter = data[index][:at] + data[index][at + size :]
                attempt = (*data[:index], shorter, *data[index + 1 :])
                if still(attempt):
                    data = attempt
                else:
                    at += size
            size //= 2
    return data


def reset_peak() -> None:
    """Let the kernel measure the peak of this process's memory from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory(pid: int | str = "self") -> int:
    """Return the highest resident memory of a process, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def table(reports: Sequence[Report]) -> str:
    """Return the reports as text: a line for each target, and below it the answers to its inputs."""
    lines = [
        (
            f"{'target':8} {'inputs':>8} {'accepted':>8} {'rejected':>8} {'faults':>6} {'slow':>5}"
            f" {'seconds':>8} {'slowest, ms':>11} {'peak RSS, MiB':>13}"
        )
    ]
    for report in reports:
        rejected = report.inputs - report.accepted
        slowest = f"{report.slowest * 1000:.1f}" if report.slowest else "-"
        lines.append(
            f"{report.target:8} {report.inputs:8} {report.accepted:8} {rejected:8} {report.faults:6}"
            f" {report.slow:5} {report.seconds:8.1f} {slowest:>11} {report.peak / 2**20:13.0f}"
        )
    for report in reports:
        lines += ["", f"{report.target}:"]
        families = report.rejected.most_common()
        lines += [f"  {number:8}  {text}" for text, number in families[:_MOST_FAMILIES]]
        rest = families[_MOST_FAMILIES:]
        if rest:
            lines.append(f"  {sum(number for _, number in rest):8}  {len(rest)} further texts")
    return "\n".join(lines)

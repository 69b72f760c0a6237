"""What the tests of the benchmarks share: programs that run, and are ended by pid."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.build import load_program, reflector_program
from benchmarks.daemon import is_bound
from tests.kit.ports import PortLease
from tests.kit.process import Process
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Load:
    """The load generator on two ports of its own."""

    def __init__(self, directory: Path, ncr_port: int, dns_port: int) -> None:
        self.ncr_port, self.dns_port = ncr_port, dns_port
        self._directory = directory
        self._program = str(load_program())

    def command(self, *options: str) -> list[str]:
        return [self._program, "--ncr-port", str(self.ncr_port), "--dns-port", str(self.dns_port), *options]

    def run(self, *options: str) -> dict[str, Any]:
        """Run it to its end and return its figures."""
        done = subprocess.run(self.command(*options), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[Process]:
        """Run it beside the test."""
        with Process(self.command(*options), self._directory, name="load") as process:
            yield process

    def figures_of(self, process: Process, *, stopped: bool = False) -> dict[str, Any]:
        """Return the figures of a run beside the test, once it has ended; ``stopped`` stops it first."""
        assert (process.stop() if stopped else process.wait_for_exit()) == 0, process.output()
        figures: dict[str, Any] = json.loads(process.stdout())
        return figures


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    with PortLease() as lease:
        yield Load(tmp_path, lease.take(), lease.take())


@pytest.fixture
def reflected(load: Load, tmp_path: Path) -> Iterator[Load]:
    """The load generator with the D2 that only moves datagrams."""
    command = [str(reflector_program()), "--ncr-port", str(load.ncr_port), "--dns-port", str(load.dns_port)]
    with Process(command, tmp_path, name="reflector") as reflector:
        wait_until(lambda: is_bound(load.ncr_port), "the reflector to listen")
        yield load
        assert reflector.alive
        reflector.kill()

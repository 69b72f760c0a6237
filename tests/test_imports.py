"""Imports point one way, and the engine does no IO: the contracts of pyproject.toml hold, and can fail."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_IO = "the engine does no IO and reads no clock"
SHARED = "the rules of a shared queue do no IO and read no clock"
RUN = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint_imports(*options: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run import-linter as a program of its own: it imports and configures globally."""
    command = [sys.executable, "-c", RUN, "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    done = lint_imports()
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_module_has_a_layer() -> None:
    """A module that no contract names could import anything."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip().removeprefix("pyd2.") for layer in layers for name in layer.split("|")}
    present = {path.stem for path in (ROOT / "pyd2").iterdir()
               if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert present - {"__init__"} <= named


def test_a_start_loads_nothing_of_what_is_not_asked_for() -> None:
    """The durable queue's database, hook libraries compiled for Kea, and the tools: loading takes time."""
    program = "import sys, pyd2.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"sqlite3", "orjson", "dns", "ctypes", "dataclasses", "importlib.metadata",
                "pyd2.capture", "pyd2.history",
                "pyd2.metrics.page", "pyd2.control.write", "pyd2.control.http_session",
                "pyd2.queue.sqlite.writer", "pyd2.queue.shared", "pyd2.queue.nats", "pyd2.cluster",
                "pyd2.config.nats", "pyd2.hooks.kea",
                "pyd2.hooks.gss", "pyd2.hooks.python_chain", "pyd2.tools", "pyd2.web",
                "pyd2.control.http_pages", "pyd2.update.observing.recent"}
    assert not unwanted & set(done.stdout.split())


def test_the_threads_are_those_that_are_described_and_nothing_forks() -> None:
    """docs/architecture.md describes each of them; pyd2ctl is another program."""
    words = (r"\bThread\(", "ThreadPool", "run_in_executor", "to_thread", "start_new_thread", r"\bfork\(",
             "multiprocessing")
    starts = re.compile("|".join(words))
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "pyd2").rglob("*.py")
             if starts.search(path.read_text()) and ROOT / "pyd2" / "tools" not in path.parents}
    assert found == {"pyd2/capture/writer.py",
                     "pyd2/queue/sqlite/stores.py", "pyd2/queue/sqlite/writer.py", "pyd2/net/tcp.py",
                     "pyd2/history/writer.py", "pyd2/observe/writer.py", "pyd2/service.py",
                     "pyd2/hooks/gss/manager.py", "pyd2/web/searcher.py"}


def copy_package(target: Path, *, empty: bool = False) -> None:
    """Copy the package with the stubs of its compiled modules as modules: import-linter sees no others."""
    (target / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for path in sorted((ROOT / "pyd2").rglob("*.py*")):
        if path.suffix in (".py", ".pyi"):
            copy = (target / path.relative_to(ROOT)).with_suffix(".py")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text("" if empty else path.read_text())


def test_the_contracts_hold_with_the_compiled_modules(tmp_path: Path) -> None:
    copy_package(tmp_path)
    done = lint_imports(cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "text", "contract"), [
    ("pyd2/dns/upward.py", "import pyd2.cli\n", "layers"),
    ("pyd2/update/clock.py", "import time\n", NO_IO),
    ("pyd2/update/sockets.py", "import socket\n", NO_IO),
    ("pyd2/packets/tls.py", "import ssl\n", NO_IO),
    ("pyd2/update/store.py", "import sqlite3\n", NO_IO),
    ("pyd2/update/sends.py", "from pyd2.net.wire_io import lib\n", "layers"),
    ("pyd2/queue/shared/clock.py", "import time\n", SHARED),
    ("pyd2/queue/shared/client.py", "import pyd2.queue.nats\n", SHARED),
    ("pyd2/service.py", "from pyd2.net.native import NativeDatagrams\n", "one module chooses the back end"),
])
def test_a_breach_is_found(tmp_path: Path, module: str, text: str, contract: str) -> None:
    """The same contracts over a small package of the same names, with one wrong import."""
    copy_package(tmp_path, empty=True)
    (tmp_path / "pyd2/data/inet.py").write_text("import socket\n")  # a contract names this import
    (tmp_path / module).write_text(text)
    done = lint_imports(cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout

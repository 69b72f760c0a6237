"""Imports point one way, and the engine does no IO: the contracts of pyproject.toml hold, and can fail."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = "layers"
NO_IO = "the engine does no IO and reads no clock"
SHARED = "the rules of a shared queue do no IO and read no clock"
STORE = "one module chooses the store of the durable queue"
RUN = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def contracts() -> list[dict[str, Any]]:
    """Return the contracts of pyproject.toml."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    found: list[dict[str, Any]] = tools["importlinter"]["contracts"]
    return found


def lint_imports(*options: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run import-linter as a program of its own: it imports and configures globally."""
    command = [sys.executable, "-c", RUN, "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    done = lint_imports()
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_module_has_a_layer() -> None:
    """A module that no contract names could import anything."""
    (layers,) = (contract["layers"] for contract in contracts() if contract["name"] == LAYERS)
    named = {name.strip().removeprefix("pyd2.") for layer in layers for name in layer.split("|")}
    present = {path.stem for path in (ROOT / "pyd2").iterdir()
               if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert present - {"__init__"} <= named


def test_the_engine_opens_no_file() -> None:
    """No import is needed for that, so no contract of imports sees it."""
    (sources,) = (contract["source_modules"] for contract in contracts() if contract["name"] == NO_IO)
    paths: list[Path] = []
    for root in (ROOT / name.replace(".", "/") for name in sources):
        paths += root.rglob("*.py") if root.is_dir() else [root.with_suffix(".py")]
    assert len(paths) > 60
    unwanted = {"open", "print", "input", "exec", "eval", "__import__"}
    used = {f"{path.relative_to(ROOT)}: {node.id}"
            for path in paths for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name) and node.id in unwanted}
    assert used == set()


def test_a_start_loads_nothing_of_what_is_not_asked_for() -> None:
    """The durable queue's database, hook libraries compiled for Kea, and the tools: loading takes time."""
    program = "import sys, pyd2.launch, pyd2.profiles.kea_2_6; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"sqlite3", "orjson", "dns", "ctypes", "dataclasses", "importlib.metadata", "h11", "platform",
                "random", "secrets", "hashlib", "hmac",
                "pyd2.hooks.handle", "pyd2.hooks.values", "pyd2.metrics.reading", "pyd2.profiles.kea_3_0",
                "pyd2.update.batch.batcher", "pyd2.update.model.batch_rules", "pyd2.update.model.policies",
                "pyd2.update.model.reasons", "pyd2.update.observing.requests",
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
                     "pyd2/queue/sqlite/stores.py", "pyd2/queue/sqlite/writer.py", "pyd2/config/tls.py",
                     "pyd2/history/writer.py", "pyd2/observe/writer.py", "pyd2/service.py",
                     "pyd2/hooks/gss/manager.py", "pyd2/web/worker.py"}


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


BREACHES = [
    ("pyd2/dns/upward.py", "import pyd2.cli\n", LAYERS),
    ("pyd2/update/clock.py", "import time\n", NO_IO),
    ("pyd2/update/sockets.py", "import socket\n", NO_IO),
    ("pyd2/packets/tls.py", "import ssl\n", NO_IO),
    ("pyd2/update/store.py", "import sqlite3\n", NO_IO),
    ("pyd2/update/sends.py", "from pyd2.net.wire_io import lib\n", LAYERS),
    ("pyd2/queue/shared/clock.py", "import time\n", SHARED),
    ("pyd2/queue/shared/client.py", "import pyd2.queue.nats\n", SHARED),
    ("pyd2/dns/reads.py", "from pyd2.regular import read_regular\n", NO_IO),
    ("pyd2/update/server/upward.py", "import pyd2.update.drive.driver\n", "the layers of the engine"),
    ("pyd2/update/unplaced.py", "", "the layers of the engine"),
    ("pyd2/hooks/python_chain.py", "import pyd2.hooks.kea.chain\n", "the layers of the hooks"),
    ("pyd2/queue/lifecycle.py", "import pyd2.queue.sqlite.store\n",
     "the durable queue knows its store by the interface only"),
    ("pyd2/web/reads_store.py", "import pyd2.queue.sqlite.store\n", STORE),
    ("pyd2/tools/moves_folder.py", "from pyd2.queue.sqlite import folder\n", STORE),
    ("pyd2/web/database.py", "import sqlite3\n", "the page and the tools know no database"),
    ("pyd2/service.py", "from pyd2.net.native import NativeDatagrams\n", "one module chooses the back end"),
]
"""Modules with a wrong import, and the contract that it breaks."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says of each contract, over a small package of the same names with all breaches."""
    folder = tmp_path_factory.mktemp("breaches")
    copy_package(folder, empty=True)
    ignored = [tuple(one.split(" -> ")) for each in contracts() for one in each.get("ignore_imports", ())]
    wrong = [(module, text) for module, text, _ in BREACHES]
    # import-linter wants that there is each import that a contract ignores.
    wrong += [(f"{importer.replace('.', '/')}.py", f"import {imported}\n") for importer, imported in ignored]
    for module, text in wrong:
        with (folder / module).open("a") as file:
            file.write(text)
    done = lint_imports(cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    parts = re.split(r"^(.+)\n-+$", done.stdout.partition("Broken contracts")[2], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("module", "contract"), [(module, contract) for module, _, contract in BREACHES])
def test_a_breach_is_found(complaints: dict[str, str], module: str, contract: str) -> None:
    assert Path(module).stem in complaints.get(contract, ""), complaints


def test_nothing_else_is_a_breach(complaints: dict[str, str]) -> None:
    assert complaints.keys() == {contract for _, _, contract in BREACHES}

"""The shape of the source tree: folders and modules stay small, and imports do not run in circles."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyd2"

MOST_MODULES = 20
"""In one folder, ``__init__.py`` not counted."""
MOST_LINES = 450
"""In one module."""

KNOWN_CIRCLE = {
    "pyd2.update.model.plan",
    "pyd2.update.model.transaction",
    "pyd2.update.server.lane",
}
"""A lane knows the transactions that wait for it, and a transaction its server: one graph of objects."""


TESTED_ELSEWHERE = {
    "explain": "tools/test_explain.py",
    "hooks/gss": "gss",
    "queries": "web/test_dns_now.py",
    "tools/channel": "tools/top",
    "tools/cluster": "cluster/test_command.py",
}
"""Packages whose tests are not in the folder of ``tests`` with their name, and where to begin instead."""


def modules(folder: Path) -> list[Path]:
    """Return the modules of a folder and of those below it."""
    return sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path, root: Path) -> str:
    """Return the dotted name of a module, with ``root`` as the parent of the package."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def imports(path: Path, known: set[str]) -> set[str]:
    """Return the modules that a module imports: anywhere in its text, and for types only, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found & known


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected groups of more than one module (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            group: list[str] = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def graph_of(package: Path) -> dict[str, set[str]]:
    """Return what each module of a package imports of it."""
    paths = {name_of(path, package.parent): path for path in modules(package)}
    return {name: imports(path, set(paths)) - {name} for name, path in paths.items()}


def test_no_folder_has_more_modules_than_one_sees_at_a_glance() -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in modules(PACKAGE):
        counts[str(path.parent.relative_to(ROOT))] += 1
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_no_module_is_too_long_to_read_in_one_go() -> None:
    paths = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]
    paths += [path for suffix in ("py", "c", "cc", "h") for path in (ROOT / "cbridge").rglob(f"*.{suffix}")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    del lengths["cbridge/include/pyd2_hook.h"]  # what the authors of hook libraries read, in one file
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_a_package_has_its_tests_in_a_folder_of_its_name() -> None:
    packages = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.glob("*/**/__init__.py")}
    assert TESTED_ELSEWHERE.keys() <= packages
    for package in packages:
        place = ROOT / "tests" / TESTED_ELSEWHERE.get(package, package)
        assert place.is_file() or any(place.glob("test_*.py")), f"pyd2/{package}: no tests in {place}"


def test_modules_do_not_depend_on_each_other_in_circles() -> None:
    assert [set(circle) for circle in circles(graph_of(PACKAGE))] == [KNOWN_CIRCLE]


@pytest.mark.parametrize(("texts", "expected"), [
    ({"a": "from made.b import x", "b": ""}, []),
    ({"a": "from made.b import x", "b": "import made.a"}, [["made.a", "made.b"]]),
    ({"a": "from made import b", "b": "if TYPE_CHECKING:\n    from made.a import X"}, [["made.a", "made.b"]]),
    ({"a": "def f():\n    import made.b", "b": "import made.c", "c": "from made.a import y"},
     [["made.a", "made.b", "made.c"]]),
])
def test_a_circle_is_found(tmp_path: Path, texts: dict[str, str], expected: list[list[str]]) -> None:
    package = tmp_path / "made"
    package.mkdir()
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    assert circles(graph_of(package)) == expected

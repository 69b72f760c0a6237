"""docs/architecture.md names functions and modules: each of them is where the page says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text()
LINK = re.compile(r"\[`([^`]+)`\]\(([^)]+)\)")
LINKS = sorted(set(LINK.findall(TEXT)))
FILE = re.compile(r"(?<!\[)`([\w-]+(?:/[\w.-]+)+|[\w.-]+\.(?:py|js|c|cc|h))`")
FILES = sorted(set(FILE.findall(TEXT)))
"""Files and folders that the page names without a link."""
HOMES = (ROOT, ROOT / "pyd2", ROOT / "pyd2" / "update")
"""Where such names begin."""


def defined(path: Path) -> set[str]:
    """Return the functions, classes and methods that a module defines, methods as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [member for member in node.body if isinstance(member, ast.FunctionDef)]
            found.update(f"{node.name}.{method.name}" for method in methods)
    return found


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_a_link_leads_to_what_it_names(name: str, target: str) -> None:
    path = (PAGE.parent / target).resolve()
    assert path.exists()
    if path.suffix == ".py" and not name.endswith((".py", path.parent.name)):
        assert name in defined(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_named_is_there(name: str) -> None:
    """A bare name is that of a module in the folder which the sentence is about."""
    is_bare = "/" not in name
    assert any((home / name).exists() for home in HOMES) or (is_bare and any(ROOT.glob(f"pyd2/**/{name}")))


@pytest.mark.parametrize("life", re.findall(r"^## (The life of .*)$", TEXT, re.MULTILINE))
def test_each_step_of_a_life_names_the_function_that_does_it(life: str) -> None:
    section = TEXT.partition(f"\n## {life}\n")[2].partition("\n## ")[0]
    steps = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert len(steps) > 4
    assert [step for step in steps if not LINK.search(step)] == []


def test_the_table_of_packages_has_all_of_them() -> None:
    section = TEXT.partition("\n## The packages\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    present = {path.stem for path in (ROOT / "pyd2").iterdir()
               if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert named == present - {"__init__", "__main__", "tools"}


def test_the_page_names_enough_to_find_the_way() -> None:
    assert len(LINKS) > 50

"""docs/architecture.md names functions and modules: each of them is where the page says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
LINK = re.compile(r"\[`([^`]+)`\]\(([^)]+)\)")
LINKS = sorted(set(LINK.findall(PAGE.read_text())))


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


def test_the_page_names_enough_to_find_the_way() -> None:
    assert len(LINKS) > 50

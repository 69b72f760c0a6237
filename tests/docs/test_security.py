"""Every test and every constant that the page on security names is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
CONSTANTS = re.findall(r"`(pyd2(?:\.\w+)+)\.([A-Z_]+)`", PAGE)
# The tests of a sentence stand before the file that has them.
NAMED = re.findall(r"((?:`test_\w+`[^`]*)+)`((?:\w+/)?test_\w+\.py)`", PAGE)


@pytest.mark.parametrize(("module", "name"), CONSTANTS)
def test_constants(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) > 0


@pytest.mark.parametrize(("names", "file"), NAMED, ids=[file for _, file in NAMED])
def test_tests(names: str, file: str) -> None:
    text = (ROOT / "tests" / file).read_text()
    for name in re.findall(r"`(test_\w+)`", names):
        assert f"def {name}(" in text


def test_none_was_overlooked() -> None:
    found = sum(len(re.findall(r"`test_\w+`", names)) for names, _ in NAMED)
    assert found == len(re.findall(r"`test_\w+`", PAGE))
    assert len(CONSTANTS) == len(re.findall(r"`pyd2\.", PAGE))

"""One word, one meaning: the glossary of docs/architecture.md, kept by code, comments, messages and docs.

The last column of the glossary says which words a term replaces. This test reads them from there and looks
for them in all that the project writes.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "architecture.md"
OWNER = re.compile(r"\[`?([^\]`]+)`?\]\(\.\./([^)]+)\)")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

FOLDERS = ("pyd2", "cbridge", "docs", "benchmarks", "devtools", "examples", "contrib", "tests")
SUFFIXES = {".py", ".c", ".h", ".cc", ".md", ".toml", ".service"}

NOT_OURS = {
    "docs/contract.md": "it quotes the real server",
    "docs/contract-3.0.md": "it quotes the real server",
    "tests/docs/test_words.py": "it names the retired words",
}
"""Files that are not read, and why."""

OTHER_MEANING = {
    "journal": re.compile(r"systemd|journal(ctl|d|_mode|_size_limit|-db)|-journal\b|rollback", re.IGNORECASE),
    "mail": re.compile(r'"kern": 0'),
    "letter": re.compile(r"dead[ _-]?letter|letter case|capital|upper|lower", re.IGNORECASE),
}
"""Lines on which a retired word means what everybody means by it."""


class Term(NamedTuple):
    """A row of the glossary."""

    word: str
    meaning: str
    owner: str
    """The module that owns the term, from the root of the project."""
    retired: tuple[str, ...]
    """Words and phrases that the term replaces."""


@cache
def parts() -> tuple[str, str]:
    """Return the page of the glossary: the glossary, and all else."""
    before, rest = GLOSSARY.read_text().split("\n## Glossary\n", 1)
    table, *after = rest.split("\n## ", 1)
    return table, before + "".join(after)


@cache
def glossary() -> tuple[Term, ...]:
    """Return the rows of the glossary."""
    rows = [line.strip("|").split("|") for line in parts()[0].splitlines() if line.startswith("| ")][1:]
    return tuple(_term([cell.strip() for cell in row]) for row in rows)


def _term(row: list[str]) -> Term:
    word, meaning, owner, retired = row
    link = OWNER.fullmatch(owner)
    assert link is not None, f"{word}: {owner} is no link to a module"
    return Term(word, meaning, link[2], tuple(re.findall(r"`([^`]+)`", retired)))


@cache
def files() -> list[Path]:
    """Return what is searched."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    found += [ROOT / name for name in ("README.md", "CHANGELOG.md", "setup.py", "pyproject.toml", "dev")]
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in NOT_OURS
                  and not {"build", "__pycache__", "headers"} & set(path.parts))


@cache
def text_of(path: Path) -> str:
    """Return the text of a file, without the glossary itself."""
    return parts()[1] if path == GLOSSARY else path.read_text()


@cache
def split_names(text: str) -> str:
    """Return a text with the parts of names such as ``DnsServer`` apart."""
    return CAMEL.sub("_", text)


@cache
def pattern(retired: str) -> re.Pattern[str]:
    """Return what finds a retired word as a part of a name, or a phrase in a text; its plural, too."""
    words = r"[\s_]+".join(map(re.escape, retired.split()))
    return re.compile(rf"(?<![A-Za-z]){words}s?(?![A-Za-z])", re.IGNORECASE)


def finds(text: str, retired: str) -> list[int]:
    """Return the numbers of the lines that use a retired word."""
    exempt = OTHER_MEANING.get(retired)
    split = split_names(text)
    if not pattern(retired).search(split):
        return []
    lines = enumerate(zip(text.splitlines(), split.splitlines(), strict=True), start=1)
    return [number for number, (line, apart) in lines
            if pattern(retired).search(apart) and not (exempt and exempt.search(line))]


def test_each_term_links_to_the_module_that_owns_it() -> None:
    missing = [term.word for term in glossary() if not (ROOT / term.owner).is_file()]
    assert missing == []


def test_no_term_is_listed_twice() -> None:
    words = [term.word.lower() for term in glossary()]
    assert sorted(set(words)) == sorted(words)


@pytest.mark.parametrize("retired", sorted({word for term in glossary() for word in term.retired}))
def test_a_retired_word_is_not_used(retired: str) -> None:
    found = [f"{path.relative_to(ROOT)}:{number}" for path in files()
             for number in finds(text_of(path), retired)]
    assert found == []


@pytest.mark.parametrize(("text", "retired", "found"), [
    ("self._errand = 1", "errand", True),
    ("class ErrandRunner:", "errand", True),
    ("MAX_ERRANDS = 3", "errand", True),
    ("lateral errandless", "errand", False),
    ("It stands  in the way", "stands in", True),
    ("a dead letter", "letter", False),
    ("letters[0].slot", "letter", True),
])
def test_words_are_found_in_names_and_texts(text: str, retired: str, *, found: bool) -> None:
    assert bool(finds(text, retired)) is found

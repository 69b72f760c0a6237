"""The page and its files: what they may load, and what a text in them can do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyd2.web.files import Files

STATIC = Path(__file__).parents[2] / "pyd2" / "web" / "static"
STATUS = {
    "version": "1", "kea": "2.6.3", "requests": {"received": 3, "done": 1},
    "problems": [{"text": "<script>alert(1)</script>", "mend": "$nothing & \"more\"", "view": "overview"}],
}  # fmt: skip
LOADED = re.compile(r"""(?:src|href)="([^"]+)"|from "([^"]+)"|fetch\([`"]([^`"$]+)|EventSource\("([^"]+)""")


def text_of(files: Files, **options: bool) -> str:
    body = files.page(STATUS, operate=options.get("operate", False), role="read").body
    assert isinstance(body, tuple)
    return b"".join(body).decode()


def test_texts_in_the_page_are_escaped() -> None:
    text = text_of(Files())
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "$nothing &amp; &quot;more&quot;" in text
    assert "<dt>received</dt><dd>3</dd>" in text


def test_only_an_operator_gets_the_buttons() -> None:
    assert 'data-role="read"' in text_of(Files())
    assert 'data-operate="no"' in text_of(Files())
    assert 'data-operate="yes"' in text_of(Files(), operate=True)


def test_without_problems_it_says_so() -> None:
    body = Files().page({**STATUS, "problems": []}, operate=False, role="all").body
    assert isinstance(body, tuple)
    assert b"No problem is known." in body[0]


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_comes_from_outside_and_nothing_is_inline(path: Path) -> None:
    text = path.read_text()
    loaded = {next(filter(None, found)) for found in LOADED.findall(text)}
    for name in loaded:
        assert name.startswith(("#", "api/v1/", "./")) or (STATIC / name).is_file(), name
        assert name == "./" or (STATIC / name.removeprefix("./")).is_file() or not name.startswith("./"), name
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " style=",
        "onclick=",
        "localStorage",
        "sessionStorage",
        "document.cookie",
    ):
        assert word not in text, word
    assert len(text.splitlines()) < 200


def test_every_file_has_its_headers() -> None:
    files = Files()
    assert {"page.js", "page.css", "icon.svg"} <= set(files.names)
    assert "index.html" not in files.names
    for name in files.names:
        response = files.source(name)(None)  # type: ignore[arg-type]  # it looks at nothing
        headers = dict(response.headers)  # type: ignore[union-attr]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"

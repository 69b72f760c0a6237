"""The page and its files, read from the package once; the overview is in the page without any script."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from pyd2.control.http_pages import page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.control.http_pages import Source
    from pyd2.control.http_response import Response

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
"""Nothing from outside, and no text that becomes a script or a style."""
_HEADERS: Final = (("Content-Security-Policy", _POLICY),)
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE: Final = "index.html"
_SERVED: Final = frozenset({".html", *(f".{ending}" for ending in _TYPES)})


class Files:
    """The files of ``pyd2/web/static``."""

    def __init__(self) -> None:
        folder = Path(__file__).parent / "static"
        found = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.suffix in _SERVED}
        self._template: Final = Template(found.pop(_PAGE).decode())
        self._files: Final = found
        self.names: Final = tuple(found)

    def source(self, name: str) -> Source:
        """Return what answers with a file."""
        content_type = f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
        response = page(content_type, (self._files[name],), headers=_HEADERS)
        return lambda _: response

    def page(self, status: dict[str, Any], *, operate: bool, role: str) -> Response:
        """Return the page with the overview in it, for a client with a role."""
        text = self._template.substitute(
            operate="yes" if operate else "no",
            role=escape(role),
            version=escape(status["version"]),
            kea=escape(status["kea"]),
            requests="".join(_terms(status["requests"])),
            problems="".join(_problems(status)),
        )
        return page("text/html; charset=utf-8", (text.encode(),), headers=_HEADERS)


def _terms(counts: dict[str, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{count}</dd></div>"


def _problems(status: dict[str, Any]) -> Iterator[str]:
    for problem in status["problems"]:
        yield f"<li><p>{escape(problem['text'])}</p><p>{escape(problem['mend'])}</p></li>"
    if not status["problems"]:
        yield "<li>No problem is known.</li>"

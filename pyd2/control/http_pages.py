"""What an HTTP control socket shows by GET, if its ``user-context`` says so.

Whoever may send a command may read the pages, whatever the role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.control.http_response import Response, refusal

if TYPE_CHECKING:
    from pyd2.control.http_head import Head
    from pyd2.control.http_later import Awaited

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""The headers of every page."""


class PageRequest(NamedTuple):
    """A GET of a client that may see pages."""

    path: str
    query: str
    """What follows the question mark."""
    headers: Mapping[str, str]
    """By names in lower case."""
    role: str
    """What the client may do: a name of ``roles``."""


Source: TypeAlias = Callable[[PageRequest], "Response | Awaited"]
"""Makes a page, see ``page``."""


def page(content_type: str, parts: tuple[bytes, ...] | None, status: int = 200,
         headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the response with a page, of which ``headers`` replace those of every page."""
    return Response(status, parts, (*_HEADERS, ("Content-Type", content_type), *headers))


class HttpPages:
    """The pages of one socket, by path; that of ``/a/*`` has all paths with one more part than ``/a``."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def respond(self, head: Head, role: str) -> Response | Awaited:
        """Return the response to a GET of a client that may see pages."""
        path, _, query = head.target.partition("?")
        source = self._sources.get(path) or self._sources.get(f"{path.rpartition('/')[0]}/*")
        return refusal(404) if source is None else source(PageRequest(path, query, head.headers, role))

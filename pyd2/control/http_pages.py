"""What an HTTP control socket shows by GET, if its ``user-context`` says so.

Whoever may send a command may read the pages, whatever the role. A page must not be read through a browser by
a site on the web: the browser says where a request comes from, and a name that an attacker has made lead to
this address is not among those that are known (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.control.http_response import Response, refusal

if TYPE_CHECKING:
    from pyd2.config.switches import PageSwitches
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

    def __init__(self, switches: PageSwitches, sources: Mapping[str, Source]) -> None:
        self._hosts = frozenset({"localhost", *switches.web_hosts})
        self._sources = sources

    def respond(self, head: Head, role: str) -> Response | Awaited:
        """Return the response to a GET of a client that may see pages."""
        refused = self.refused(head)
        if refused is not None:
            return refused
        path, _, query = head.target.partition("?")
        source = self._sources.get(path) or self._sources.get(f"{path.rpartition('/')[0]}/*")
        return refusal(404) if source is None else source(PageRequest(path, query, head.headers, role))

    def refused(self, head: Head) -> Response | None:
        """Return the refusal of a request that a browser makes for another site; None: it is none."""
        if not self._is_known(head.headers.get("host", "")):
            return refusal(421)
        if head.headers.get("sec-fetch-site", "").lower() == "cross-site":
            return refusal(403)
        return None

    def _is_known(self, host: str) -> bool:
        """Whether the header Host has an address or a known name; a client without it is no browser."""
        if not host:
            return True
        name = host.lower().strip()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name.removesuffix(".") in self._hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

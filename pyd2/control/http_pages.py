"""What an HTTP control socket shows by GET, if its ``user-context`` says so.

Whoever may send a command may read the pages, whatever the role. A page must not be read through a browser by
a site on the web: the browser says where a request comes from, and a name that an attacker has made lead to
this address is not among those that are known (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from pyd2.control.http_response import Response, refusal

if TYPE_CHECKING:
    from pyd2.config.switches import PageSwitches
    from pyd2.control.http_head import Head

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""The headers of every page."""


Source: TypeAlias = Callable[["Mapping[str, str]"], tuple[str, tuple[bytes, ...]]]
"""Makes a page: its content type, and its octets in parts. Gets the headers, by names in lower case."""


class HttpPages:
    """The pages of one socket, by path."""

    def __init__(self, switches: PageSwitches, sources: Mapping[str, Source]) -> None:
        self._hosts = frozenset({"localhost", *switches.web_hosts})
        self._sources = sources

    def respond(self, head: Head) -> Response:
        """Return the response to a GET of a client that may see pages."""
        if not self._is_known(head.headers.get("host", "")):
            return refusal(421)
        if head.headers.get("sec-fetch-site", "").lower() == "cross-site":
            return refusal(403)
        source = self._sources.get(head.target.partition("?")[0])
        if source is None:
            return refusal(404)
        content_type, parts = source(head.headers)
        return Response(200, parts, (*_HEADERS, ("Content-Type", content_type)))

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

"""Responses over HTTP, to the byte as Kea 3.0 writes them (its contract, section 8)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.data.element import Element
from pyd2.data.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

PHRASES: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
"""Kea's, and 413, 421 and 431, which only pyd2 sends."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Response(NamedTuple):
    """A response, without what the server adds to each."""

    status: int
    body: Element | tuple[bytes, ...] | None
    """JSON, null for none; or the parts of a page, which names its type in ``headers``. None: it follows, and
    ends with the connection.
    """
    headers: tuple[tuple[str, str], ...] = ()

    def brief(self, version: tuple[int, int]) -> str:
        """Return the status line for a request of that version, as messages show it."""
        major, minor = version if version in {(1, 0), (1, 1)} else (1, 0)
        return f"HTTP/{major}.{minor} {self.status} {PHRASES.get(self.status, 'Unknown')}"

    def octets(self, version: tuple[int, int]) -> bytes:
        """Return the response to a request of that version, as far as it is there."""
        parts = self.body
        if isinstance(parts, Element):
            text = "" if parts.value is None else to_text(parts)
            parts = (text.encode("utf-8", "surrogateescape"),)
        # Kea keeps headers in a map: a later one replaces one of the same name, and all are sorted.
        headers = {"content-type": ("Content-Type", "application/json")}
        headers |= {name.lower(): (name, value) for name, value in self.headers}
        if parts is None:
            headers["connection"] = ("Connection", "close")
        else:
            headers["content-length"] = ("Content-Length", str(sum(map(len, parts))))
        headers["date"] = ("Date", http_date(time.time()))
        lines = [self.brief(version), *(f"{name}: {value}" for _, (name, value) in sorted(headers.items()))]
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        return b"".join((head, *(parts or ())))


def refusal(status: int, *headers: tuple[str, str]) -> Response:
    """Return the response of a status other than 200: its body is a map, not a list."""
    body = Element({"result": Element(status), "text": Element(PHRASES[status])})
    return Response(status, body, headers)


def answer(element: Element) -> Response:
    """Return the response with the answer to a command: a list of one, as from a control agent."""
    return Response(200, element if isinstance(element.value, list) else Element([element]))


def challenge(realm: str) -> Response:
    """Return the response to a client that is not authenticated (RFC 7617)."""
    quoted = "".join(f"\\{char}" if char in '"\\' else char for char in in_header(realm))
    return refusal(401, ("WWW-Authenticate", f'Basic realm="{quoted}"'))


def in_header(text: str) -> str:
    """Return a text without the control characters that would end a header; all other octets stay."""
    return "".join(char for char in text if " " <= char != "\x7f")


def with_headers(response: Response, headers: Iterable[tuple[str, str]]) -> Response:
    """Return the response with headers of the configuration, which come first: its own replace them."""
    return response._replace(headers=(*headers, *response.headers))


def http_date(at: float) -> str:
    """Return a time in the form of the header Date (RFC 9110, section 5.6.7)."""
    then = time.gmtime(at)
    day = f"{_DAYS[then.tm_wday]}, {then.tm_mday:02} {_MONTHS[then.tm_mon - 1]} {then.tm_year}"
    return f"{day} {then.tm_hour:02}:{then.tm_min:02}:{then.tm_sec:02} GMT"

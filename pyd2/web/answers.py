"""Answers of the API: JSON, errors, and the parameters of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from pyd2.control.http_pages import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.control.http_response import Response

MOST: Final = 500
"""Entries of one answer at most."""
USUAL: Final = 50
_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 512
"""Characters of a parameter: a domain name has 255 octets at most, some of which may be escaped."""
_STATUS: Final = {
    "bad-request": 400,
    "forbidden": 403,
    "not-found": 404,
    "no-history": 404,
    "busy": 503,
    "too-slow": 503,
    "unreadable": 503,
}
"""The status of each kind of error."""


class ApiError(Exception):
    """The request cannot be answered: ``code`` says it to programs, the text to people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def response(self) -> Response:
        """The response that says so."""
        return json_response({"error": {"code": self.code, "text": str(self)}}, _STATUS[self.code])


def json_text(value: Any) -> bytes:  # noqa: ANN401  anything that JSON has
    """Return a value as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # octets that are no UTF-8, in the name of a file
        return json.dumps(value).encode()


def json_response(value: Any, status: int = 200) -> Response:  # noqa: ANN401  anything that JSON has
    """Return the response with a value."""
    return page("application/json", (json_text(value),), status)


def parameters(query: str, known: Mapping[str, int | str]) -> dict[str, Any]:
    """Return the parameters of a request: those that are ``known``, whose values are the defaults.

    A number is in the range of an ID; the ``limit`` is 1 to MOST. Raises ApiError.
    """
    found: dict[str, Any] = dict(known)
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=20, errors="strict"
        )
    except ValueError:
        raise ApiError("bad-request", "the parameters cannot be read") from None
    for name, value in pairs:
        if name not in known:
            raise ApiError("bad-request", f"there is no parameter {name[:_LONGEST]!r}; {_listed(known)}")
        found[name] = _number(name, value) if isinstance(known[name], int) else _text(name, value)
    return found


def _listed(known: Mapping[str, int | str]) -> str:
    return f"there are {', '.join(known)}" if known else "there are none"


def _text(name: str, value: str) -> str:
    if len(value) > _LONGEST or "\0" in value:
        raise ApiError("bad-request", f"{name} must have at most {_LONGEST} characters, and no NUL")
    return value


def _number(name: str, value: str) -> int:
    least, most = (1, MOST) if name == "limit" else (0, _LARGEST)
    if not (value.isascii() and value.isdecimal() and len(value) < 20 and least <= int(value) <= most):
        raise ApiError("bad-request", f"{name} must be a number from {least} to {most}")
    return int(value)

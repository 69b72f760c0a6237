"""Checks of the values that libraries give to the server, made where the library's author sees the error."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, cast

from pyd2.data.element import BigInteger, Element
from pyd2.errors import HookError
from pyd2.hooks.keys import TsigKey
from pyd2.hooks.points import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningKey

DEEPEST: Final = 100
"""Levels of maps and lists in a JSON value: more than Kea's own parser accepts."""

_INT64: Final = 1 << 63
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_OWN_HEADERS: Final = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding"})


def to_element(value: object, depth: int = 0) -> Element:
    """Return the element of a plain JSON value (dict, list or tuple, str, int, float, bool, None).

    Raises HookError for what JSON cannot hold, and for nesting beyond ``DEEPEST`` levels.
    """
    if depth > DEEPEST:
        raise HookError(f"a JSON value must not be nested more than {DEEPEST} levels deep")
    if value is None or isinstance(value, bool):
        return Element(value)
    if isinstance(value, str):
        return Element(_text(value))
    if isinstance(value, int):
        return Element(int(value) if -_INT64 <= value < _INT64 else BigInteger(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise HookError(f"{value} is no JSON number")
        return Element(float(value))
    if isinstance(value, dict):
        return Element({_key(key): to_element(item, depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Element([to_element(item, depth + 1) for item in value])
    raise HookError(f"{type(value).__name__} is no JSON type")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise HookError(f"the keys of a JSON map must be str, not {type(key).__name__}")
    return _text(key)


def is_text(text: str) -> bool:
    """Say whether a str can be encoded: surrogates other than those of ``surrogateescape`` cannot."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: object) -> str:
    """Return a library's text as one line, for a message of the log."""
    return " ".join(str(text).splitlines())


def _text(text: str) -> str:
    if not is_text(text):
        raise HookError(f"{text!r} cannot be written as UTF-8")
    return str(text)


def _json(value: object) -> Element | None:
    return None if value is None else to_element(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise HookError(f"a str is expected, not {type(value).__name__}")
    return _text(value)


def _signing_key(value: object) -> SigningKey | None:
    if value is None or type(value) is TsigKey:
        return value
    fit = (
        callable(getattr(value, "create_context", None))
        and isinstance(getattr(value, "name", None), str)
        and isinstance(getattr(value, "algorithm", None), str)
    )
    if not fit:
        raise HookError(f"a signing key or None is expected, not {type(value).__name__}")
    return cast("SigningKey", value)


def _members(value: object, what: str, kinds: dict[str, type]) -> dict[str, Element]:
    """Return the members of a map that may have those of ``kinds``, each with a value of its class."""
    if not isinstance(value, dict):
        raise HookError(f"{what} is a dict, not {type(value).__name__}")
    members = to_element(value).map_value()
    for name, item in members.items():
        if name not in kinds:
            raise HookError(f"{what} has no member {name}; it has {', '.join(kinds)}")
        if not isinstance(item.value, kinds[name]):
            raise HookError(f"the member {name} of {what} must be a {kinds[name].__name__}")
    return members


_REQUEST: Final[dict[str, type]] = {
    "method": str, "path": str, "version": str, "headers": dict, "body": object, "remote-address": str,
    "user": str, "tls": bool,
}
_RESPONSE: Final[dict[str, type]] = {"status": int, "headers": dict, "body": object}


def _http_request(value: object) -> Element:
    members = _members(value, "an HTTP request", _REQUEST)
    missing = [name for name in _REQUEST if name not in members]
    if missing:
        raise HookError(f"the HTTP request lacks {', '.join(missing)}: change what get_argument returns")
    return Element(members)


def _http_response(value: object) -> Element | None:
    if value is None:
        return None
    members = _members(value, "an HTTP response", _RESPONSE)
    if "status" not in members or "body" not in members:
        raise HookError("an HTTP response has a status and a body")
    status = members["status"].value
    if type(status) is not int or not 200 <= status <= 599 or status in {204, 304}:
        raise HookError(f"{status} is no status of an HTTP response: 200 to 599, and neither 204 nor 304")
    headers = members.setdefault("headers", Element({})).map_value()
    for name, item in headers.items():
        if not _TOKEN.fullmatch(name):
            raise HookError(f"{name!r} is no name of an HTTP header")
        if name.lower() in _OWN_HEADERS:
            raise HookError(f"the server sets the HTTP header {name} itself")
        if not isinstance(item.value, str) or _CONTROL.search(item.value):
            raise HookError(f"the HTTP header {name} must be a str without control characters")
    return Element(members)


def _any(value: object) -> object:
    return value


ACCEPT: Final[dict[Kind | None, Callable[[object], object]]] = {
    Kind.JSON: _json,
    Kind.TEXT: _string,
    Kind.KEY: _signing_key,
    Kind.HTTP_REQUEST: _http_request,
    Kind.HTTP_RESPONSE: _http_response,
    Kind.OBJECT: _any,
    None: _any,
}
"""For each kind of argument, what turns a library's value into the server's; HookError if it is unfit."""

"""A control socket of the type ``http`` or ``https``, in Kea's order of checks (kea-dhcp-ddns 3.0)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.config.addresses import parse_address
from pyd2.config.model import HttpSocket, TlsFiles
from pyd2.config.sockets.authentication import parse_authentication
from pyd2.config.switches import parse_pages
from pyd2.config.values import invalid_type, reason
from pyd2.data.element import Element, sorted_items
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.addresses import Address
    from pyd2.config.model import Authentication

DEFAULT_ADDRESS: Final = IPv4Address("127.0.0.1")
DEFAULT_PORT: Final = 8000
DEFAULT_REALM: Final = "kea-dhcp-ddns-server"
_PORTS: Final = range(65536)
_TLS_KEYS: Final = ("trust-anchor", "cert-file", "key-file")
_HEADER_TYPES: Final = {"name": "string", "value": "string", "user-context": "map"}

_Scalar = TypeVar("_Scalar", str, int, bool)


def http_socket(entry: Element, kind: str, read_secret: Callable[[str], str]) -> HttpSocket:
    """Return the socket of a map; its element has the defaults that Kea adds.

    ``kind`` is ``http`` or ``https``. Raises ConfigError.
    """
    if entry.get("socket-name") is not None:
        raise ConfigError(f"parameter 'socket-name' is not supported by {kind.upper()} control sockets")
    address = _address(entry.get("socket-address"))
    port = _port(entry.get("socket-port"))
    headers = _headers(entry.get("http-headers"))
    authentication, element = _authentication(entry, read_secret)
    tls = _tls(entry, required=kind == "https")
    pages = parse_pages(entry.get("user-context"))
    return HttpSocket(address, port, tls, authentication, headers, element, pages)


def _scalar(entry: Element, name: str, default: _Scalar) -> _Scalar:
    """Return a member of the type of its default. Raises ConfigError."""
    element = entry.get(name)
    if element is None:
        return default
    value = element.value
    if type(value) is not type(default):
        raise invalid_type(element, name)
    return value


def _address(element: Element | None) -> Address:
    if element is None:
        return DEFAULT_ADDRESS
    if not isinstance(element.value, str):
        raise invalid_type(element, "socket-address")
    try:
        return parse_address(element.value)
    except ConfigError as error:
        raise ConfigError(
            f"failed to convert '{element.value}' to address: {reason(error)} ({element.position})"
        ) from None


def _port(element: Element | None) -> int:
    if element is None:
        return DEFAULT_PORT
    port = element.value
    if type(port) is not int:
        raise invalid_type(element, "socket-port")
    if port not in _PORTS:
        raise ConfigError(
            f"out of range value {port} specified for parameter 'socket-port' ({element.position})"
        )
    return port


def _headers(headers: Element | None) -> tuple[tuple[str, str], ...]:
    """Return the ``http-headers``, which only a command can have."""
    if headers is None:
        return ()
    if not isinstance(headers.value, list):
        raise invalid_type(headers, "http-headers")
    return tuple(map(_header, headers.value))


def _header(header: Element) -> tuple[str, str]:
    if not isinstance(header.value, dict):
        raise ConfigError(f"invalid type specified for 'http-headers' item ({header.position})")
    spurious = ""
    for name, element in sorted_items(header.value):
        if name not in _HEADER_TYPES:
            spurious = spurious or name
        elif element.type_name != _HEADER_TYPES[name]:
            raise ConfigError(f"'{name}' parameter is not a {_HEADER_TYPES[name]}")
    if spurious:
        raise ConfigError(f"spurious '{spurious}' parameter")
    texts = []
    for name in ("name", "value"):
        if name not in header.value:
            raise ConfigError(f"missing '{name}' parameter")
    for name in ("name", "value"):
        element = header.value[name]
        text = element.string_value()
        if not text:
            raise ConfigError(f"empty '{name}' parameter ({element.position})")
        if any(ord(char) < ord(" ") for char in text):
            raise ConfigError(f"'{name}' must not contain control characters ({element.position})")
        texts.append(text)
    return texts[0], texts[1]


def _authentication(
    entry: Element, read_secret: Callable[[str], str]
) -> tuple[Authentication | None, Element]:
    """Return the authentication, and the socket's map with the defaults that Kea adds to it."""
    given = entry.get("authentication")
    if given is None:
        return None, entry
    if not isinstance(given.value, dict):
        raise invalid_type(given, "authentication")
    defaults = {"type": Element("basic"), "realm": Element(DEFAULT_REALM)}
    filled = Element(defaults | given.value, given.position)
    members = {**entry.map_value(), "authentication": filled}
    return parse_authentication(filled, read_secret), Element(members, entry.position)


def _tls(entry: Element, *, required: bool) -> TlsFiles | None:
    """Return the settings of TLS; None without any, where they are not ``required``."""
    anchor, cert, key = (_scalar(entry, name, "") for name in _TLS_KEYS)
    cert_required = _scalar(entry, "cert-required", True)  # noqa: FBT003  it is the default
    if not (anchor or cert or key):
        if required:
            raise ConfigError("no TLS setup for a HTTPS control socket")
        return None
    for name, value in zip(_TLS_KEYS, (anchor, cert, key), strict=True):
        if not value:
            raise ConfigError(
                f"{name} parameter is missing or empty: all or none of TLS parameters must be set"
            )
    return TlsFiles(anchor, cert, key, cert_required)

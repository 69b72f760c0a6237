"""What a new configuration changes in the one that runs: a line for each value, without secrets."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from pyd2.config.defaults import with_defaults
from pyd2.config.model import OutputOption
from pyd2.config.redact import redact
from pyd2.config.sockets.http_socket import DEFAULT_REALM
from pyd2.data.element import Element
from pyd2.data.secrets import HIDDEN, is_secret_name
from pyd2.data.text import to_text
from pyd2.errors import without_secrets
from pyd2.update.model.zones import fold, with_final_dot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.config.defaults import Defaults

_OUTPUT: Final = OutputOption("")
_DEFAULTS: Final = {
    "hostname": "", "key-name": "", "digest-bits": 0, "debuglevel": 0, "flush": _OUTPUT.flush,
    "maxsize": _OUTPUT.maxsize, "maxver": _OUTPUT.maxver, "pattern": _OUTPUT.pattern, "realm": DEFAULT_REALM,
    "socket-address": "127.0.0.1", "socket-port": 8000, "cert-required": True, "directory": "",
}
"""Values of members that one of the two may leave out, beside those of the profile."""
_ADDRESSES: Final = frozenset({"ip-address", "socket-address"})
_KEYWORDS: Final = frozenset({"ncr-protocol", "ncr-format"})
_FILES: Final = frozenset({"library", "output", "socket-name"})
"""Members whose values may be bare names of files in a usual directory."""
_ORDERED: Final = frozenset({"dns-servers", "hooks-libraries"})
"""Lists whose order has a meaning."""


def difference(running: Element, new: Element, defaults: Defaults) -> list[str]:
    """Return how a new DhcpDdns map differs from the one that config-get shows of a daemon.

    ``+`` is new, ``-`` gone, ``~`` changed, and ``?`` cannot be compared. Defaults that either of them leaves
    out are no difference. Raises ElementTypeError for a map that no
    daemon would take.
    """
    old, filled = with_defaults(running, defaults), with_defaults(new, defaults)
    return [*_maps((), _Pair(old, redact(old)), _Pair(filled, redact(filled)))]


def differ(old: Element, new: Element) -> bool:
    """Say whether two maps of a configuration differ; what the daemon hides is no difference."""
    lines = _maps((), _Pair(old, None), _Pair(new, None))
    return any(not line.startswith("?") for line in lines)


class _Pair:
    """A value, and what may be shown of it."""

    __slots__ = ("real", "shown")

    def __init__(self, real: Element, shown: Element | None) -> None:
        self.real = real
        self.shown = shown

    def member(self, name: str) -> _Pair | None:
        assert isinstance(self.real.value, dict)
        if name not in self.real.value:
            return None
        shown = None
        if not is_secret_name(name) and self.shown is not None and isinstance(self.shown.value, dict):
            shown = self.shown.value.get(name)
        return _Pair(self.real.value[name], shown)

    def entries(self, identity: Callable[[Element], str]) -> dict[str, _Pair]:
        """Return the entries of a list by what names them."""
        assert isinstance(self.real.value, list)
        shown: list[Element | None] = [None] * len(self.real.value)
        if self.shown is not None and isinstance(self.shown.value, list):
            shown = [*self.shown.value]
        return {identity(entry): _Pair(entry, hidden)
                for entry, hidden in zip(self.real.value, shown, strict=True)}

    def __str__(self) -> str:
        return HIDDEN if self.shown is None else without_secrets(to_text(_without_defaults(self.shown)))


def _maps(path: tuple[str, ...], old: _Pair, new: _Pair) -> Iterator[str]:
    assert isinstance(old.real.value, dict)
    assert isinstance(new.real.value, dict)
    for name in sorted({**old.real.value, **new.real.value}):
        yield from _members(path, name, old.member(name), new.member(name))


def _members(path: tuple[str, ...], name: str, old: _Pair | None, new: _Pair | None) -> Iterator[str]:
    here = (*path, name)
    if old is None or new is None:
        there = old or new
        if there and not _says_nothing(name, there.real):
            yield f"{'+' if old is None else '-'} {_text(here)}: {there}"
        return
    kinds = old.real.type_name, new.real.type_name
    if kinds == ("map", "map") and name != "parameters":
        yield from _maps(here, old, new)
    elif kinds == ("list", "list") and name in _IDENTITIES:
        yield from _lists(path, name, old, new)
    elif is_secret_name(name) and old.real.value == HIDDEN:
        yield f"? {_text(here)} (not compared: the daemon hides it)"
    elif not _same(name, old.real, new.real):
        hidden = " (not shown: it is secret)" if str(old) == str(new) else f": {old} -> {new}"
        yield f"~ {_text(here)}{hidden}"


def _lists(path: tuple[str, ...], name: str, old: _Pair, new: _Pair) -> Iterator[str]:
    before, after = old.entries(_IDENTITIES[name]), new.entries(_IDENTITIES[name])
    for identity in {**before, **after}:
        here = (*path, f"{name} {identity}")
        if identity not in before:
            yield f"+ {_text(here)}: {after[identity]}"
        elif identity not in after:
            yield f"- {_text(here)}: {before[identity]}"
        else:
            yield from _maps(here, before[identity], after[identity])
    orders = [[identity for identity in one if identity in other]
              for one, other in ((before, after), (after, before))]
    if name in _ORDERED and orders[0] != orders[1]:
        yield f"~ {_text((*path, name))}: their order: {', '.join(orders[0])} -> {', '.join(orders[1])}"


def _text(path: tuple[str, ...]) -> str:
    return " > ".join(path)


def _says_nothing(name: str, value: Element) -> bool:
    """Say whether a value means the same as its absence."""
    if isinstance(value.value, list | dict):
        inner = value.value.values() if isinstance(value.value, dict) else value.value
        return all(isinstance(item.value, list | dict) and _says_nothing("", item) for item in inner)
    return name in _DEFAULTS and value.value == _DEFAULTS[name]


def _without_defaults(element: Element) -> Element:
    """Return a value without the members that say nothing, for the reader."""
    if isinstance(element.value, list):
        return Element([_without_defaults(item) for item in element.value])
    if not isinstance(element.value, dict):
        return element
    return Element({name: _without_defaults(item) for name, item in element.value.items()
                    if name not in _DEFAULTS or not _says_nothing(name, item)})


def _same(name: str, old: Element, new: Element) -> bool:
    if to_text(old) == to_text(new):
        return True
    before, after = old.value, new.value
    if not (isinstance(before, str) and isinstance(after, str)):
        return False
    if name in _ADDRESSES:
        return _address(before) == _address(after)
    if name in _KEYWORDS:
        return before.upper() == after.upper()
    if name in _FILES and "/" not in min(before, after, key=len):
        return _file(before) == _file(after)
    return False


def _address(text: str) -> object:
    try:
        return ip_address(text)
    except ValueError:
        return text


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _of(entry: Element, name: str) -> str:
    """Return a member of an entry as a text; empty if there is none, or the entry is no map."""
    value = entry.value.get(name) if isinstance(entry.value, dict) else None
    return "" if value is None else str(value.value)


def _socket(entry: Element) -> str:
    kind = _of(entry, "socket-type")
    if kind == "unix":
        return f"{kind} {_file(_of(entry, 'socket-name'))}"
    return f"{kind} {_of(entry, 'socket-address') or '127.0.0.1'} port {_of(entry, 'socket-port') or '8000'}"


_IDENTITIES: Final[dict[str, Callable[[Element], str]]] = {
    "ddns-domains": lambda entry: fold(with_final_dot(_of(entry, "name"))),
    "dns-servers": lambda entry: f"{_address(_of(entry, 'ip-address'))} port {_of(entry, 'port')}",
    "tsig-keys": lambda entry: fold(with_final_dot(_of(entry, "name"))),
    "loggers": lambda entry: _of(entry, "name"),
    "output-options": lambda entry: _file(_of(entry, "output")),
    "hooks-libraries": lambda entry: _file(_of(entry, "library")),
    "control-sockets": _socket,
    "http": _socket,
    "clients": lambda entry: _of(entry, "user") or _of(entry, "user-file") or _of(entry, "password-file"),
}
"""What names an entry of each list. Two with one name count as the last of them."""

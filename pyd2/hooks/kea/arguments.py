"""Arguments in Kea's chain, for callouts in Python and plain C: a ``pyd2.hooks.handle.Use``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

from pyd2.data.element import Element
from pyd2.errors import HookError
from pyd2.hooks.kea.loaded import lib
from pyd2.hooks.points import Kind, Status, kinds_at
from pyd2.hooks.values import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.kea.bridge import CData, Shim
    from pyd2.hooks.kea.keys import Keys

_STATUS: Final = tuple(Status)
"""By number: a look into the enumeration costs more than the call into C++."""

_KINDS: Final[dict[Kind, int]] = {
    Kind.JSON: lib.KB_JSON, Kind.TEXT: lib.KB_TEXT, Kind.KEY: lib.KB_KEY,
    Kind.HTTP_REQUEST: lib.KB_HTTP_REQUEST, Kind.HTTP_RESPONSE: lib.KB_HTTP_RESPONSE,
}
_OBJECTS: Final[dict[str, int]] = {
    "current_server": lib.KB_SERVER, "server_config": lib.KB_CONFIG, "io_context": lib.KB_SERVICE,
}
_ANY: Final[int] = lib.KB_ANY
_SERVER: Final[int] = lib.KB_SERVER
_JSON: Final[int] = lib.KB_JSON
_KEY: Final[int] = lib.KB_KEY
_TEXT: Final[int] = lib.KB_TEXT
_HTTP: Final = frozenset({lib.KB_HTTP_REQUEST, lib.KB_HTTP_RESPONSE})

KnownArguments: TypeAlias = "Mapping[str, tuple[bytes, int]]"
"""The arguments of a hook point by name: the name as C has it, and the kind as C++ has it."""


def known_arguments(hook: str) -> KnownArguments:
    """Return the arguments of a hook point; callouts may set others."""
    kinds = kinds_at(hook)
    return {name: (name.encode(), _OBJECTS[name] if kind is Kind.OBJECT else _KINDS[kind])
            for name, kind in kinds.items()}


class Objects(Protocol):
    """The objects of the server that are arguments."""

    @property
    def server(self) -> Callable[[int], object]:
        """Returns the DnsServer of a C++ object; HookError when it is not known."""

    @property
    def config(self) -> object:
        """The configuration."""

    @property
    def io_context(self) -> object:
        """The event loop."""


class Arguments:
    """Reads and sets the arguments of all uses of a chain.

    Most of the cost of a mixed list is here, several times for each update: so it keeps what it can.
    """

    def __init__(self, shim: Shim, keys: Keys, objects: Objects) -> None:
        self._shim = shim
        self._keys = keys
        self._value = shim.ffi.new("kb_value *")  # one is enough: it is read before other code runs
        self._objects = objects

    def get(self, handle: CData, name: bytes, expected: int) -> object:
        """Return an argument; HookError when there is none of that name."""
        value = self._value
        if lib.kb_handle_get(handle, name, expected, value) < 0:
            raise HookError(str(self._shim.error()))
        kind = value.kind
        if kind == _SERVER:
            return self._objects.server(value.number)
        if kind == _KEY:
            return self._keys.key_of(value.number, lambda: lib.kb_handle_key(handle, name))
        if kind == lib.KB_NOTHING:
            return None
        if kind == _JSON:
            return self._shim.value(value.element)
        if kind == _TEXT:
            octets: bytes = self._shim.ffi.buffer(value.text, value.size)[:]
            lib.kb_free(value.text)
            return octets.decode("utf-8", "surrogateescape")
        if kind == lib.KB_PYTHON:
            return self._shim.references.get(value.number)
        if kind == lib.KB_NUMBER:
            return int(value.number)
        if kind == lib.KB_CONFIG:
            return self._objects.config
        if kind == lib.KB_SERVICE:
            return self._objects.io_context
        text = name.decode("utf-8", "surrogateescape")
        raise HookError(f"argument {text} holds a C++ value that only libraries in C++ can read")

    def set(self, handle: CData, name: bytes, kind: int, value: object) -> None:
        """Set an argument. A str with a name that libraries made up is a std::string for those in C++."""
        shim = self._shim
        if kind == _KEY:
            key = cast("SigningKey | None", value)
            result = lib.kb_handle_set_key(handle, name, self._keys.handle_of(key))
        elif kind == _JSON:
            assert value is None or isinstance(value, Element)
            result = lib.kb_handle_set_element(handle, name, shim.element(value))
        elif kind in _HTTP:
            assert value is None or isinstance(value, Element)
            result = lib.kb_handle_set_http(handle, name, kind, shim.element(value))
        elif kind == _TEXT or (type(value) is str and is_text(value)):
            text = shim.bytes(str(value))
            result = lib.kb_handle_set_text(handle, name, text, len(text))
        else:
            result = lib.kb_handle_set_python(handle, name, shim.references.add(value))
        shim.check(result)

    def names(self, handle: CData) -> list[str]:
        """Return the names of the arguments, sorted."""
        return sorted(self._shim.text(lib.kb_handle_names(handle)).split("\n")[:-1])

    def context(self, handle: CData) -> dict[str, object]:
        """Return the private values of the library whose callout runs, the dict itself."""
        references = self._shim.references
        reference = lib.kb_handle_context(handle)
        if reference:
            kept: dict[str, object] = references.get(reference)
            return kept
        made: dict[str, object] = {}
        self._shim.check(lib.kb_handle_set_context(handle, references.add(made)))
        return made


class KeaUse:
    """A callout handle of Kea's, valid while the callout runs."""

    __slots__ = ("_arguments", "_handle", "_known")

    def __init__(self, arguments: Arguments, known: KnownArguments, handle: CData) -> None:
        """``known`` are the arguments of the hook point."""
        self._arguments = arguments
        self._known = known
        self._handle = handle

    @property
    def status(self) -> Status:
        """What the server is to do next."""
        number: int = lib.kb_handle_status(self._handle)
        return _STATUS[number]

    @status.setter
    def status(self, status: Status) -> None:
        lib.kb_handle_set_status(self._handle, status)

    def get(self, name: str) -> object:
        """Return an argument, JSON as an ``Element``; HookError when there is none of that name."""
        known = self._known.get(name)
        octets, kind = (_octets(name), _ANY) if known is None else known
        return self._arguments.get(self._handle, octets, kind)

    def set(self, name: str, value: object) -> None:
        """Set an argument that was checked, JSON as an ``Element``."""
        known = self._known.get(name)
        octets, kind = (_octets(name), _ANY) if known is None else known
        self._arguments.set(self._handle, octets, kind, value)

    def names(self) -> list[str]:
        """Return the names of the arguments, sorted."""
        return self._arguments.names(self._handle)

    def context(self, library_index: int) -> dict[str, object]:  # noqa: ARG002  Kea knows the library
        """Return the private values of the library whose callout runs, the dict itself."""
        return self._arguments.context(self._handle)


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")

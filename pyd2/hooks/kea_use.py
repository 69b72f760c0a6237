"""One use of hooks in Kea's chain for callouts in Python or plain C; see ``pyd2.hooks.handle.Use``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyd2.data.element import Element
from pyd2.errors import HookError
from pyd2.hooks.points import Kind, Status, kind_of

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.kea_bridge import CData, Shim
    from pyd2.hooks.kea_keys import Keys


class Objects(Protocol):
    """The objects of the server that are arguments."""

    def server(self, identity: int) -> object:
        """Return the DnsServer of a C++ object; HookError when it is not known."""

    @property
    def config(self) -> object:
        """The configuration."""

    @property
    def io_context(self) -> object:
        """The event loop."""


class KeaUse:
    """A callout handle of Kea's, valid while the callout runs."""

    __slots__ = ("_handle", "_hook", "_keys", "_objects", "_shim")

    def __init__(self, shim: Shim, keys: Keys, objects: Objects, hook: str, handle: CData) -> None:
        self._shim = shim
        self._keys = keys
        self._objects = objects
        self._hook = hook
        self._handle = handle

    @property
    def status(self) -> Status:
        """What the server is to do next."""
        return Status(self._shim.lib.kb_handle_status(self._handle))

    @status.setter
    def status(self, status: Status) -> None:
        self._shim.lib.kb_handle_set_status(self._handle, status)

    def get(self, name: str) -> object:
        """Return an argument, JSON as an ``Element``; HookError when there is none of that name."""
        lib = self._shim.lib
        value = self._shim.ffi.new("kb_value *")
        if lib.kb_handle_get(self._handle, self._shim.bytes(name), self._kind(name), value) < 0:
            raise HookError(str(self._shim.error()))
        return self._read(name, value)

    def _kind(self, name: str) -> int:
        lib = self._shim.lib
        kind = kind_of(self._hook, name)
        if kind is Kind.OBJECT:
            objects = {"current_server": lib.KB_SERVER, "server_config": lib.KB_CONFIG}
            return int(objects.get(name, lib.KB_SERVICE))
        kinds = {Kind.JSON: lib.KB_JSON, Kind.TEXT: lib.KB_TEXT, Kind.KEY: lib.KB_KEY}
        return int(lib.KB_ANY if kind is None else kinds[kind])

    def _read(self, name: str, value: CData) -> object:
        lib, kind = self._shim.lib, value.kind
        if kind == lib.KB_NOTHING:
            return None
        if kind == lib.KB_TEXT:
            text = self._shim.ffi.buffer(value.text, value.size)[:]
            lib.kb_free(value.text)
            return text.decode("utf-8", "surrogateescape")
        if kind == lib.KB_JSON:
            return self._shim.value(value.element)
        if kind == lib.KB_KEY:
            return self._keys.key_of(value.key)
        if kind == lib.KB_PYTHON:
            return self._shim.references.get(value.number)
        if kind == lib.KB_NUMBER:
            return int(value.number)
        if kind == lib.KB_SERVER:
            return self._objects.server(value.number)
        if kind == lib.KB_CONFIG:
            return self._objects.config
        if kind == lib.KB_SERVICE:
            return self._objects.io_context
        raise HookError(f"argument {name} holds a C++ value that only libraries in C++ can read")

    def set(self, name: str, value: object) -> None:
        """Set an argument that was checked, JSON as an ``Element``."""
        shim, lib, kind = self._shim, self._shim.lib, kind_of(self._hook, name)
        argument = shim.bytes(name)
        if kind is Kind.JSON:
            assert value is None or isinstance(value, Element)
            result = lib.kb_handle_set_element(self._handle, argument, shim.element(value))
        elif kind is Kind.KEY:
            result = lib.kb_handle_set_key(self._handle, argument, self._key(value))
        elif kind is Kind.TEXT:
            text = shim.bytes(str(value))
            result = lib.kb_handle_set_text(self._handle, argument, text, len(text))
        else:
            result = lib.kb_handle_set_python(self._handle, argument, shim.references.add(value))
        shim.check(result)

    def _key(self, value: CData) -> CData:
        key: SigningKey | None = value
        return self._keys.handle_of(key)

    def names(self) -> list[str]:
        """Return the names of the arguments, sorted."""
        return sorted(self._shim.text(self._shim.lib.kb_handle_names(self._handle)).split("\n")[:-1])

    def context(self, library_index: int) -> dict[str, object]:  # noqa: ARG002  Kea knows whose turn it is
        """Return the private values of the library whose callout runs, the dict itself."""
        reference = self._shim.lib.kb_handle_context(self._handle)
        if reference:
            kept: dict[str, object] = self._shim.references.get(reference)
            return kept
        made: dict[str, object] = {}
        self._shim.check(
            self._shim.lib.kb_handle_set_context(self._handle, self._shim.references.add(made)),
        )
        return made

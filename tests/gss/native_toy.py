"""The toy's contexts for C: it calls them as it calls those of libgssapi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyd2.hooks.gss.gssapi import GssError
from pyd2.packets.contexts import NativeContext
from pyd2.packets.wire import ffi

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gss.toy import Client


_alive: list[ToyGss] = []
"""All of them: a context in C that outlives its toy must not call functions that are gone."""


class ToyGss:
    """The functions of libgssapi, on contexts of the toy."""

    def __init__(self) -> None:
        self.deleted: list[int] = []
        """The contexts that C has deleted, by the numbers that are their handles."""
        self.fails = 0
        """What ``get_mic`` returns instead of success."""
        self.unreleased: dict[int, Any] = {}
        """MICs by their addresses."""
        self._clients: dict[int, Client] = {}
        own: dict[str, Callable[..., int]] = {
            "get_mic": self._get_mic, "verify_mic": self._verify_mic,
            "release_buffer": self._release_buffer, "delete_sec_context": self._delete,
        }
        fields: list[Any] = ffi.typeof("wire_gss").fields
        self._functions = {name: ffi.callback(field.type, own[name]) for name, field in fields if name in own}
        _alive.append(self)

    def functions(self) -> dict[str, int]:
        """Return the addresses of the functions."""
        return {name: _number(each) for name, each in self._functions.items()}

    def context(self, client: Client, name: bytes, expires: float, *, bounded: bool = True) -> NativeContext:
        """Return a context for C."""
        handle = len(self._clients) + 1
        self._clients[handle] = client
        return NativeContext(self.functions(), handle, name, expires, bounded=bounded)

    def _client(self, context: Any) -> Client:
        return self._clients[_number(context)]

    def _get_mic(self, minor: Any, context: Any, _quality: int, message: Any, mic: Any) -> int:
        minor[0] = 7
        if self.fails:
            return self.fails
        made = self._client(context).get_mic(_octets(message))
        buffer = ffi.new("uint8_t[]", made)
        mic.size, mic.octets = len(made), buffer
        self.unreleased[_number(buffer)] = buffer
        return 0

    def _verify_mic(self, minor: Any, context: Any, message: Any, mic: Any, _quality: Any) -> int:
        minor[0] = 0
        try:
            self._client(context).verify_mic(_octets(message), _octets(mic))
        except GssError as error:
            minor[0] = error.minor
            return error.major
        return 0

    def _release_buffer(self, _minor: Any, mic: Any) -> int:
        self.unreleased.pop(_number(mic.octets), None)
        return 0

    def _delete(self, _minor: Any, context: Any, _token: Any) -> int:
        self.deleted.append(_number(context[0]))
        return 0


def _number(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _octets(given: Any) -> bytes:
    return bytes(ffi.buffer(given.octets, given.size))

"""Security contexts of GSS-API in C: ``cbridge/wire/contexts.h`` has what each function does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.errors import GssCallError
from pyd2.packets.wire import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST: Final = int(lib.WIRE_CONTEXTS_MAX)
_MAC_MAX: Final = 256
"""Octets of the longest MIC that is made for Python; Kerberos makes 28."""


class NativeContext:
    """An established context. One thread uses it: the update thread, if C signs updates with it."""

    __slots__ = ("native",)

    def __init__(
        self, functions: Mapping[str, int], handle: int, name: bytes, expires: float, *, bounded: bool
    ) -> None:
        """``functions`` are the addresses of those that C needs, ``handle`` is GSS-API's and C's from now on.

        Without ``inquire_sec_context_by_oid`` GSS-API makes all MICs, else C does where it can.
        ``name`` is the key's on the wire in lower case. It signs until ``expires``, seconds since the epoch.
        ``bounded``: the other side refuses copies, and so what comes too late.
        """
        table = ffi.new("wire_gss *")
        for function, field in ffi.typeof("wire_gss").fields:
            setattr(table, function, ffi.cast(field.type, functions.get(function, 0)))
        context = lib.wire_context_new(
            table, ffi.cast("void *", handle), name, len(name), max(0, int(expires)), bounded
        )
        if not context:
            raise MemoryError("no memory for a security context")
        self.native: Any = ffi.gc(context, lib.wire_context_free)

    def sign(self, message: bytes) -> tuple[bytes, int]:
        """Return a MIC and the number for ``end``; raises GssCallError."""
        mac = ffi.new("uint8_t[]", _MAC_MAX)
        number: Any = ffi.new("int64_t *")
        status: Any = ffi.new("wire_gss_status *")
        size = lib.wire_context_sign(self.native, message, len(message), mac, _MAC_MAX, number, status)
        if size < 0:
            raise GssCallError(status.major, status.minor)
        return bytes(ffi.buffer(mac, size)), int(number[0])

    def verify(self, message: bytes, mac: bytes) -> None:
        """Return if the other side has made the MIC; raises GssCallError."""
        status: Any = ffi.new("wire_gss_status *")
        if lib.wire_context_verify(self.native, message, len(message), mac, len(mac), status) != 0:
            raise GssCallError(status.major, status.minor)

    def end(self, number: int) -> None:
        """Note that the message with this number is no longer under way."""
        lib.wire_context_end(self.native, number)

    def span(self) -> int:
        """Return the next number minus the oldest under way; 0 if that does not matter."""
        return int(lib.wire_context_span(self.native))

    def busy(self) -> bool:
        """Return whether updates under way have been signed with it in C."""
        return bool(lib.wire_context_busy(self.native))


class NativeContexts:
    """The contexts that sign the updates that C makes for a server; for the update thread.

    A route has it, and with it the contexts with which C will verify the replies.
    """

    __slots__ = ("_kept", "native")

    def __init__(self) -> None:
        self.native: Any = ffi.new("wire_contexts *")
        self._kept: list[NativeContext] = []

    def set(self, contexts: Iterable[NativeContext]) -> None:
        """Have these sign from now on, the first ones by preference."""
        signing = [*contexts][:_MOST]
        for place, context in enumerate(signing):
            self.native.contexts[place] = context.native
        self.native.count = len(signing)
        self._kept = signing + [one for one in self._kept if one not in signing and one.busy()]

    def wants_another(self) -> bool:
        """Return whether all were nearly full since the last call."""
        wanted = bool(self.native.wants_another)
        if wanted:
            self.native.wants_another = False
        return wanted

    def full(self, wall: int) -> bool:
        """Return whether there are some, and an update of none of them may go out now."""
        return bool(lib.wire_contexts_full(self.native, wall))

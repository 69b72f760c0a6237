"""GSS-API by MIT's ``libgssapi_krb5.so.2``, which is loaded when it is first needed (RFC 2743, RFC 2744).

An initiator only: credentials, security contexts, and the MICs that sign messages. The texts of errors are
Kea's.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from enum import IntFlag
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyd2.errors import Pyd2Error

FILE: Final = "libgssapi_krb5.so.2"
INDEFINITE: Final = 0xFFFFFFFF
"""The lifetime of what does not end."""

# ruff: noqa: ANN401  Any is C data

_COMPLETE: Final = 0
_CONTINUE_NEEDED: Final = 1
_GSS_CODE: Final = 1
_MECHANISM_CODE: Final = 2
_INITIATE: Final = 1
_KRB5: Final = bytes.fromhex("2a864886f712010202")
_SPNEGO: Final = bytes.fromhex("2b0601050502")


class GssError(Pyd2Error):
    """A call of GSS-API has failed; the text is Kea's."""

    def __init__(self, text: str, major: int = 0, minor: int = 0) -> None:
        super().__init__(text)
        self.major = major
        """The status of GSS-API (RFC 2744, section 3.9.1)."""
        self.minor = minor
        """The status of the mechanism; for Kerberos 5 the error code of libkrb5."""


class Flags(IntFlag):
    """Services of a context (RFC 2744, section 5.19)."""

    MUTUAL = 2
    REPLAY = 4
    SEQUENCE = 8
    INTEGRITY = 32


_REQUIRED: Final = (
    (Flags.REPLAY, "anti-replay"), (Flags.SEQUENCE, "sequence"), (Flags.MUTUAL, "mutual authentication"),
)
"""Services that a context must have if it was to have them, with Kea's words for them."""


class Context(Protocol):
    """A security context; ``SecurityContext`` is one."""

    def step(self, token: bytes) -> tuple[bytes, bool]:
        """Return the token that goes to the server, and whether the context is established."""

    def lifetime(self) -> int:
        """Return the seconds that the context is valid for."""

    def get_mic(self, message: bytes) -> bytes:
        """Return a MIC of a message."""

    def verify_mic(self, message: bytes, mic: bytes) -> None:
        """Return if the MIC is the server's and fits the message."""


class _Buffer(ctypes.Structure):
    """What a function of the library returns: ``gss_buffer_desc``."""

    _fields_ = (("length", c_size_t), ("value", c_void_p))


class _Octets(ctypes.Structure):
    """The same as an argument."""

    _fields_ = (("length", c_size_t), ("value", c_char_p))


class _Oid(ctypes.Structure):
    _fields_ = (("length", c_uint32), ("elements", c_char_p))


class _OidSet(ctypes.Structure):
    _fields_ = (("count", c_size_t), ("elements", POINTER(_Oid)))


class _KeyValue(ctypes.Structure):
    _fields_ = (("key", c_char_p), ("value", c_char_p))


class _KeyValueSet(ctypes.Structure):
    _fields_ = (("count", c_uint32), ("elements", POINTER(_KeyValue)))


_MINOR = POINTER(c_uint32)
_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "gss_import_name": (_MINOR, POINTER(_Octets), c_void_p, POINTER(c_void_p)),
    "gss_release_name": (_MINOR, POINTER(c_void_p)),
    "gss_acquire_cred_from": (
        _MINOR, c_void_p, c_uint32, POINTER(_OidSet), c_int, POINTER(_KeyValueSet), POINTER(c_void_p),
        c_void_p, _MINOR,
    ),
    "gss_inquire_cred": (_MINOR, c_void_p, POINTER(c_void_p), _MINOR, c_void_p, c_void_p),
    "gss_display_name": (_MINOR, c_void_p, POINTER(_Buffer), c_void_p),
    "gss_release_cred": (_MINOR, POINTER(c_void_p)),
    "gss_init_sec_context": (
        _MINOR, c_void_p, POINTER(c_void_p), c_void_p, POINTER(_Oid), c_uint32, c_uint32, c_void_p,
        POINTER(_Octets), c_void_p, POINTER(_Buffer), _MINOR, _MINOR,
    ),
    "gss_context_time": (_MINOR, c_void_p, _MINOR),
    "gss_delete_sec_context": (_MINOR, POINTER(c_void_p), c_void_p),
    "gss_inquire_sec_context_by_oid": (_MINOR, c_void_p, POINTER(_Oid), POINTER(c_void_p)),
    "gss_release_buffer_set": (_MINOR, POINTER(c_void_p)),
    "gss_display_status": (_MINOR, c_uint32, c_int, c_void_p, _MINOR, POINTER(_Buffer)),
}
_FAST_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "gss_get_mic": (_MINOR, c_void_p, c_uint32, POINTER(_Octets), POINTER(_Buffer)),
    "gss_verify_mic": (_MINOR, c_void_p, POINTER(_Octets), POINTER(_Octets), c_void_p),
    "gss_release_buffer": (_MINOR, POINTER(_Buffer)),
}
"""Functions that take microseconds. To let other threads run meanwhile would cost more than the call."""


class _Library:
    """The functions of the library that are used here."""

    def __init__(self) -> None:
        try:
            waiting = ctypes.CDLL(FILE)
            fast = ctypes.PyDLL(FILE)
            for loaded, signatures in ((waiting, _SIGNATURES), (fast, _FAST_SIGNATURES)):
                for name, arguments in signatures.items():
                    function = getattr(loaded, name)
                    function.argtypes = arguments
                    function.restype = c_uint32
                    setattr(self, name, function)
        except (OSError, AttributeError) as error:
            raise GssError(
                f"GSS-API cannot be used: {error}. Install MIT Kerberos (the package libgssapi-krb5-2)"
            ) from None
        self.spnego = _Oid(len(_SPNEGO), _SPNEGO)
        self._oids = (_Oid * 2)(_Oid(len(_KRB5), _KRB5), self.spnego)
        self.mechanisms = _OidSet(2, self._oids)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a function of the library."""

    def take(self, buffer: _Buffer) -> bytes:
        """Return what a buffer holds, and free it."""
        octets = ctypes.string_at(buffer.value, buffer.length) if buffer.length else b""
        self.gss_release_buffer(byref(c_uint32()), byref(buffer))
        return octets

    def error(self, call: str, major: int, minor: int) -> GssError:
        """Return the error of a call, with the library's words for it."""
        text = f"{call} failed with GSSAPI error: Major = '{self._status(major, _GSS_CODE)}' ({major})"
        if minor:
            text += f", Minor = '{self._status(minor, _MECHANISM_CODE)}' ({minor})"
        return GssError(f"{text}.", major, minor)

    def _status(self, code: int, kind: int) -> str:
        minor, more, buffer = c_uint32(), c_uint32(), _Buffer()
        if self.gss_display_status(byref(minor), code, kind, None, byref(more), byref(buffer)) != _COMPLETE:
            return ""
        return self.take(buffer).decode(errors="replace")


@cache
def library() -> _Library:
    """Load the library; raises GssError, which says what to install."""
    return _Library()


def functions() -> dict[str, int]:
    """Return the addresses of the functions that C calls, by their names in ``cbridge/wire/contexts.h``."""
    gss = library()
    names = ("get_mic", "verify_mic", "release_buffer", "delete_sec_context", "inquire_sec_context_by_oid",
             "release_buffer_set")
    return {name: ctypes.cast(getattr(gss, f"gss_{name}"), c_void_p).value or 0 for name in names}


class _Name:
    """A principal's name."""

    def __init__(self, principal: str) -> None:
        self.handle = c_void_p()
        gss, minor = library(), c_uint32()
        octets = principal.encode("utf-8", "surrogateescape")
        major = gss.gss_import_name(byref(minor), byref(_octets(octets)), None, byref(self.handle))
        if major != _COMPLETE:
            raise gss.error("gss_import_name", major, minor.value)

    def __del__(self) -> None:
        if self.handle:
            library().gss_release_name(byref(c_uint32()), byref(self.handle))


class Credential:
    """What a client proves itself with to servers."""

    def __init__(self, principal: str = "", keytab: str = "", credentials_cache: str = "") -> None:
        """Acquire it, which may ask a KDC and take long. Raises GssError.

        ``principal`` is the client's; empty: the one of the cache, else the first in the keytab. ``keytab``
        and ``credentials_cache`` are names as libkrb5 knows them; empty: the system's.
        """
        self.handle = c_void_p()
        gss, minor, lifetime = library(), c_uint32(), c_uint32()
        name = _Name(principal) if principal else None
        given = {"client_keytab": keytab, "ccache": credentials_cache}
        pairs = [_KeyValue(key.encode(), value.encode("utf-8", "surrogateescape"))
                 for key, value in given.items() if value]
        store = _KeyValueSet(len(pairs), (_KeyValue * len(pairs))(*pairs))
        major = gss.gss_acquire_cred_from(
            byref(minor), name.handle if name else None, INDEFINITE, byref(gss.mechanisms), _INITIATE,
            byref(store) if pairs else None, byref(self.handle), None, byref(lifetime),
        )
        if major != _COMPLETE:
            raise gss.error("gss_acquire_cred", major, minor.value)
        self.lifetime: int = lifetime.value
        """Seconds that it is valid for; 0: it has expired."""

    def __del__(self) -> None:
        if self.handle:
            library().gss_release_cred(byref(c_uint32()), byref(self.handle))

    def principal(self) -> str:
        """Return the name of the principal that it is for; raises GssError."""
        gss, minor, name, text = library(), c_uint32(), c_void_p(), _Buffer()
        major = gss.gss_inquire_cred(byref(minor), self.handle, byref(name), None, None, None)
        if major != _COMPLETE:
            raise gss.error("gss_inquire_cred", major, minor.value)
        gss.gss_display_name(byref(minor), name, byref(text), None)
        gss.gss_release_name(byref(minor), byref(name))
        return gss.take(text).decode(errors="replace")


class SecurityContext:
    """A security context with a server; a ``Context``. One thread at a time may use it.

    All methods raise GssError.
    """

    def __init__(self, credential: Credential | None, target: str, flags: Flags) -> None:
        """``target`` is the server's principal; without a credential the system's default is used."""
        self._handle = c_void_p()
        self._library = library()
        self._credential = credential
        self._target = _Name(target)
        self._flags = flags

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.gss_delete_sec_context(byref(c_uint32()), byref(self._handle), None)

    def step(self, token: bytes) -> tuple[bytes, bool]:
        """Return the token that goes to the server, and whether the context is established.

        The first token is empty, the next is the server's answer. It may ask a KDC and take long.
        """
        gss, minor, granted = self._library, c_uint32(), c_uint32()
        out = _Buffer()
        credential = self._credential.handle if self._credential is not None else None
        major = gss.gss_init_sec_context(
            byref(minor), credential, byref(self._handle), self._target.handle, byref(gss.spnego),
            int(self._flags), INDEFINITE, None, byref(_octets(token)), None, byref(out), byref(granted),
            None,
        )
        answer = gss.take(out)
        if major == _CONTINUE_NEEDED:
            return answer, False
        if major != _COMPLETE:
            raise gss.error("gss_init_sec_context", major, minor.value)
        for flag, service in _REQUIRED:
            if self._flags & flag and not granted.value & flag:
                raise GssError(f"gss_init_sec_context failed to grant requested {service}")
        return answer, True

    def lifetime(self) -> int:
        """Return the seconds that the context is valid for: until the ticket ends."""
        minor, seconds = c_uint32(), c_uint32()
        major = self._library.gss_context_time(byref(minor), self._handle, byref(seconds))
        if major != _COMPLETE:
            raise self._library.error("gss_context_time", major, minor.value)
        return int(seconds.value)

    @property
    def in_order(self) -> bool:
        """Whether it refuses what arrives before what was sent earlier."""
        return Flags.SEQUENCE in self._flags

    def hand_over(self) -> int:
        """Return GSS-API's handle of the context, which is the caller's now: this object cannot be used."""
        handle, self._handle = self._handle, c_void_p()
        return handle.value or 0

    def get_mic(self, message: bytes) -> bytes:
        """Return a MIC of a message. Each has the next sequence number."""
        gss, minor, mic = self._library, c_uint32(), _Buffer()
        major = gss.gss_get_mic(byref(minor), self._handle, 0, byref(_octets(message)), byref(mic))
        if major != _COMPLETE:
            raise gss.error("gss_get_mic", major, minor.value)
        return gss.take(mic)

    def verify_mic(self, message: bytes, mic: bytes) -> None:
        """Return if the MIC is the server's and fits the message, and no such MIC came before."""
        gss, minor = self._library, c_uint32()
        major = gss.gss_verify_mic(
            byref(minor), self._handle, byref(_octets(message)), byref(_octets(mic)), None
        )
        if major != _COMPLETE:
            raise gss.error("gss_verify_mic", major, minor.value)


def _octets(octets: bytes) -> _Octets:
    """Return octets as an argument: they are not copied, and live as long as it."""
    return _Octets(len(octets), octets)

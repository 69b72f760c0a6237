"""Keys across languages: Python signs with keys of compiled libraries, and they with keys of Python.

A key of Kea's own class signs in Python, with its secret. One of a library's class signs through its own
``createContext``. A key of Python's becomes a ``D2TsigKey`` that compiled libraries can read and sign with.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.reply import parse_reply
from pyd2.dns.tsig import ALGORITHMS, HmacKey, short_name
from pyd2.errors import BridgeError, DomainNameError, ReplyError
from pyd2.hooks.keys import TsigKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningContext, SigningKey, TsigRecord
    from pyd2.hooks.kea.bridge import CData, Shim

MOST_KEPT: Final = 256
"""Keys that are kept for their next use: bounds the memory if a library makes one for each update."""

_FAILED: Final = "TSIG verification failed: "
_ERRORS: Final = {"FORMERR": 1, "BADSIG": 16, "BADKEY": 17, "BADTIME": 18, "BADTRUNC": 22}


class KeaKey:
    """A key of a compiled library's own class; a ``SigningKey``."""

    __slots__ = ("_shim", "algorithm", "handle", "name")

    def __init__(self, shim: Shim, handle: CData, name: str, algorithm: str) -> None:
        self._shim = shim
        self.handle = handle
        self.name = name
        self.algorithm = algorithm

    def __repr__(self) -> str:
        return f"KeaKey({self.name!r}, {self.algorithm!r})"

    def create_context(self) -> KeaContext:
        """Return the context of one message; the library's createContext runs. Raises BridgeError."""
        lib = self._shim.lib
        return KeaContext(self._shim, self._shim.own(lib.kb_signing_new(self.handle), lib.kb_signing_free))


class KeaContext:
    """The signing of one message by a compiled library; a ``SigningContext``."""

    __slots__ = ("_handle", "_shim")

    def __init__(self, shim: Shim, handle: CData) -> None:
        self._shim = shim
        self._handle = handle

    @property
    def length(self) -> int:
        """Octets that signing may add to the message."""
        return self._shim.check(self._shim.lib.kb_signing_length(self._handle))

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:  # noqa: ARG002  the context reads its own clock
        """Return the message with its query ID and its TSIG record. Raises BridgeError."""
        shim = self._shim
        unsigned = qid.to_bytes(2, "big") + message[2:]
        size = shim.ffi.new("size_t *")
        record = shim.lib.kb_signing_sign(self._handle, unsigned, len(unsigned), size)
        if not record:
            raise shim.error()
        try:
            octets = shim.ffi.buffer(record, size[0])[:]
        finally:
            shim.lib.kb_free(record)
        if not octets:  # createContext() returned null
            return unsigned
        count = int.from_bytes(unsigned[10:12], "big") + 1
        return b"".join((unsigned[:10], count.to_bytes(2, "big"), unsigned[12:], octets))

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:  # noqa: ARG002  the same
        """Return if the reply is authentic; raise ReplyError if not, BridgeError when the context fails."""
        shim = self._shim
        error = shim.check(shim.lib.kb_signing_verify(self._handle, reply, len(reply)))
        if error:
            raise ReplyError(_FAILED + shim.text(shim.lib.kb_tsig_error_text(error)))


class PythonSigner:
    """A Python key that C++ signs with (pyd2.hooks.kea.callbacks)."""

    __slots__ = ("_key",)

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def begin(self) -> PythonSigning:
        """Begin to sign a message."""
        return PythonSigning(self._key.create_context())


class PythonSigning:
    """The signing of one message by a Python key, for C++."""

    __slots__ = ("_clock", "_context")

    def __init__(self, context: SigningContext, clock: Callable[[], float] = time.time) -> None:
        self._context = context
        self._clock = clock

    @property
    def length(self) -> int:
        """Octets that signing adds."""
        return self._context.length

    def sign(self, message: bytes, query_id: int) -> bytes:
        """Return the TSIG record alone: a context puts it behind the message."""
        return self._context.sign(message, query_id, int(self._clock()))[len(message):]

    def verify(self, reply: bytes) -> int:
        """Return the TSIG error, 0 for none."""
        try:
            self._context.verify(reply, parse_reply(reply).tsig, int(self._clock()))
        except ReplyError as error:
            return _ERRORS.get(str(error).removeprefix(_FAILED), _ERRORS["BADSIG"])
        return 0


class _Kept(NamedTuple):
    key: SigningKey
    handle: CData
    of_python: bool
    """Whether the C++ object was made for a Python key; else a library in C++ made it."""


class Keys:
    """Pairs of a Python object and a C++ object that are the same key."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        """By the identity of the C++ object, which lives as long as its handle here."""
        self._handles: dict[int, CData] = {}
        """The same handles by the ``id`` of the Python object, which lives as long as it is kept."""

    def clear(self) -> None:
        """Forget all keys."""
        self._handles.clear()
        self._kept.clear()

    def forget_unused(self) -> None:
        """Forget keys of C++ that only this object holds: their statistics and libraries go with them."""
        self._shim.lib.kb_selection_end()
        shared = self._shim.lib.kb_key_shared
        unused = [identity for identity, kept in self._kept.items()
                  if not kept.of_python and not shared(kept.handle)]
        for identity in unused:
            del self._handles[id(self._kept.pop(identity).key)]

    def keep(self, key: SigningKey, handle: CData, *, of_python: bool = False) -> None:
        """Remember that two objects are one key."""
        identity = int(self._shim.lib.kb_key_identity(handle))
        replaced = self._kept.pop(identity, None)
        if replaced is not None:
            del self._handles[id(replaced.key)]
        self._kept[identity] = _Kept(key, handle, of_python)
        self._handles[id(key)] = handle
        if len(self._kept) > MOST_KEPT:
            _, oldest = self._kept.popitem(last=False)
            del self._handles[id(oldest.key)]

    def kept(self, key: SigningKey) -> CData:
        """Return the C++ object of a Python key; None when it is not kept."""
        return self._handles.get(id(key))

    def handle_of(self, key: SigningKey | None) -> CData:
        """Return the C++ object of a Python key, NULL for None. Raises BridgeError."""
        if key is None:
            return self._shim.ffi.NULL
        handle = self._handles.get(id(key))
        if handle is None:
            if isinstance(key, KeaKey):
                handle = key.handle
                self.keep(key, handle)
            else:
                handle = self._make(key)
                self.keep(key, handle, of_python=True)
        return handle

    def key_of(self, identity: int, get_handle: Callable[[], CData]) -> SigningKey | None:
        """Return the Python object of a C++ key, None for identity 0; ``get_handle`` makes a handle on it."""
        known = self._kept.get(identity)
        if known is not None:
            return known.key
        if not identity:
            return None
        handle = self._shim.own(get_handle(), self._shim.lib.kb_key_free)
        key = self._wrap(handle)
        self.keep(key, handle)
        return key

    def _make(self, key: SigningKey) -> CData:
        shim = self._shim
        name, algorithm = shim.bytes(key.name), shim.bytes(key.algorithm)
        if isinstance(key, TsigKey):
            secret = key.secret
            made = shim.lib.kb_key_new(name, algorithm, secret, len(secret), key.digest_bits)
        else:
            made = shim.lib.kb_key_of_python(name, algorithm, shim.references.add(PythonSigner(key)))
        return shim.own(made, shim.lib.kb_key_free)

    def _wrap(self, handle: CData) -> SigningKey:
        shim = self._shim
        facts = shim.ffi.new("kb_key_facts *")
        shim.check(shim.lib.kb_key_facts_of(handle, facts))
        name = shim.ffi.string(facts.name).decode("ascii")
        algorithm = shim.ffi.string(facts.algorithm).decode("ascii")
        if facts.plain:
            short = short_name(algorithm)
            secret = shim.ffi.buffer(facts.secret, facts.secret_size)[:] if facts.secret else b""
            if secret and short in ALGORITHMS:  # without a secret Kea's context fails, in its own words
                try:
                    return HmacKey(name, short, secret, facts.digest_bits)
                except DomainNameError as error:
                    raise BridgeError(f"TSIG key {name}: {error}") from error
        return KeaKey(shim, handle, name, algorithm)

"""Keys with which a hook library in C signs and verifies itself (pyd2_hook_signer in pyd2_hook.h)."""

from __future__ import annotations

from typing import Any, Final

from pyd2.dns.names import lower, name_text, parse_name
from pyd2.dns.tsig import (
    BADSIG,
    TsigRecord,
    check_record,
    failure,
    identity_of,
    record_length,
    signed_by_reply,
    signed_by_request,
    with_record,
)
from pyd2.errors import DomainNameError, HookError
from pyd2.hooks.c.handles import Shared, calls
from pyd2.hooks.c_abi import ffi, lib
from pyd2.hooks.hook_thread import hook_thread

LONGEST_MAC: Final = 4096
"""Octets; a Kerberos token has a few dozen."""


class Signer(Shared):
    """A library's functions for one key, with their data; the key and each of its contexts use it."""

    __slots__ = ("_shared_object", "functions", "user")

    def __init__(
        self, functions: Any, user: Any, shared_object: Shared,  # noqa: ANN401  C data
    ) -> None:
        """Copy ``functions``, whose code is in ``shared_object``."""
        super().__init__()
        self.functions: Any = ffi.new("pyd2_hook_signer *")
        self.functions[0] = functions[0]
        self.user = user
        shared_object.acquire()
        self._shared_object = shared_object

    def end(self) -> None:
        """Let the library destroy its data; then its code may leave memory."""
        calls.run(lib.pyd2_glue_release, self.functions, self.user)
        self._shared_object.release()


def _end(signer: Signer, context: Any) -> None:  # noqa: ANN401  C data
    """Let the library end the context of a message."""
    calls.run(lib.pyd2_glue_end, signer.functions, signer.user, context)
    signer.release()


class CKey:
    """A key with a library's own signer; a ``SigningKey``."""

    __slots__ = ("algorithm", "algorithm_wire", "identity", "length", "mac_size", "name", "name_wire",
                 "signer")

    def __init__(
        self, name: str, algorithm: str, functions: Any, user: Any, shared_object: Shared,  # noqa: ANN401  C data
    ) -> None:
        """Make a key of a ``pyd2_hook_signer``. Raises HookError; then its ``release`` will not run."""
        self.signer: Signer | None = None  # first, because __del__ reads it
        try:
            self.name_wire = lower(parse_name(name))
            self.algorithm_wire = lower(parse_name(algorithm))
        except DomainNameError as error:
            raise HookError(str(error)) from error
        if not 0 < functions.mac_size <= LONGEST_MAC:
            raise HookError(f"a MAC of {functions.mac_size} octets is not possible")
        self.name = name_text(self.name_wire)
        self.algorithm = name_text(self.algorithm_wire)
        self.identity = identity_of(self.name_wire, self.algorithm_wire)
        self.mac_size = int(functions.mac_size)
        self.length = record_length(self.name_wire, self.algorithm_wire, self.mac_size)
        """Octets of its longest TSIG record."""
        self.signer = Signer(functions, user, shared_object)

    def __repr__(self) -> str:
        return f"CKey({self.name!r}, {self.algorithm!r})"

    def __del__(self) -> None:
        if self.signer is not None:
            hook_thread.run(self.signer.release)

    def create_context(self) -> CContext:
        """Return the context of one message; HookError when the library cannot begin one."""
        assert self.signer is not None
        return CContext(self, self.signer)


class CContext:
    """One message and its reply under a library's own signer; a ``SigningContext``."""

    __slots__ = ("_begun", "_context", "_key", "_request_mac", "_signer")

    def __init__(self, key: CKey, signer: Signer) -> None:
        self._key = key
        self._request_mac = b""
        self._begun = False
        self._signer = signer
        context = ffi.new("void **")
        code = calls.run(lib.pyd2_glue_begin, signer.functions, signer.user, context)
        if code != 0:
            raise HookError(f"key {key.name} cannot begin a message: error {code}")
        signer.acquire()
        self._begun = True
        self._context = context[0]

    def __del__(self) -> None:
        if self._begun:
            hook_thread.run(_end, self._signer, self._context)

    @property
    def length(self) -> int:
        """Octets that signing adds to the message, at most."""
        return self._key.length

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record; HookError when the library cannot."""
        key = self._key
        unsigned = qid.to_bytes(2, "big") + message[2:]
        mac = self._make_mac(signed_by_request(unsigned, key.identity, wall))
        self._request_mac = mac
        return with_record(unsigned, key.name_wire, key.algorithm_wire, wall, mac)

    def _make_mac(self, data: bytes) -> bytes:
        key = self._key
        buffer = ffi.new("char[]", key.mac_size)
        size = ffi.new("size_t *", key.mac_size)
        code = calls.run(
            lib.pyd2_glue_sign, self._signer.functions, self._signer.user, self._context,
            data, len(data), buffer, size,
        )
        if code != 0:
            raise HookError(f"key {key.name} cannot sign: error {code}")
        if not 0 < size[0] <= key.mac_size:
            raise HookError(f"key {key.name} made a MAC of {size[0]} octets; {key.mac_size} are the most")
        return bytes(ffi.buffer(buffer, size[0]))

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Return if the library finds the reply authentic; raise ReplyError if not."""
        key = self._key
        tsig = check_record(tsig, key.name_wire, key.algorithm_wire, wall)
        data = signed_by_reply(self._request_mac, reply, tsig, key.identity)
        code = calls.run(
            lib.pyd2_glue_verify, self._signer.functions, self._signer.user, self._context,
            data, len(data), tsig.mac, len(tsig.mac),
        )
        if code != 0:
            raise failure(code if code > 0 else BADSIG)

"""How the key of a security context signs: in C, or by GSS-API called from Python.

A signer numbers its MICs. What counts for the window of the other side is how far the next number is from
the oldest one whose message is under way. The compiled packet layer has signers in C, and uses them itself
for the updates that it makes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from pyd2.errors import GssCallError
from pyd2.hooks.gss.gssapi import SecurityContext, functions, library

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.hooks.gss.gssapi import Context
    from pyd2.packets.contexts import NativeContext, NativeContexts


class Signer(Protocol):
    """An established context. One thread signs and verifies with it, and any thread may call ``end``."""

    def sign(self, message: bytes) -> tuple[bytes, int]:
        """Return the MIC of a message, and its number for ``end``; raises GssError."""

    def verify(self, message: bytes, mic: bytes) -> None:
        """Return if the MIC is the server's and fits the message; raises GssError."""

    def end(self, number: int) -> None:
        """Note that a message is no longer under way."""

    def span(self) -> int:
        """Return the next number minus the oldest under way."""

    @property
    def native(self) -> NativeContext | None:
        """The context in C; None: it has none."""


class PythonSigner:
    """A signer without C; a ``Signer``."""

    native = None

    def __init__(self, context: Context) -> None:
        self._context = context
        self.signed = 0
        """How many MICs it has made: the number of the next one. GSS-API may count from another one."""
        self._under_way: dict[int, None] = {}
        """The numbers of MICs whose messages are under way, in order. Any thread may remove one."""

    def sign(self, message: bytes) -> tuple[bytes, int]:
        """See Signer."""
        mic = self._context.get_mic(message)
        number = self.signed
        self.signed += 1
        self._under_way[number] = None
        return mic, number

    def verify(self, message: bytes, mic: bytes) -> None:
        """See Signer."""
        self._context.verify_mic(message, mic)

    def end(self, number: int) -> None:
        """See Signer."""
        self._under_way.pop(number, None)

    def span(self) -> int:
        """See Signer."""
        while True:
            try:
                return self.signed - next(iter(self._under_way), self.signed)
            except RuntimeError:  # another thread has removed one meanwhile
                continue


class NativeSigner:
    """A signer in C; a ``Signer``."""

    def __init__(self, context: NativeContext) -> None:
        self.native = context
        self._ended: deque[int] = deque()
        """Numbers that C does not know to have ended yet."""
        self.end = self._ended.append

    def settle(self) -> None:
        """Let C know what has ended; for the thread that signs."""
        while self._ended:
            self.native.end(self._ended.popleft())

    def span(self) -> int:
        """See Signer."""
        self.settle()
        return self.native.span()

    def sign(self, message: bytes) -> tuple[bytes, int]:
        """See Signer."""
        self.settle()
        try:
            return self.native.sign(message)
        except GssCallError as error:
            raise library().error("gss_get_mic", error.major, error.minor) from None

    def verify(self, message: bytes, mic: bytes) -> None:
        """See Signer."""
        try:
            self.native.verify(message, mic)
        except GssCallError as error:
            raise library().error("gss_verify_mic", error.major, error.minor) from None


def make_signer(context: Context, name: bytes, expires: float, *, bounded: bool) -> Signer:
    """Return a signer with an established context, in C where that is possible.

    ``name`` is the key's on the wire in lower case; it signs until ``expires``, seconds since the epoch.
    ``bounded``: the other side refuses copies, and so what comes too late.
    """
    if not isinstance(context, SecurityContext):
        return PythonSigner(context)
    try:
        from pyd2.packets.contexts import NativeContext
    except ImportError:
        return PythonSigner(context)
    known = functions()
    if context.in_order:  # only libgssapi looks after the order
        del known["inquire_sec_context_by_oid"]
    return NativeSigner(NativeContext(known, context.hand_over(), name, expires, bounded=bounded))


class ServerSigners:
    """The signers of a server whose contexts sign the updates that C makes; for the update thread."""

    def __init__(self) -> None:
        self.contexts: NativeContexts | None = None
        """The contexts in C; None: there are none."""
        self._signers: list[NativeSigner] = []

    def set(self, signers: Iterable[Signer]) -> None:
        """Have these sign from now on, the first ones by preference."""
        self._signers = [signer for signer in signers if isinstance(signer, NativeSigner)]
        if self.contexts is None:
            if not self._signers:
                return
            from pyd2.packets.contexts import NativeContexts

            self.contexts = NativeContexts()
        self.contexts.set(signer.native for signer in self._signers)

    def settle(self) -> bool:
        """Let C know what has ended; return whether all contexts were nearly full since the last call."""
        for signer in self._signers:
            signer.settle()
        return self.contexts is not None and self.contexts.wants_another()

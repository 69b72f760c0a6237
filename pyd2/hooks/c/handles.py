"""Calls into hook libraries in C: handles, what is lent during a call, and how errors are reported.

cbridge/include/pyd2_hook.h has the rules. A library holds numbers, not addresses, so using one too long is an
error and no crash. What is lent to it ends with the outermost call.
"""

from __future__ import annotations

import atexit
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyd2.errors import HookError
from pyd2.hooks.c_abi import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pyd2.data.element import Element
    from pyd2.dns.tsig import SigningKey

T = TypeVar("T")


class RefusedError(HookError):
    """A library's call fails: it gets the code, and the text by last_error()."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Calls:
    """The calls into libraries that are running, nested in each other, and what was lent in them."""

    def __init__(self) -> None:
        self._depth = 0
        self._used = False
        """Whether any of the members below holds something."""
        self._lent: list[tuple[dict[int, Any], int]] = []
        self._texts: list[object] = []
        self._raised: BaseException | None = None

    def run(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  what the function returns
        """Call a function of a library; then end what was lent to it.

        Raises what Python code that the library called has raised and C cannot see: an interrupt, a fault.
        """
        self._depth += 1
        try:
            return function(*arguments)
        finally:
            self._depth -= 1
            if self._used and self._depth == 0:
                self._end()

    def _end(self) -> None:
        self._used = False
        for objects, number in self._lent:
            objects.pop(number, None)
        self._lent.clear()
        self._texts.clear()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised

    def lend(self, objects: dict[int, Any], number: int) -> None:
        """End a handle with the call."""
        self._check()
        self._lent.append((objects, number))

    def lend_text(self, out: Any, text: str | bytes) -> None:  # noqa: ANN401  a pyd2_hook_text *
        """Write a text to ``out``; it lives as long as the call."""
        self._check()
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        buffer = ffi.from_buffer(data)  # the octets of the bytes object itself: Python ends them with a NUL
        self._texts.append(buffer)
        out.data = buffer
        out.length = len(data)

    def _check(self) -> None:
        if self._depth == 0:
            raise RefusedError(lib.PYD2_HOOK_E_STATE, "nothing can be lent outside of a call")
        self._used = True

    def failed(
        self, _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None,
    ) -> int:
        """Turn an exception in a function of the table into an error code; cffi calls this."""
        text = str(error).encode("utf-8", "surrogateescape")
        if isinstance(error, RefusedError):
            code = error.code
        elif isinstance(error, HookError):
            code = lib.PYD2_HOOK_E_INVALID
        else:
            self._raised = error
            self._used = True
            code = lib.PYD2_HOOK_E_INTERNAL
        lib.pyd2_glue_set_error(text, len(text))
        return int(code)


calls = Calls()


class Shared:
    """Something in C that several objects use; the last of them to release it ends it.

    Counted here, because Python's garbage collector ends objects of a circle in any order.
    """

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users = 1

    def acquire(self) -> None:
        """Add a user."""
        self._users += 1

    def release(self) -> None:
        """Remove a user."""
        self._users -= 1
        if self._users == 0:
            self.end()

    def end(self) -> None:
        """End it; for the subclasses."""
        raise NotImplementedError


numbers = count(1, 2)
"""The numbers of handles; a server has the even number after its callout's (glue.h)."""


class Handles(Generic[T]):
    """The objects of one kind that libraries know by number. No number is used twice, for any kind."""

    __slots__ = ("_what", "objects")

    def __init__(self, what: str) -> None:
        """``what`` is the kind's name in error texts."""
        self._what = what
        self.objects: dict[int, T] = {}
        """The objects by number; exposed for the hot path."""

    def add(self, value: T) -> int:
        """Return a new handle, which ends by ``remove``."""
        number = next(numbers)
        self.objects[number] = value
        return number

    def lend(self, value: T) -> int:
        """Return a new handle, which ends with the call."""
        number = self.add(value)
        try:
            calls.lend(self.objects, number)
        except RefusedError:
            self.remove(number)
            raise
        return number

    def get(self, number: int) -> T:
        """Return the object; RefusedError when the handle has ended or never was one of this kind."""
        try:
            return self.objects[number]
        except KeyError:
            raise RefusedError(
                lib.PYD2_HOOK_E_HANDLE, f"there is no such {self._what}: it has ended, or it never was one",
            ) from None

    def remove(self, number: int) -> None:
        """End a handle, if it has not ended."""
        self.objects.pop(number, None)


JSON: Handles[Element] = Handles("JSON value")
KEYS: Handles[SigningKey] = Handles("key")


def text_of(data: Any, length: int) -> str:  # noqa: ANN401  a char *
    """Return a text that a library passes."""
    return octets_of(data, length).decode("utf-8", "surrogateescape")


def octets_of(data: Any, length: int) -> bytes:  # noqa: ANN401  a char *
    """Return octets that a library passes."""
    return bytes(ffi.buffer(data, length)) if length else b""


lib.pyd2_glue_claim_thread()
# Destructors that run while the interpreter ends must not call Python.
atexit.register(lib.pyd2_glue_retire)

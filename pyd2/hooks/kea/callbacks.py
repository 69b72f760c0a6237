"""The functions that C++ calls in Python (cbridge/kea/slots.h). No exception leaves them.

cffi binds them to the extension module once; ``serve`` sets the chain that they call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pyd2.hooks.describe import explain
from pyd2.hooks.kea.loaded import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.data.element import Element
    from pyd2.hooks.kea.bridge import CData, Shim


class Served(Protocol):
    """The chain that the callbacks serve."""

    def open_slot(self, slot: int) -> bool:
        """Open a library and check its version; a fault is logged."""

    def load_slot(self, slot: int, library: CData) -> bool:
        """Load the library; a fault is logged."""

    def unload_slot(self, slot: int) -> None:
        """Unload the library; a fault is logged."""

    def run_callout(self, slot: int, hook: int, number: int, handle: CData) -> bool:
        """Run a callout; False when it returned an error. Raises what it raises."""

    def run_server_command(self, name: str, arguments: Element | None) -> Element:
        """Carry out one of the server's own commands."""

    def write_log(self, severity: int, logger: str, text: str) -> None:
        """Write a message."""

    def unload(self) -> None:
        """Unload all libraries."""


class _State:
    shim: Shim | None = None
    served: Served | None = None
    write_log: Callable[[int, str, str], None] | None = None
    """Gets messages instead of the chain."""
    record: CData = None
    """The TSIG record of the last signature: C++ reads it after the call."""


def table(shim: Shim) -> CData:
    """Return the callbacks for kb_start."""
    _State.shim = shim
    names = ("version", "load", "unload", "callout", "released", "signing_begin", "signing_length",
             "signing_sign", "signing_verify", "command", "log")
    return ffi.new("kb_callbacks *", {name: getattr(lib, f"kb_py_{name}") for name in names})


def serve(chain: Served | None) -> None:
    """Set the chain that the callbacks call, or none."""
    _State.served = chain


@contextmanager
def logging_to(write_log: Callable[[int, str, str], None]) -> Iterator[None]:
    """Pass messages to a function meanwhile, and not to the chain."""
    _State.write_log = write_log
    try:
        yield
    finally:
        _State.write_log = None


def end() -> None:
    """Unload what is still loaded, and stop all calls from C++; before Python ends."""
    if _State.served is not None:
        _State.served.unload()
    lib.kb_stop()


def _raise(error: BaseException) -> int:
    """Leave the text of an exception for C++."""
    lib.kb_raise(explain(error).encode("utf-8", "backslashreplace"))
    return int(lib.KB_RAISED)


def _served() -> Served:
    assert _State.served is not None
    return _State.served


def _object(number: int) -> CData:
    assert _State.shim is not None
    return _State.shim.references.get(number)


@ffi.def_extern(error=-1)
def kb_py_version(slot: int) -> int:
    """Open a library and return its version; 0, which is no version, makes Kea refuse it."""
    try:
        return int(lib.kb_hooks_version()) if _served().open_slot(slot) else 0
    except BaseException as error:
        return _raise(error)


@ffi.def_extern(error=-1)
def kb_py_load(slot: int, library: CData) -> int:
    """Load a library."""
    try:
        return 0 if _served().load_slot(slot, library) else 1
    except BaseException as error:
        return _raise(error)


@ffi.def_extern(error=-1)
def kb_py_unload(slot: int) -> int:
    """Unload a library; its faults are logged here."""
    try:
        _served().unload_slot(slot)
    except BaseException as error:
        return _raise(error)
    return 0


@ffi.def_extern(error=-1)
def kb_py_callout(slot: int, hook: int, number: int, handle: CData) -> int:
    """Run a callout."""
    try:
        return 0 if _served().run_callout(slot, hook, number, handle) else 1
    except BaseException as error:
        return _raise(error)


@ffi.def_extern()
def kb_py_released(reference: int) -> None:
    """Forget an object."""
    if _State.shim is not None:
        _State.shim.references.release(reference)


@ffi.def_extern(error=-1)
def kb_py_signing_begin(key: int) -> int:
    """Begin to sign with a Python key."""
    try:
        assert _State.shim is not None
        return _State.shim.references.add(_object(key).begin())
    except BaseException as error:
        return _raise(error)


@ffi.def_extern(error=-1)
def kb_py_signing_length(signing: int) -> int:
    """Return how many octets signing adds."""
    try:
        return int(_object(signing).length)
    except BaseException as error:
        return _raise(error)


@ffi.def_extern(error=-1)
def kb_py_signing_sign(signing: int, query_id: int, message: CData, length: int, record: CData) -> int:
    """Sign a message."""
    try:
        signed = _object(signing).sign(ffi.buffer(message, length)[:], query_id)
        _State.record = ffi.from_buffer("uint8_t[]", signed)
    except BaseException as error:
        return _raise(error)
    record[0] = _State.record
    return len(signed)


@ffi.def_extern(error=-1)
def kb_py_signing_verify(signing: int, reply: CData, length: int) -> int:
    """Verify a reply."""
    try:
        return int(_object(signing).verify(ffi.buffer(reply, length)[:]))
    except BaseException as error:
        return _raise(error)


@ffi.def_extern(error=-1)
def kb_py_command(name: CData, arguments: CData, answer: CData) -> int:
    """Carry out one of the server's own commands."""
    try:
        shim = _State.shim
        assert shim is not None
        given = shim.read(arguments) if arguments else None
        answer[0] = shim.give(_served().run_server_command(_decode(name), given))
    except BaseException as error:
        return _raise(error)
    return 0


@ffi.def_extern()
def kb_py_log(severity: int, logger: CData, text: CData) -> None:
    """Write a message of a Kea logger."""
    write_log = _State.write_log
    if write_log is None and _State.served is not None:
        write_log = _State.served.write_log
    if write_log is None or _State.shim is None:
        return
    with _State.shim.logging():
        write_log(severity, _decode(logger), _decode(text))


def _decode(string: CData) -> str:
    octets: bytes = ffi.string(string)
    return octets.decode("utf-8", "surrogateescape")

"""The bridge to Kea, imported only when a library compiled for Kea is configured.

Those for several releases may be installed (cbridge/build_kea.py); the hooks version of the profile chooses.
There is one in a process, as there is one Kea in it. Only the hook thread uses it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyd2.errors import BridgeError
from pyd2.hooks.hook_thread import hook_thread
from pyd2.hooks.kea.building import PACKAGE, absent, build_command, release_of
from pyd2.hooks.kea.elements import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from pyd2.data.element import Element

CData: TypeAlias = Any
"""A value of cffi, or any other object: mypy knows no types for these."""

_MODULE: Final = "kea_shim_"
"""The name of the extension module in ``pyd2.hooks``, without the hooks version at its end."""


class References:
    """Python objects that C++ refers to by number, until it releases the number."""

    __slots__ = ("_last", "_objects")

    def __init__(self) -> None:
        self._objects: dict[int, object] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._objects)

    def add(self, value: object) -> int:
        """Keep an object; return its number, from 1."""
        self._last += 1
        self._objects[self._last] = value
        return self._last

    def get(self, number: int) -> CData:
        """Return an object."""
        return self._objects[number]

    def release(self, number: int) -> None:
        """Forget an object; an unknown number is ignored."""
        self._objects.pop(number, None)


class Shim:
    """The extension module, with errors as exceptions and with Python's values."""

    def __init__(self, ffi: CData, lib: CData) -> None:
        self.ffi: Final = ffi
        self.lib: Final = lib
        self.references: Final = References()
        self.reported: dict[str, int] | None = None
        """The server's own statistics as Kea's StatsMgr has them, by name; None: it has none yet."""
        self._busy_with_log = False
        self._unfreed: list[tuple[Callable[[CData], None], Any]] = []
        self._links = ""

    def error(self) -> BridgeError:
        """Return the fault that the last call reported."""
        return BridgeError(_string(self.ffi, self.lib.kb_error()))

    def check(self, result: int) -> int:
        """Return what a call returned; BridgeError if that is a failure."""
        if result < 0:
            raise self.error()
        return result

    def own(self, pointer: CData, free: Callable[[CData], None]) -> CData:
        """Return a handle that is freed with its last reference; BridgeError for NULL."""
        if not pointer:
            raise self.error()
        return self.ffi.gc(pointer, lambda raw: self._free(free, raw))

    def _free(self, free: Callable[[CData], None], raw: CData) -> None:
        # The last reference may go at any time, and in any thread.
        hook_thread.run(self._free_on_hook_thread, free, raw)

    def _free_on_hook_thread(self, free: Callable[[CData], None], raw: CData) -> None:
        # A library's destructors may log. While a message of Kea is being written, its lock is held.
        if self._busy_with_log:
            self._unfreed.append((free, raw))
        else:
            free(raw)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Surround the writing of a message that comes out of Kea's log."""
        self._busy_with_log = True
        try:
            yield
        finally:
            self._busy_with_log = False

    @contextmanager
    def links(self) -> Iterator[str]:
        """Make a directory for links to the extension, and remove it in the end.

        It has the same name each time: the dynamic linker keeps every name that an object was opened by.
        """
        try:
            Path(self._links).mkdir(0o700)
        except OSError:  # there is no name yet, or another process uses it
            self._links = tempfile.mkdtemp(prefix="pyd2-hooks-")
        try:
            yield self._links
        finally:
            shutil.rmtree(self._links)

    def free_deferred(self) -> None:
        """Free the handles that could not be freed when their last reference went."""
        while self._unfreed:
            free, raw = self._unfreed.pop()
            free(raw)

    def text(self, pointer: CData) -> str:
        """Return a text that the caller owns, and free it; BridgeError for NULL."""
        if not pointer:
            raise self.error()
        try:
            return _string(self.ffi, pointer)
        finally:
            self.lib.kb_free(pointer)

    def kea_libraries(self) -> list[str]:
        """Return the paths of the loaded Kea's libraries."""
        return self.text(self.lib.kb_kea_libraries()).split("\n")[:-1]

    def bytes(self, text: str) -> bytes:
        """Return a text as octets for C."""
        return text.encode("utf-8", "surrogateescape")

    def element(self, value: Element | None) -> CData:
        """Return a handle on a JSON value; NULL for None."""
        if value is None:
            return self.ffi.NULL
        return self.own(self.give(value), self.lib.kb_element_free)

    def give(self, value: Element) -> CData:
        """Return a handle on a JSON value that C++ will free. Raises BridgeError."""
        block = encode(value)
        element = self.lib.kb_element_read(block, len(block))
        if not element:
            raise self.error()
        return element

    def value(self, element: CData) -> Element | None:
        """Return the JSON value of a handle that the caller owns, and free it; None for NULL."""
        if not element:
            return None
        try:
            return self.read(element)
        finally:
            self.lib.kb_element_free(element)

    def read(self, element: CData) -> Element:
        """Return the JSON value of a handle. Raises BridgeError."""
        size = self.ffi.new("size_t *")
        block = self.lib.kb_element_write(element, size)
        if not block:
            raise self.error()
        try:
            return decode(self.ffi.buffer(block, size[0])[:])
        finally:
            self.lib.kb_free(block)


def _string(ffi: CData, pointer: CData) -> str:
    octets = ffi.string(pointer)
    assert isinstance(octets, bytes)
    return octets.decode("utf-8", "surrogateescape")


def version_in(report: str) -> str:
    """Return the version that a build report of Kea names, empty if it names none."""
    found = re.search(r"Version:\s*(\d+\.\d+\.\d+)", report)
    return found.group(1) if found else ""


def module_of(hooks_version: int) -> str:
    """Return the name of the extension module for a hooks version."""
    return f"pyd2.hooks.{_MODULE}{hooks_version}"


def built() -> list[int]:
    """Return the hooks versions for which there is an extension module, in order."""
    names = (module.name for module in pkgutil.iter_modules([str(PACKAGE / "hooks")]))
    return sorted(int(name.removeprefix(_MODULE)) for name in names if name.startswith(_MODULE))


def rebuild(release: str) -> str:
    """Return what to do about a bridge that does not fit."""
    return f"rebuild the bridge: {build_command(release)}"


class _State:
    module: ModuleType | None = None


def extension(hooks_version: int) -> Shim:
    """Return the extension module for a hooks version, not started.

    Raises BridgeError when it is absent or cannot be loaded, and when this process has that of another Kea.
    """
    # pyd2's log holds the lock file while it writes; Kea's own lock on the same file would release it.
    os.environ["KEA_LOCKFILE_DIR"] = "none"
    name, release = module_of(hooks_version), release_of(hooks_version)
    if _State.module is not None and _State.module.__name__ != name:
        raise BridgeError(f"this process has loaded another Kea than {release}: restart it")
    try:
        kea_shim = importlib.import_module(name)
    except ModuleNotFoundError:
        raise BridgeError(absent(hooks_version)) from None
    except ImportError as error:
        unfit = f"the bridge does not fit the installed Kea ({error}): {rebuild(release)}"
        raise BridgeError(unfit) from error
    _State.module = kea_shim
    return Shim(kea_shim.ffi, kea_shim.lib)


def loaded() -> ModuleType:
    """Return the extension module that this process has loaded."""
    assert _State.module is not None
    return _State.module


def versions(made: Shim) -> tuple[str, str]:
    """Return the version of Kea that the bridge was built for, and that of the Kea that is loaded now.

    The second is empty if Kea does not report it.
    """
    return release_of(made.lib.kb_hooks_version()), version_in(made.text(made.lib.kb_runs_with()))

"""One hook library: opened from its entry, its version checked, closed again (contract, section 7).

A library is a shared object, in C or what can be called from C (pyd2.hooks.c_library), or written in Python.

A library written in Python is a file, ``DIRECTORY/NAME.py``, or an importable module,
``python:package.module``. Each opening runs the source afresh in a module of its own, under a name of its
own, so that two openings share nothing. No byte code is written or read: a changed file counts at the next
reload even when its size and the second of its time stamp are the same.
"""

from __future__ import annotations

import errno
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pyd2.config.hooks_libraries import PYTHON_PREFIX
from pyd2.errors import HookError
from pyd2.hooks.points import VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import ModuleType

    from pyd2.messages import Log

_ELF = b"\x7fELF"
_ELF_HEADER = 64
_PLAIN_C = re.compile(rb"pyd2_hook_(?:requires|version|load)\0")
"""Stands among the names of a shared object that is a library for pyd2 and not for Kea.

Loading it would tell for certain, but one for Kea can be loaded only where Kea is.
"""

_serial = count(1)


class Library(Protocol):
    """An open hook library: a namespace in which functions are looked up by name."""

    @property
    def name(self) -> str:
        """The entry's ``library``."""

    def function(self, name: str) -> Callable[..., object] | None:
        """Return the library's function of that name, None when it has none."""

    def wrong_version(self, version: object) -> tuple[object, object] | None:
        """Say what is wrong with what ``version`` returned: that, and what is required. None: nothing."""

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Let what the library has in the event loop begin; calls after the first change nothing."""

    def close(self) -> None:
        """Close the library: none of its functions will be asked for any more."""


class PythonLibrary:
    """An open hook library in Python; a ``Library``."""

    __slots__ = ("_module", "name")

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        """The entry's ``library``."""
        self._module = module

    def function(self, name: str) -> Callable[..., object] | None:
        """Return the library's function of that name, None when it has none."""
        # In the dict, so that no code of the library's (a module's __getattr__) runs here.
        found = self._module.__dict__.get(name)
        return cast("Callable[..., object]", found) if callable(found) else None

    def wrong_version(self, version: object) -> tuple[object, object] | None:
        """Say what is wrong with a version."""
        return None if type(version) is int and version == VERSION else (returned(version), VERSION)

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Do nothing: a library in Python uses the loop itself."""

    def close(self) -> None:
        """Remove the module, and for a package the modules in it, from ``sys.modules``.

        Keys that are still in use live on until their last use ends.
        """
        own = self._module.__name__
        for loaded in [name for name in sys.modules if name == own or name.startswith(own + ".")]:
            del sys.modules[loaded]


def open_library(name: str) -> Library:
    """Open a library, the one place that tells the kinds apart.

    Raises HookError with the reason of HOOKS_OPEN_ERROR. Whatever the library's own code raises becomes one.
    """
    if name.startswith(PYTHON_PREFIX):
        return _run(name, _module_source(name.removeprefix(PYTHON_PREFIX)))
    name = name.partition("\0")[0]  # dlopen() reads no further
    try:
        content = Path(name).read_bytes()
    except IsADirectoryError:
        raise HookError(f"{name}: cannot read file data: {os.strerror(errno.EISDIR)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise HookError(f"{name}: cannot open shared object file: {reason}") from error
    if name.endswith(".py"):
        stem = re.sub(r"\W", "_", Path(name).stem)
        spec = importlib.machinery.ModuleSpec(f"pyd2_hook_{next(_serial)}_{stem}", None, origin=name)
        spec.has_location = True
        return _run(name, (spec, content))
    if content.startswith(_ELF) and _PLAIN_C.search(content):
        return _open_plain_c(name)
    raise HookError(f"{name}: {_unfit(content)}")


def is_for_kea(name: str) -> bool:
    """Say whether an entry's library is a shared object that was compiled against Kea."""
    if name.startswith(PYTHON_PREFIX) or name.endswith(".py"):
        return False
    try:
        content = Path(name).read_bytes()
    except (OSError, ValueError):
        return False
    return content.startswith(_ELF) and len(content) >= _ELF_HEADER and not _PLAIN_C.search(content)


def _open_plain_c(name: str) -> Library:
    try:
        from pyd2.hooks.c_library import CLibrary
    except ModuleNotFoundError as error:
        if error.name != "pyd2.hooks.c_abi":
            raise
        raise HookError(
            f"{name}: a hook library in C needs pyd2's compiled part, which this installation does not have",
        ) from None
    return CLibrary(name)


def _unfit(content: bytes) -> str:
    """Return why a file is no library: in the words of the system's loader unless it is a compiled one."""
    if len(content) < _ELF_HEADER:
        return "file too short"
    if not content.startswith(_ELF):
        return "invalid ELF header"
    return "a compiled Kea hook library runs through the bridge to Kea only"


def _module_source(module: str) -> tuple[importlib.machinery.ModuleSpec, str]:
    """Find an importable module; importing the packages above it is what Python's search needs."""
    importlib.invalidate_caches()
    try:
        found = importlib.util.find_spec(module)
        loader = None if found is None else cast("Any", found.loader)
        source = None if loader is None or not hasattr(loader, "get_source") else loader.get_source(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise HookError(explain(error)) from error
    if found is None:
        raise HookError(f"No module named '{module}'")
    if source is None:
        raise HookError(f"module '{module}' has no Python source")
    parent, dot, own = module.rpartition(".")
    spec = importlib.machinery.ModuleSpec(
        f"{parent}{dot}pyd2_hook_{next(_serial)}_{own}", None, origin=found.origin,
    )
    spec.has_location = found.has_location
    spec.submodule_search_locations = found.submodule_search_locations
    return spec, source


def _run(name: str, source: tuple[importlib.machinery.ModuleSpec, bytes | str]) -> PythonLibrary:
    """Run the source in a new module, in ``sys.modules`` under its name, as dataclasses and others need."""
    spec, text = source
    module = importlib.util.module_from_spec(spec)
    library = PythonLibrary(name, module)
    sys.modules[spec.name] = module
    try:
        exec(compile(text, spec.origin or name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  what loading means
    except BaseException as error:
        library.close()
        if isinstance(error, KeyboardInterrupt):
            raise
        raise HookError(explain(error)) from error
    return library


def check_version(library: Library, log: Log) -> bool:
    """Ask the library for its version; what is wrong with it is logged."""
    version = library.function("version")
    if version is None:
        log.emit("HOOKS_NO_VERSION", library.name)
        return False
    try:
        number = version()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.emit("HOOKS_VERSION_EXCEPTION", library.name)
        log.emit("PYD2_HOOK_EXCEPTION", library.name, explain(error))
        return False
    wrong = library.wrong_version(number)
    if wrong is not None:
        log.emit("HOOKS_INCORRECT_VERSION", library.name, *wrong)
        return False
    log.emit("HOOKS_LIBRARY_VERSION", library.name, number)
    return True


def close_library(library: Library, log: Log) -> None:
    """Close a library and say so."""
    library.close()
    log.emit("HOOKS_LIBRARY_CLOSED", library.name)


def check_library(name: str, log: Log) -> bool:
    """Open a library, check its version, close it: the check phase. What is wrong is logged."""
    try:
        library = open_library(name)
    except HookError as error:
        log.emit("HOOKS_OPEN_ERROR", name, error)
        return False
    try:
        return check_version(library, log)
    finally:
        close_library(library, log)


def explain(error: BaseException) -> str:
    """Return in one line what an exception that left a library says: type, text and place.

    The place is the deepest one in the library's own file. Of a HookError it is the text alone.
    """
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a library's exception class may do anything
        text = "its text cannot be had"
    text = " ".join(text.split())
    if isinstance(error, HookError):
        return text
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = _place(error)
    return f"{what} ({place})" if place else what


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        return f"{error.filename}:{error.lineno}"
    # The first frame is ours, the second the library's: what it calls in turn says less to its author.
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen ")
    ][1:]
    own = [f"{file}:{line}" for file, line in frames if file == frames[0][0]]
    return own[-1] if own else ""


def returned(value: object) -> object:
    """Return what the log says of a value that a library's function returned: its type if it is no number."""
    return value if type(value) in {int, float, bool} else type(value).__name__


def place_of(function: object) -> str:
    """Return where a callout stands, ``file:line``, or what it says itself, or its type's name.

    It takes the place of the code address in Kea's messages.
    """
    told = getattr(function, "hook_place", None)
    if isinstance(told, str):
        return told
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        kind = type(function)
        return f"{kind.__module__}.{kind.__qualname__}"
    return f"{code.co_filename}:{code.co_firstlineno}"

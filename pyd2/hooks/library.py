"""One hook library: opened from its entry, its version checked, closed again (contract, section 7).

A library is a shared object, in C or what can be called from C (pyd2.hooks.c_library), or written in Python
(pyd2.hooks.python_library).
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from itertools import dropwhile
from typing import TYPE_CHECKING, Protocol

from pyd2.config.hooks_libraries import PYTHON_PREFIX
from pyd2.errors import HookError
from pyd2.hooks.points import RULES, HookRules
from pyd2.regular import UnfitFileError, open_regular

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.messages import Log

_ELF = b"\x7fELF"
_ELF_HEADER = 64
_PLAIN_C = re.compile(rb"pyd2_hook_(?:requires|version|load)\0")
"""Stands among the names of a shared object that is a library for pyd2 and not for Kea.

Loading it would tell for certain, but one for Kea can be loaded only where Kea is.
"""


class Library(Protocol):
    """An open hook library: a namespace in which functions are looked up by name."""

    @property
    def name(self) -> str:
        """The entry's ``library``."""

    def function(self, name: str) -> Callable[..., object] | None:
        """Return the library's function of that name, None when it has none."""

    def wrong_version(self, version: object, rules: HookRules) -> tuple[object, object] | None:
        """Say what is wrong with what ``version`` returned: that, and what is required. None: nothing."""

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Let what the library has in the event loop begin; calls after the first change nothing."""

    def close(self) -> None:
        """Close the library: none of its functions will be asked for any more."""


def open_library(name: str, directory: str = "") -> Library:
    """Open a library, the one place that tells the kinds apart; ``directory`` is where they lie.

    Raises HookError with the reason of HOOKS_OPEN_ERROR. Whatever the library's own code raises becomes one.
    """
    if in_python(name):
        from pyd2.hooks.python_library import open_python

        return open_python(name, directory)
    name = name.partition("\0")[0]  # dlopen() reads no further
    content = read_library(name)
    if content.startswith(_ELF) and _PLAIN_C.search(content):
        return _open_plain_c(name)
    raise HookError(f"{name}: {_unfit(content)}")


def in_python(name: str) -> bool:
    """Say whether an entry's library is written in Python."""
    return name.startswith(PYTHON_PREFIX) or name.partition("\0")[0].endswith(".py")


def read_library(name: str) -> bytes:
    """Return the content of a library's file, never waiting for a FIFO or a device.

    Raises HookError with the reason of HOOKS_OPEN_ERROR.
    """
    try:
        with os.fdopen(open_regular(name), "rb") as file:
            return file.read()
    except UnfitFileError:
        raise HookError(f"{name}: cannot read file data: it is not a regular file") from None
    except IsADirectoryError:
        raise HookError(f"{name}: cannot read file data: {os.strerror(errno.EISDIR)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise HookError(f"{name}: cannot open shared object file: {reason}") from error


def is_for_kea(name: str) -> bool:
    """Say whether an entry's library is a shared object that was compiled against Kea."""
    if in_python(name):
        return False
    try:
        content = read_library(name)
    except HookError:
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


def check_version(library: Library, log: Log, rules: HookRules = RULES) -> bool:
    """Ask the library for its version; what is wrong with it is logged."""
    version = library.function("version")
    if version is None:
        log.emit("HOOKS_NO_VERSION", library.name)
        return False
    try:
        number = version()
    except BaseException as error:
        log.emit("HOOKS_VERSION_EXCEPTION", library.name)
        log.emit("PYD2_HOOK_EXCEPTION", library.name, explain(error))
        return False
    wrong = library.wrong_version(number, rules)
    if wrong is not None:
        log.emit("HOOKS_INCORRECT_VERSION", library.name, *wrong)
        return False
    log.emit("HOOKS_LIBRARY_VERSION", library.name, number)
    return True


def close_library(library: Library, log: Log) -> None:
    """Close a library and say so."""
    library.close()
    log.emit("HOOKS_LIBRARY_CLOSED", library.name)


def check_library(name: str, log: Log, directory: str = "") -> bool:
    """Check a library as far as that can be done; what is wrong is logged.

    One in C is opened, asked for its version and closed, as Kea does. Of one in Python nothing runs: its
    source is found, read and parsed.
    """
    try:
        if in_python(name):
            from pyd2.hooks.python_library import check_python

            check_python(name, directory)
            return True
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
    # The first frame is ours, the next file the library's: what it calls in turn says less to its author.
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen ")
    ]
    ours = frames[0][0] if frames else ""
    frames = [*dropwhile(lambda frame: frame[0] == ours, frames)]
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

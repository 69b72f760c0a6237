"""What a hook library is: its interface, its file, and its kind (contract, section 7).

It is written in Python (pyd2.hooks.python_library), or a shared object: in C or what can be called from C
(pyd2.hooks.c.library), or compiled for Kea (pyd2.hooks.kea). One is part of pyd2 (pyd2.hooks.gss.library).
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Protocol

from pyd2.config.hooks_libraries import GSS_TSIG, PYTHON_PREFIX
from pyd2.errors import HookError
from pyd2.regular import UnfitFileError, open_regular

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log

_ELF = b"\x7fELF"
_ELF_HEADER = 64
_PLAIN_C = re.compile(rb"pyd2_hook_(?:requires|version|load)\0")
"""A name in the symbol table of a shared object that is a library for pyd2 and not for Kea.

Loading the object would be certain, but one for Kea can be loaded only where Kea is installed.
"""


class Library(Protocol):
    """An open hook library: a namespace in which functions are looked up by name."""

    @property
    def name(self) -> str:
        """The entry's ``library``."""

    def function(self, name: str) -> Callable[..., object] | None:
        """Return the library's function of that name, None when it has none."""

    def wrong_version(self, version: object, rules: HookRules) -> tuple[object, object] | None:
        """Compare what ``version`` returned: None if it fits, else what it is and what is required."""

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Start the library's timers in the event loop; calls after the first change nothing."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Add the library's statistics to those of the server, if it has any."""

    def close(self) -> None:
        """Close the library: its functions are no longer used."""


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


def is_plain_c(content: bytes) -> bool:
    """Say whether a library's file is a shared object for pyd2 itself, in C as a rule."""
    return content.startswith(_ELF) and _PLAIN_C.search(content) is not None


def is_for_kea(name: str) -> bool:
    """Say whether an entry's library is a shared object that was compiled against Kea."""
    if in_python(name) or name == GSS_TSIG:
        return False
    try:
        content = read_library(name)
    except HookError:
        return False
    return content.startswith(_ELF) and len(content) >= _ELF_HEADER and not is_plain_c(content)


def why_unfit(content: bytes) -> str:
    """Return why a file is no library, in the words of the system's loader where it would refuse it."""
    if len(content) < _ELF_HEADER:
        return "file too short"
    if not content.startswith(_ELF):
        return "invalid ELF header"
    return "a compiled Kea hook library runs through the bridge to Kea only"

"""Opens one hook library, checks its version, and closes it (contract, section 7)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pyd2.config.hooks_libraries import GSS_TSIG
from pyd2.errors import HookError
from pyd2.hooks.describe import explain
from pyd2.hooks.library import in_python, is_plain_c, read_library, why_unfit
from pyd2.hooks.points import RULES, HookRules
from pyd2.hooks.python_library import check_python, open_python

if TYPE_CHECKING:
    from pyd2.hooks.library import Library
    from pyd2.messages import Log


def open_library(name: str, directory: str = "") -> Library:
    """Open a library of any kind but Kea's; ``directory`` is the hooks directory.

    Raises HookError with the reason of HOOKS_OPEN_ERROR. So does what the library's own code raises.
    """
    if in_python(name):
        return open_python(name, directory)
    if name == GSS_TSIG:
        from pyd2.hooks.gss.library import GssTsigLibrary

        return GssTsigLibrary(name)
    name = name.partition("\0")[0]  # dlopen() reads no further
    content = read_library(name)
    if is_plain_c(content):
        return _open_plain_c(name)
    raise HookError(f"{name}: {why_unfit(content)}")


def _open_plain_c(name: str) -> Library:
    try:
        import_module("pyd2.hooks.c.api")  # what the library may call must exist before it is loaded
        from pyd2.hooks.c.library import CLibrary
    except ModuleNotFoundError as error:
        if error.name != "pyd2.hooks.c_abi":
            raise
        raise HookError(
            f"{name}: a hook library in C needs pyd2's compiled part, which this installation does not have",
        ) from None
    return CLibrary(name)


def check_version(library: Library, log: Log, rules: HookRules = RULES) -> bool:
    """Ask the library for its version; a fault is logged."""
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
    """Close a library and log it."""
    library.close()
    log.emit("HOOKS_LIBRARY_CLOSED", library.name)


def check_library(name: str, log: Log, directory: str = "", rules: HookRules = RULES) -> bool:
    """Check a library as far as possible; a fault is logged.

    A library in C is opened, asked for its version and closed, as Kea does. Nothing of one in Python runs:
    its source is found, read and parsed.
    """
    try:
        if in_python(name):
            check_python(name, directory)
            return True
        library = open_library(name)
    except HookError as error:
        log.emit("HOOKS_OPEN_ERROR", name, error)
        return False
    try:
        return check_version(library, log, rules)
    finally:
        close_library(library, log)

"""Checks and loads lists of libraries of which some are compiled for Kea."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pyd2.errors import BridgeError, HookError
from pyd2.hooks.interface import FAILED
from pyd2.hooks.kea import log as kea_log
from pyd2.hooks.kea import start
from pyd2.hooks.kea.other_kea import foreign
from pyd2.hooks.library import is_for_kea
from pyd2.hooks.opening import check_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Chain, ServerCommands
    from pyd2.hooks.kea.bridge import Shim
    from pyd2.hooks.kea.log import ServerLog
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log


def check_mixed(entries: Sequence[HookLibrary], log: Log, rules: HookRules) -> list[str]:
    """Check libraries, some of them compiled for Kea; return the names of the bad ones, in order."""
    return [entry.library for entry in entries if not _check(entry, log, rules)]


def _check(entry: HookLibrary, log: Log, rules: HookRules) -> bool:
    if is_for_kea(entry.library):
        return _check_compiled(entry.library, log, rules)
    return check_library(entry.library, log, entry.directory, rules)


def _check_compiled(name: str, log: Log, rules: HookRules) -> bool:
    try:
        shim = start.shim(rules.version)
    except BridgeError as error:
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: {error}")
        return False
    if not _may_be_opened(name, log, shim, rules):
        return False
    from pyd2.hooks.kea import callbacks

    server_log = cast("ServerLog", log)
    kea_log.follow_levels(shim, server_log)
    with callbacks.logging_to(lambda *line: kea_log.write_any(server_log, *line)):
        return shim.check(shim.lib.kb_check_library(shim.bytes(name))) > 0


def _may_be_opened(name: str, log: Log, shim: Shim, rules: HookRules) -> bool:
    """Say whether opening a library cannot end the process; a fault is logged in Kea's words."""
    try:
        other = foreign(name, shim.kea_libraries())
    except HookError as error:
        log.emit("HOOKS_OPEN_ERROR", name, error)
        return False
    if other is None:
        return True
    if not other.found:
        missing = f"{other.needed}: cannot open shared object file: No such file or directory"
        log.emit("HOOKS_OPEN_ERROR", name, missing)
    elif other.version not in {None, rules.version}:
        log.emit("HOOKS_INCORRECT_VERSION", name, other.version, rules.version)
    else:
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: it needs {other.needed}, a library of another Kea")
    log.emit("PYD2_HOOK_OTHER_KEA", name, other.what_to_do(rules.version))
    return False


def load_mixed(
    entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int], commands: ServerCommands | None,
    rules: HookRules,
) -> Chain:
    """Load libraries, some of them compiled for Kea. Raises HookError with Kea's text."""
    compiled = [entry.library for entry in entries if is_for_kea(entry.library)]
    try:
        shim = start.shim(rules.version)
    except BridgeError as error:
        log.emit("HOOKS_OPEN_ERROR", compiled[0], f"{compiled[0]}: {error}")
        raise HookError(FAILED) from error
    # They were checked with the configuration, and may have been replaced since.
    if not all(_may_be_opened(name, log, shim, rules) for name in compiled):
        raise HookError(FAILED)
    from pyd2.hooks.kea.chain import KeaChain

    return KeaChain(entries, log, clock, commands=commands, rules=rules)

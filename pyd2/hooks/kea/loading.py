"""Checks and loads lists of libraries of which some are compiled for Kea."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pyd2.errors import BridgeError, HookError
from pyd2.hooks.interface import FAILED
from pyd2.hooks.kea import log as kea_log
from pyd2.hooks.kea import start
from pyd2.hooks.library import is_for_kea
from pyd2.hooks.opening import check_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Chain, ServerCommands
    from pyd2.hooks.kea.log import ServerLog
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log


def check_mixed(entries: Sequence[HookLibrary], log: Log) -> list[str]:
    """Check libraries, some of them compiled for Kea; return the names of the bad ones, in order."""
    return [entry.library for entry in entries if not _check(entry, log)]


def _check(entry: HookLibrary, log: Log) -> bool:
    if is_for_kea(entry.library):
        return _check_compiled(entry.library, log)
    return check_library(entry.library, log, entry.directory)


def _check_compiled(name: str, log: Log) -> bool:
    try:
        shim = start.shim()
    except BridgeError as error:
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: {error}")
        return False
    from pyd2.hooks.kea import callbacks

    server_log = cast("ServerLog", log)
    kea_log.follow_levels(shim, server_log)
    with callbacks.logging_to(lambda *line: kea_log.write_any(server_log, *line)):
        return shim.check(shim.lib.kb_check_library(shim.bytes(name))) > 0


def load_mixed(
    entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int], commands: ServerCommands | None,
    rules: HookRules,
) -> Chain:
    """Load libraries, some of them compiled for Kea. Raises HookError with Kea's text."""
    try:
        start.shim()
    except BridgeError as error:
        name = next(entry.library for entry in entries if is_for_kea(entry.library))
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: {error}")
        raise HookError(FAILED) from error
    from pyd2.hooks.kea.chain import KeaChain

    return KeaChain(entries, log, clock, commands=commands, rules=rules)

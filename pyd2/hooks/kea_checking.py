"""Lists with compiled Kea libraries in them: their check, and their loading when the bridge is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pyd2.errors import BridgeError, HookError
from pyd2.hooks.library import check_library, is_for_kea

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.chain import Chain, ServerCommands
    from pyd2.hooks.kea_log import ServerLog
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log


def check_mixed(entries: Sequence[HookLibrary], log: Log) -> list[str]:
    """Check libraries, some of them compiled against Kea; return the names of those in error, in order."""
    return [entry.library for entry in entries if not _check(entry, log)]


def _check(entry: HookLibrary, log: Log) -> bool:
    if is_for_kea(entry.library):
        return _check_compiled(entry.library, log)
    return check_library(entry.library, log, entry.directory)


def _check_compiled(name: str, log: Log) -> bool:
    from pyd2.hooks import kea_bridge, kea_log

    try:
        shim = kea_bridge.shim()
    except BridgeError as error:
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: {error}")
        return False
    from pyd2.hooks import kea_callbacks

    server_log = cast("ServerLog", log)
    kea_log.follow_levels(shim, server_log)
    with kea_callbacks.logging_to(lambda *line: kea_log.write_any(server_log, *line)):
        return shim.check(shim.lib.kb_check_library(shim.bytes(name))) > 0


def load_mixed(
    entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int], commands: ServerCommands | None,
    rules: HookRules,
) -> Chain:
    """Load libraries, some of them compiled against Kea. Raises HookError with Kea's text."""
    from pyd2.hooks.chain import FAILED
    from pyd2.hooks.kea_bridge import shim

    try:
        shim()
    except BridgeError as error:
        name = next(entry.library for entry in entries if is_for_kea(entry.library))
        log.emit("HOOKS_OPEN_ERROR", name, f"{name}: {error}")
        raise HookError(FAILED) from error
    from pyd2.hooks.kea_chain import KeaChain

    return KeaChain(entries, log, clock, commands=commands, rules=rules)

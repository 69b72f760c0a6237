"""Checks and loads the libraries of a configuration, in the chain that can run them.

What checks and runs libraries is imported only where there are some: it takes long.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from pyd2.hooks.no_libraries import NoLibraries
from pyd2.hooks.points import RULES, HookRules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Chain, ServerCommands
    from pyd2.messages import Log


def check_libraries(entries: Sequence[HookLibrary], log: Log, rules: HookRules = RULES) -> list[str]:
    """Check each library as far as possible; return the names of the bad ones, in order.

    This is part of checking a configuration, with ``-t`` too. Faults are logged. No library in Python runs.
    """
    from pyd2.hooks.library import is_for_kea
    from pyd2.hooks.opening import check_library

    if not any(is_for_kea(entry.library) for entry in entries):
        return [entry.library for entry in entries
                if not check_library(entry.library, log, entry.directory, rules)]
    from pyd2.hooks.kea.loading import check_mixed

    return check_mixed(entries, log, rules)


def load_chain(
    entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int] = perf_counter_ns, *,
    commands: ServerCommands | None = None, rules: HookRules = RULES,
) -> Chain:
    """Load libraries in the chain that can run them: Kea's if one needs Kea, else the one in Python.

    ``commands`` are the server's own, which compiled libraries may run.

    Unload the chain in force first: libraries expect to be loaded once. After a HookError nothing of the new
    set is left, and a second call can load the old set again.
    """
    if not entries:
        return NoLibraries()
    from pyd2.hooks.library import is_for_kea

    if not any(is_for_kea(entry.library) for entry in entries):
        from pyd2.hooks.python_chain import PythonChain

        return PythonChain(entries, log, clock, rules)
    from pyd2.hooks.kea.loading import load_mixed

    return load_mixed(entries, log, clock, commands, rules)

"""Loading and unloading of hook libraries, with Kea's order and messages (contract, section 7)."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from pyd2.errors import HookError
from pyd2.hooks.describe import explain, place_of, returned
from pyd2.hooks.handle import LibraryHandle, Registrar
from pyd2.hooks.opening import check_version, close_library, open_library
from pyd2.hooks.python_library import PythonLibrary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.callouts import Callouts
    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.library import Library
    from pyd2.messages import Log


class Hooks(Registrar, Protocol):
    """A registry of callouts from which a library's own can be removed."""

    def hooks(self) -> list[str]:
        """Return all hook names in Kea's order."""

    def points(self) -> list[str]:
        """Return the hook points to which a function attaches by its name, in Kea's order."""

    def present_of(self, library_index: int) -> bool:
        """Say whether a library has anything registered, a command included."""


class LoadedLibrary:
    """A library between ``load`` and ``unload``."""

    __slots__ = ("_callouts", "_index", "_library", "_log")

    def __init__(self, library: Library, index: int, callouts: Hooks, log: Log) -> None:
        self._library = library
        self._index = index
        self._callouts = callouts
        self._log = log

    def load(self, entry: HookLibrary) -> bool:
        """Register the standard callouts, then run ``load``; a fault is logged."""
        handle = LibraryHandle(entry.library, self._index, entry.parameters, self._callouts, self._log)
        name, log = entry.library, self._log
        try:
            self._register_standard_callouts()
            load = self._library.function("load")
            if load is None:
                log.emit("HOOKS_NO_LOAD", name)
                self._warn_without_callouts()
                return True
            result = load(handle)
            good = result is None or result == 0
        except HookError as error:
            log.emit("HOOKS_LOAD_FRAMEWORK_EXCEPTION", name, explain(error))
            return False
        except BaseException as error:
            log.emit("HOOKS_LOAD_EXCEPTION", name)
            log.emit("PYD2_HOOK_EXCEPTION", name, explain(error))
            return False
        finally:
            handle.seal()
        if good:
            log.emit("HOOKS_LOAD_SUCCESS", name)
            self._warn_without_callouts()
        else:
            log.emit("HOOKS_LOAD_ERROR", name, returned(result))
        return good

    def _warn_without_callouts(self) -> None:
        """Warn of a library in Python that the server never calls: most likely a name is misspelt."""
        if not isinstance(self._library, PythonLibrary) or self._callouts.present_of(self._index):
            return
        hint = ""
        for name in self._library.function_names():
            if meant := get_close_matches(name, self._callouts.points(), 1):
                hint = f"; is its function {name} meant for hook {meant[0]}?"
                break
        self._log.emit("PYD2_HOOK_NO_CALLOUTS", self._library.name, hint)

    def _register_standard_callouts(self) -> None:
        for hook in self._callouts.points():
            callout = self._library.function(hook)
            if callout is not None:
                self._callouts.register(self._index, hook, callout)
                self._log.emit("HOOKS_STD_CALLOUT_REGISTERED", self._library.name, hook, place_of(callout))

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the library's timers in the event loop."""
        self._library.attach(loop, self._log)

    def share_statistics(self, statistics: Statistics) -> None:
        """Add the library's statistics to those of the server, if it has any."""
        self._library.share_statistics(statistics)

    def prepare_unload(self) -> None:
        """Run ``unload`` and remove the callouts. A fault is logged and changes nothing."""
        self.run_unload()
        for hook in self._callouts.hooks():
            if self._callouts.deregister_all(self._index, hook):
                self._log.emit("HOOKS_CALLOUTS_REMOVED", hook, self._library.name)

    def run_unload(self) -> None:
        """Run ``unload``. A fault is logged and changes nothing."""
        name, log = self._library.name, self._log
        unload = self._library.function("unload")
        if unload is None:
            log.emit("HOOKS_NO_UNLOAD", name)
            return
        try:
            result = unload()
            good = result is None or result == 0
        except HookError as error:
            log.emit("HOOKS_UNLOAD_FRAMEWORK_EXCEPTION", name, explain(error))
        except BaseException as error:
            log.emit("HOOKS_UNLOAD_EXCEPTION", name)
            log.emit("PYD2_HOOK_EXCEPTION", name, explain(error))
        else:
            if good:
                log.emit("HOOKS_UNLOAD_SUCCESS", name)
            else:
                log.emit("HOOKS_UNLOAD_ERROR", name, returned(result))

    def close(self) -> None:
        """Close the library, the last step."""
        close_library(self._library, self._log)


def load_library(index: int, entry: HookLibrary, callouts: Callouts, log: Log) -> LoadedLibrary | None:
    """Open, check and load one library; None when that fails, and then nothing of it is left."""
    log.emit("HOOKS_LIBRARY_LOADING", entry.library)
    try:
        library = open_library(entry.library, entry.directory)
    except HookError as error:
        log.emit("HOOKS_OPEN_ERROR", entry.library, error)
        return None
    loaded = LoadedLibrary(library, index, callouts, log)
    if check_version(library, log, callouts.rules):
        if loaded.load(entry):
            log.emit("HOOKS_LIBRARY_LOADED", entry.library)
            return loaded
        loaded.prepare_unload()
    loaded.close()
    return None


def load_libraries(
    entries: Sequence[HookLibrary], callouts: Callouts, log: Log,
) -> list[LoadedLibrary] | None:
    """Load libraries in order. When one fails, unload the earlier ones, the last first, and return None."""
    loaded: list[LoadedLibrary] = []
    for index, entry in enumerate(entries, start=1):
        library = load_library(index, entry, callouts, log)
        if library is None:
            for earlier in reversed(loaded):
                earlier.prepare_unload()
                earlier.close()
            return None
        loaded.append(library)
    return loaded

"""Slots: libraries in Python and plain C in Kea's chain (cbridge/kea/slots.h)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

from pyd2.errors import HookError
from pyd2.hooks.describe import SLOW, duration, explain, place_of
from pyd2.hooks.handle import CalloutHandle
from pyd2.hooks.kea.arguments import KeaUse, known_arguments
from pyd2.hooks.loading import LoadedLibrary
from pyd2.hooks.opening import check_version, open_library
from pyd2.hooks.points import hook_of_command

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.config.model import HookLibrary
    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.kea.arguments import Arguments, KnownArguments
    from pyd2.hooks.kea.bridge import CData, Shim
    from pyd2.hooks.library import Library
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log

    CalloutFunction = Callable[[CalloutHandle], object]


class _Callout(NamedTuple):
    hook: str
    function: CalloutFunction
    place: str
    known: KnownArguments


class Slot:
    """A library at its place in Kea's list, with its callouts; the ``Registrar`` of its handle."""

    def __init__(self, shim: Shim, arguments: Arguments, entry: HookLibrary, index: int, log: Log,
                 clock: Callable[[], int], rules: HookRules) -> None:
        self._shim = shim
        self._arguments = arguments
        self.entry = entry
        self._index = index
        self._log = log
        self._clock = clock
        self._rules = rules
        self.found = False
        """Whether the library could be opened at all."""
        self._library: Library | None = None
        self._loaded: LoadedLibrary | None = None
        self._handle: CData = None
        self._callouts: dict[tuple[int, int], _Callout] = {}
        """By the number of the hook point, and that of the callout in this library."""
        self.took = 0
        """Nanoseconds of the last callout."""

    # Opening, loading and unloading: Kea calls for them.

    def open(self) -> bool:
        """Open the library and check its version; a fault is logged."""
        try:
            self._library = open_library(self.entry.library, self.entry.directory)
        except HookError as error:
            self._log.emit("HOOKS_OPEN_ERROR", self.entry.library, error)
            return False
        self.found = True
        if check_version(self._library, self._log, self._rules):
            return True
        self.close()
        return False

    def load(self, handle: CData) -> bool:
        """Load the library; a fault is logged."""
        assert self._library is not None
        self._handle = handle
        self._loaded = LoadedLibrary(self._library, self._index, self, self._log)
        try:
            return self._loaded.load(self.entry)
        finally:
            self._handle = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the library's timers in the event loop."""
        if self._loaded is not None:
            self._loaded.attach(loop)

    def share_statistics(self, statistics: Statistics) -> None:
        """Add the library's statistics to those of the server, if it has any."""
        if self._loaded is not None:
            self._loaded.share_statistics(statistics)

    def unload(self) -> None:
        """Run ``unload``; Kea removes the callouts afterwards."""
        if self._loaded is not None:
            self._loaded.run_unload()

    def close(self) -> None:
        """Close the library, after Kea has closed the extension in its place and has logged that."""
        library, self._library, self._loaded = self._library, None, None
        self._callouts.clear()
        if library is not None:
            library.close()

    # The Registrar, while load runs.

    def register(self, library_index: int, hook: str, callout: CalloutFunction) -> None:  # noqa: ARG002  its own
        """Register a callout; HookError when the hook has no such name or the callout cannot be called."""
        if not isinstance(hook, str) or self._shim.lib.kb_hook_number(self._shim.bytes(hook)) < 0:
            raise HookError(f"hook name {hook} is not recognized")
        self._add(hook, callout, lambda number: self._shim.lib.kb_library_register(
            self._handle, self._shim.bytes(hook), number))

    def register_command(self, library_index: int, command: str, callout: CalloutFunction) -> None:  # noqa: ARG002
        """Register a command's callout, and its hook point when it is new."""
        if not isinstance(command, str) or not command:
            raise HookError(f"{command!r} is no command name")
        name = self._shim.bytes(command)
        self._add(hook_of_command(command), callout, lambda number: (
            self._shim.lib.kb_library_register_command(self._handle, name, number)))

    def _add(self, hook: str, callout: CalloutFunction, register: Callable[[int], int]) -> None:
        if not callable(callout):
            raise HookError(f"a callout must be callable, not {type(callout).__name__}")
        place = place_of(callout)
        if inspect.iscoroutinefunction(callout) or inspect.isgeneratorfunction(callout):
            raise HookError(f"callout {place} on hook {hook} cannot be async or a generator")
        used = {number for (_, number), entry in self._callouts.items() if entry.hook == hook}
        number = next(number for number in range(len(used) + 1) if number not in used)
        if number >= self._shim.lib.KB_MOST_CALLOUTS:
            raise HookError(f"no more than {number} callouts of one library on hook {hook}")
        if register(number) < 0:
            raise HookError(str(self._shim.error()))
        self._callouts[self._number_of(hook), number] = _Callout(hook, callout, place, known_arguments(hook))

    def deregister(self, library_index: int, hook: str, callout: CalloutFunction) -> bool:  # noqa: ARG002
        """Remove a callout wherever the library registered it on the hook; True if it was there."""
        found = [key for key, entry in self._of(hook) if entry.function == callout]
        for key in found:
            self._shim.check(
                self._shim.lib.kb_library_deregister(self._handle, self._shim.bytes(hook), key[1]),
            )
            del self._callouts[key]
        return bool(found)

    def deregister_all(self, library_index: int, hook: str) -> bool:  # noqa: ARG002
        """Remove all callouts of the library from a hook; True if there were any."""
        found = [key for key, _ in self._of(hook)]
        if found:
            self._shim.check(self._shim.lib.kb_library_deregister_all(self._handle, self._shim.bytes(hook)))
        for key in found:
            del self._callouts[key]
        return bool(found)

    def hooks(self) -> list[str]:
        """Return the hooks at which the library has callouts, in Kea's order."""
        return sorted({entry.hook for entry in self._callouts.values()})

    def present_of(self, library_index: int) -> bool:  # noqa: ARG002  its own
        """Say whether the library has anything registered, a command included."""
        return bool(self._callouts)

    def points(self) -> list[str]:
        """Return the hook points of Kea, and those that earlier compiled libraries have made."""
        names = self._shim.text(self._shim.lib.kb_hook_names()).split("\n")[:-1]
        return [name for name in names if not name.startswith("$")]

    def _of(self, hook: str) -> list[tuple[tuple[int, int], _Callout]]:
        if not isinstance(hook, str) or self._shim.lib.kb_hook_number(self._shim.bytes(hook)) < 0:
            raise HookError(f"hook name {hook} is not recognized")
        return [(key, entry) for key, entry in self._callouts.items() if entry.hook == hook]

    def _number_of(self, hook: str) -> int:
        return int(self._shim.lib.kb_hook_number(self._shim.bytes(hook)))

    # Callouts.

    def run(self, hook_number: int, number: int, handle: CData) -> bool:
        """Run a callout; False when it returned an error. Raises HookError with the text of its exception."""
        hook, function, _, known = self._callouts[hook_number, number]
        callout_handle = CalloutHandle(KeaUse(self._arguments, known, handle), hook, self._index)
        begin = self._clock()
        try:
            result = function(callout_handle)
            return result is None or bool(result == 0)
        except BaseException as error:
            raise HookError(explain(error)) from None
        finally:
            callout_handle.invalidate()
            self.took = self._clock() - begin
            if self.took > SLOW:
                self._log.emit("PYD2_HOOK_SLOW", self.entry.library, self.took // 1_000_000, hook)

    def place(self, hook: str, number: int) -> str:
        """Return where a callout is defined; empty when that is unknown."""
        entry = self._callouts.get((self._number_of(hook), number))
        return entry.place if entry is not None else ""

    def took_text(self) -> str:
        """Return the duration of the last callout, as Kea prints it."""
        return duration(self.took)



"""The callouts of the loaded libraries, hook by hook, and the running of one hook point."""

from __future__ import annotations

import inspect
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.errors import HookError
from pyd2.hooks.describe import SLOW, duration, explain, place_of
from pyd2.hooks.handle import CalloutHandle
from pyd2.hooks.points import RULES, HookRules, Status, hook_of_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.hooks.handle import Use
    from pyd2.messages import Log

CONTINUE: Final = Status.CONTINUE
"""Looked up once: a look into the enumeration costs more than all else that is done with it."""


class Callout(NamedTuple):
    """A function that a library attached to a hook."""

    library_index: int
    library: str
    function: Callable[[CalloutHandle], object]
    place: str
    """Where the function is defined, for messages."""


class Callouts:
    """All callouts, each hook's in the order of the libraries and then of registration."""

    def __init__(
        self, libraries: Sequence[str], log: Log, clock: Callable[[], int] = perf_counter_ns,
        rules: HookRules = RULES,
    ) -> None:
        """``libraries`` are the entries' names in order; ``clock`` gives nanoseconds."""
        self._libraries = libraries
        self._log = log
        self._clock = clock
        self.rules = rules
        self._hooks: dict[str, list[Callout]] = {hook: [] for hook in rules.points}

    def present(self, hook: str) -> bool:
        """Say whether anything is registered on a hook."""
        return bool(self._hooks.get(hook))

    def present_of(self, library_index: int) -> bool:
        """Say whether a library has anything registered, a command included."""
        return any(entry.library_index == library_index for hook in self._hooks.values() for entry in hook)

    def hooks(self) -> list[str]:
        """Return all hook names in Kea's order: commands first, since ``$`` sorts first."""
        return sorted(self._hooks)

    def points(self) -> list[str]:
        """Return the hook points to which a function attaches by its name, in Kea's order."""
        return list(self.rules.points)

    def register(self, library_index: int, hook: str, callout: Callable[[CalloutHandle], object]) -> None:
        """Register a callout; HookError when the hook has no such name or the callout cannot be called."""
        self._log.emit("HOOKS_CALLOUT_REGISTRATION", library_index, hook)
        present = self.of(hook)
        if not callable(callout):
            raise HookError(f"a callout must be callable, not {type(callout).__name__}")
        place = place_of(callout)
        if inspect.iscoroutinefunction(callout) or inspect.isgeneratorfunction(callout):
            raise HookError(f"callout {place} on hook {hook} cannot be async or a generator")
        # Libraries load one after the other and register meanwhile, so appending keeps their order.
        present.append(Callout(library_index, self._libraries[library_index - 1], callout, place))

    def register_command(
        self, library_index: int, command: str, callout: Callable[[CalloutHandle], object],
    ) -> None:
        """Register a command's callout, and its hook point when it is new."""
        if not isinstance(command, str) or not command:
            raise HookError(f"{command!r} is no command name")
        hook = hook_of_command(command)
        self._hooks.setdefault(hook, [])
        self.register(library_index, hook, callout)

    def deregister(self, library_index: int, hook: str, callout: Callable[[CalloutHandle], object]) -> bool:
        """Remove a callout wherever the library registered it on the hook; True if it was there."""
        removed = self._remove(
            hook, lambda entry: entry.library_index == library_index and entry.function == callout,
        )
        if removed:
            self._log.emit("HOOKS_CALLOUT_DEREGISTERED", library_index, hook)
        return removed

    def deregister_all(self, library_index: int, hook: str) -> bool:
        """Remove all callouts of a library from a hook; True if there were any."""
        removed = self._remove(hook, lambda entry: entry.library_index == library_index)
        if removed:
            self._log.emit("HOOKS_ALL_CALLOUTS_DEREGISTERED", library_index, hook)
        return removed

    def run(self, hook: str, use: Use) -> Status:
        """Call the callouts of a hook in order and return the status that they leave.

        An exception sets DROP, and the next callouts still run. Any result but None and 0 is an error that
        changes nothing. KeyboardInterrupt is an exception like any other: the loop handles signals.
        """
        use.status = CONTINUE
        callouts = self._hooks.get(hook)
        if not callouts:
            return CONTINUE
        log, clock = self._log, self._clock
        on = log.on
        if "HOOKS_CALLOUTS_BEGIN" in on:
            log.emit("HOOKS_CALLOUTS_BEGIN", hook)
        total = 0
        for index, library, function, place in callouts:
            handle = CalloutHandle(use, hook, index)
            raised = None
            begin = clock()
            try:
                result = function(handle)
                good = result is None or result == 0
            except BaseException as error:
                raised = error
                use.status = Status.DROP
            finally:
                handle.invalidate()
            took = clock() - begin
            total += took
            if raised is not None:
                reason = explain(raised)
                log.emit("HOOKS_CALLOUT_EXCEPTION", hook, index, place, reason, duration(took))
                del raised  # its traceback holds this frame, and with it the use
            elif not good:
                log.emit("HOOKS_CALLOUT_ERROR", hook, index, place, duration(took))
            elif "HOOKS_CALLOUT_CALLED" in on:
                log.emit("HOOKS_CALLOUT_CALLED", index, hook, place, duration(took))
            if took > SLOW:
                log.emit("PYD2_HOOK_SLOW", library, took // 1_000_000, hook)
        if "HOOKS_CALLOUTS_COMPLETE" in on:
            log.emit("HOOKS_CALLOUTS_COMPLETE", hook, duration(total))
        return use.status

    def of(self, hook: str) -> list[Callout]:
        """Return the callouts of a hook, the list that changes with them; HookError for an unknown hook."""
        try:
            return self._hooks[hook]
        except (KeyError, TypeError):
            raise HookError(f"hook name {hook} is not recognized") from None

    def _remove(self, hook: str, unwanted: Callable[[Callout], bool]) -> bool:
        present = self.of(hook)
        kept = [entry for entry in present if not unwanted(entry)]
        removed = len(kept) < len(present)
        present[:] = kept
        return removed

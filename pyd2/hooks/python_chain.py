"""A chain that needs no Kea: it runs hook libraries in Python and in plain C."""

from __future__ import annotations

from time import perf_counter_ns
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, cast

from pyd2.errors import HookError
from pyd2.hooks.callouts import CONTINUE, Callouts
from pyd2.hooks.hook_thread import hook_thread
from pyd2.hooks.interface import FAILED
from pyd2.hooks.loading import load_libraries
from pyd2.hooks.no_libraries import NoLibraries
from pyd2.hooks.points import RULES, HookRules, Status, command_of_hook, hook_of_command
from pyd2.hooks.release import free_closed
from pyd2.hooks.values import one_line
from pyd2.update.drive.server_choice import KeySource, Selection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.config.model import Config, DnsServer, HookLibrary
    from pyd2.data.element import Element
    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.interface import Statistics
    from pyd2.messages import Log
    from pyd2.update.drive.server_choice import SelectKey

_OF_CALLOUTS: Final = frozenset({"HOOKS_CALLOUTS_BEGIN", "HOOKS_CALLOUT_CALLED", "HOOKS_CALLOUTS_COMPLETE"})
"""What is logged of each use of a hook point."""


class PythonUse:
    """One use of hooks in a PythonChain; a ``pyd2.hooks.handle.Use``."""

    __slots__ = ("_arguments", "_contexts", "status")

    def __init__(self, arguments: dict[str, object]) -> None:
        self._arguments = arguments
        self._contexts: dict[int, dict[str, object]] = {}
        self.status: Status = CONTINUE

    def forget(self) -> None:
        """Remove all arguments."""
        self._arguments.clear()

    def start(self, arguments: dict[str, object]) -> None:
        """Add the arguments of the hook point to those that callouts of context_create have set."""
        self._arguments.update(arguments)

    def get(self, name: str) -> object:
        """Return an argument; HookError when there is none of that name."""
        try:
            return self._arguments[name]
        except KeyError:
            raise HookError(f"unable to find argument with name {name}") from None

    def set(self, name: str, value: object) -> None:
        """Set an argument."""
        self._arguments[name] = value

    def names(self) -> list[str]:
        """Return the names of the arguments, sorted."""
        return sorted(self._arguments)

    def context(self, library_index: int) -> dict[str, object]:
        """Return the private values of a library, the dict itself."""
        return self._contexts.setdefault(library_index, {})


class PythonHttpUse:
    """The callouts of one request over HTTP; a ``pyd2.hooks.interface.HttpUse``.

    As with Kea one use serves both points, it begins when the first callout is there, and each point has only
    its own arguments: those that callouts made up, or that context_create has set, do not stay.
    """

    def __init__(
        self, callouts: Callouts, begin: Callable[[dict[str, object]], PythonUse],
        end: Callable[[PythonUse], None], is_over: Callable[[], bool],
    ) -> None:
        self._callouts = callouts
        self._begin = begin
        self._end = end
        self._is_over = is_over
        self._use: PythonUse | None = None

    @property
    def over(self) -> bool:
        """Whether the libraries have been unloaded."""
        return self._is_over()

    def auth(self, request: Element, response: Element | None) -> tuple[Element, Element | None]:
        """Run http_auth; return the request to carry out and the response to send in place of it."""
        if not self._callouts.present("http_auth"):
            return request, response
        use = self._started(request, response)
        status = self._callouts.run("http_auth", use)
        request = cast("Element", use.get("request"))
        response = cast("Element | None", use.get("response"))
        if status is not CONTINUE:
            self.end()
        return request, response

    def response(self, request: Element, response: Element) -> Element:
        """Run http_response for the response to a command; return the one to send."""
        if not self._callouts.present("http_response"):
            return response
        use = self._started(request, response)
        self._callouts.run("http_response", use)
        # A library that takes the response away leaves nothing to send, so the server's own stays.
        return cast("Element | None", use.get("response")) or response

    def end(self) -> None:
        """End the use, if it has begun."""
        use, self._use = self._use, None
        if use is not None:
            use.forget()
            self._end(use)

    def _started(self, request: Element, response: Element | None) -> PythonUse:
        """Return the use, with the arguments of a point."""
        use = self._use
        if use is None:
            use = self._use = self._begin({})
        use.forget()
        use.start({"request": request, "response": response})
        return use


class PythonChain(NoLibraries):
    """A chain in Python, of libraries in Python and in plain C."""

    def __init__(
        self, entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int] = perf_counter_ns,
        rules: HookRules = RULES,
    ) -> None:
        """Load the libraries in order; ``clock`` gives nanoseconds.

        Raises HookError with Kea's text when one fails to load; then none is loaded.
        """
        self._log = log
        self._callouts = Callouts([entry.library for entry in entries], log, clock, rules)
        # The lists themselves, which change with each registration: every use reads them.
        self._created = self._callouts.of("context_create")
        self._destroyed = self._callouts.of("context_destroy")
        loaded = load_libraries(entries, self._callouts, log)
        if loaded is None:
            free_closed()
            raise HookError(FAILED)
        self._loaded = loaded

    @property
    def select_key(self) -> SelectKey | None:
        """Chooses the key for a server, or skips the server; None when no library has such a callout.

        It is a ``KeySource`` if only the library that is part of pyd2 has one, and no log shows callouts.
        """
        callouts = self._callouts.of("select_key")
        if not callouts:
            return None
        function = callouts[0].function
        # A library's object may raise whatever it likes when it is asked for an attribute.
        own = function.__self__ if type(function) is MethodType else None
        if (
            len(callouts) == 1 and isinstance(own, KeySource) and not self._created and not self._destroyed
            and _OF_CALLOUTS.isdisjoint(self._log.on)
        ):
            return own
        return self._select_key

    def _select_key(self, server: DnsServer, key: SigningKey | None) -> Selection:
        arguments: dict[str, object] = {"current_server": server, "tsig_key": key}
        use = self._begin(arguments) if self._created else PythonUse(arguments)
        status = self._callouts.run("select_key", use)
        selected: Any = use.get("tsig_key")
        if self._destroyed:
            self._end(use)
        return Selection(selected, status is not CONTINUE)

    def commands(self) -> list[str]:
        """Return the names of the commands that libraries answer, sorted."""
        return sorted(
            command_of_hook(hook)
            for hook in self._callouts.hooks()
            if hook.startswith("$") and self._callouts.present(hook)
        )

    def has_command(self, name: str) -> bool:
        """Say whether a library answers a command; ``-`` and ``_`` are the same in its name."""
        return self._callouts.present(hook_of_command(name))

    def run_command(self, name: str, request: Element) -> Element | None:
        """Run the callouts of a command that libraries registered; return their answer, None to send none."""
        use = self._begin({})
        # As in Kea, for commands only: arguments that callouts of context_create have set do not stay.
        use.forget()
        use.start({"command": request, "response": None})
        self._callouts.run(hook_of_command(name), use)
        response = cast("Element | None", use.get("response"))
        self._end(use)
        return response

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,
    ) -> Element | None:
        """Run command_processed for a command and its answer; return the answer to send, None for none."""
        if not self._callouts.present("command_processed"):
            return response
        use = self._begin({"name": name, "arguments": arguments, "response": response})
        self._callouts.run("command_processed", use)
        response = cast("Element | None", use.get("response"))
        self._end(use)
        return response

    def http_use(self) -> PythonHttpUse | None:
        """Begin the use for a request over HTTP; None when no library has a callout for one."""
        if self._callouts.present("http_auth") or self._callouts.present("http_response"):
            return PythonHttpUse(self._callouts, self._begin, self._end, lambda: not self._loaded)
        return None

    def configured(self, config: Config, element: Element, io_context: object = None) -> tuple[bool, str]:
        """Run d2_srv_configured; False and the reason, maybe empty, if a library refuses it."""
        if io_context is not None:
            for library in self._loaded:
                library.attach(cast("asyncio.AbstractEventLoop", io_context))
        if not self._callouts.present("d2_srv_configured"):
            return True, ""
        use = self._begin(
            {"io_context": io_context, "json_config": element, "server_config": config, "error": ""},
        )
        refused = self._callouts.run("d2_srv_configured", use) is Status.DROP
        error = one_line(use.get("error")) if refused else ""
        if refused:
            self._log.emit("DHCP_DDNS_CONFIGURED_CALLOUT_DROP", error)
        self._end(use)
        return not refused, error

    def share_statistics(self, statistics: Statistics) -> None:
        """Show the statistics of libraries, and those that compiled ones left behind, if any were loaded."""
        for library in self._loaded:
            library.share_statistics(statistics)
        super().share_statistics(statistics)

    def _begin(self, arguments: dict[str, object]) -> PythonUse:
        """Begin a use of hooks: context_create runs before the arguments are there."""
        if not self._created:
            return PythonUse(arguments)
        use = PythonUse({})
        self._callouts.run("context_create", use)
        use.start(arguments)
        return use

    def _end(self, use: PythonUse) -> None:
        if self._destroyed:
            self._callouts.run("context_destroy", use)

    def unload(self) -> None:
        """Unload all libraries, the last first. The chain is empty then; faults are only logged."""
        hook_thread.run_posted()  # objects of the libraries that the update thread dropped end before them
        loaded, self._loaded = self._loaded, []
        for library in reversed(loaded):
            library.prepare_unload()
        for library in reversed(loaded):
            library.close()
        free_closed()

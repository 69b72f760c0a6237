"""The chain of hook libraries: what the daemon, the control channel and the engine see of hooks.

``Chain`` is the interface. ``PythonChain`` runs libraries in Python and in plain C, and needs no Kea; a
chain through Kea's own HooksManager can stand behind the same interface (contract, section 7).
"""

from __future__ import annotations

import sys
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pyd2.errors import HookError
from pyd2.hooks.callouts import CONTINUE, Callouts
from pyd2.hooks.home import home
from pyd2.hooks.library import check_library, is_for_kea
from pyd2.hooks.loading import load_libraries
from pyd2.hooks.points import RULES, HookRules, Status, command_of_hook, hook_of_command
from pyd2.hooks.release import free_closed
from pyd2.hooks.values import one_line
from pyd2.update.selection import Selection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from pyd2.config.model import Config, DnsServer, HookLibrary
    from pyd2.data.element import Element
    from pyd2.dns.tsig import SigningKey
    from pyd2.messages import Log
    from pyd2.update.selection import SelectKey

FAILED: Final = "One or more hook libraries failed to load"
"""Kea's text for a failed load; the log holds the reason."""


class Chain(Protocol):
    """The loaded hook libraries."""

    @property
    def select_key(self) -> SelectKey | None:
        """What the engine asks for each server it selects; None when no library has such a callout."""

    def commands(self) -> list[str]:
        """Return the names of the commands that libraries answer, sorted."""

    def has_command(self, name: str) -> bool:
        """Say whether a library answers a command; ``-`` and ``_`` are the same in its name."""

    def run_command(self, name: str, request: Element) -> Element | None:
        """Let the libraries answer a command that they registered; None: no answer is to be sent.

        ``request`` is the whole request as given.
        """

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,
    ) -> Element | None:
        """Show the libraries a command and its answer; return the answer to send, None for none."""

    def configured(self, config: Config, element: Element, io_context: object = None) -> tuple[bool, str]:
        """Tell the libraries of a new configuration; False and a text, maybe empty, when one refuses it.

        ``element`` is the DhcpDdns map with its defaults filled in, ``io_context`` the event loop.
        """

    def changed_config(self) -> Config | None:
        """Return what libraries have made of the configuration in d2_srv_configured; None: they left it.

        Raises ConfigError when it cannot be worked by.
        """

    def take_changed(self, config: Config) -> None:
        """Take over the configuration that was made of what libraries have changed."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Let libraries read the server's statistics, and the server show theirs."""

    def unload(self) -> None:
        """Unload all libraries, the last first, which leaves an empty chain; faults are only logged."""


class ServerCommands(Protocol):
    """The server's own commands, which compiled libraries may run (Kea's CommandMgr)."""

    @property
    def names(self) -> Sequence[str]:
        """Their names."""

    def run(self, name: str, arguments: Element | None) -> Element:
        """Carry one out; any error's text becomes the answer's."""


class Statistics(Protocol):
    """The statistics of the server; see ``pyd2.observe.statistics.Statistics``."""

    providers: list[Any]
    """Further statistics that the server shows."""

    def own_values(self) -> Iterable[tuple[str, int]]:
        """Return the server's own by name."""

    def adjust(self, name: str, by: int) -> None:
        """Add to one of the server's own what a library has added to it."""

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of such a key."""


class PythonUse:
    """One use of hooks in a PythonChain; see ``pyd2.hooks.handle.Use``."""

    __slots__ = ("_arguments", "_contexts", "status")

    def __init__(self, arguments: dict[str, object]) -> None:
        self._arguments = arguments
        self._contexts: dict[int, dict[str, object]] = {}
        self.status: Status = CONTINUE

    def forget(self) -> None:
        """Remove all arguments."""
        self._arguments.clear()

    def start(self, arguments: dict[str, object]) -> None:
        """Add the arguments of the point; those that context_create's callouts made up stay."""
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


class PythonChain:
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
        # The lists themselves: every use looks at them.
        self._created = self._callouts.of("context_create")
        self._destroyed = self._callouts.of("context_destroy")
        loaded = load_libraries(entries, self._callouts, log)
        if loaded is None:
            free_closed()
            raise HookError(FAILED)
        self._loaded = loaded

    @property
    def select_key(self) -> SelectKey | None:
        """What the engine asks for each server it selects; None when no library has such a callout."""
        return self._select_key if self._callouts.present("select_key") else None

    def _select_key(self, server: DnsServer, key: SigningKey | None) -> Selection:
        use = self._begin({"current_server": server, "tsig_key": key})
        status = self._callouts.run("select_key", use)
        chosen = cast("SigningKey | None", use.get("tsig_key"))
        self._end(use)
        return Selection(chosen, status is not CONTINUE)

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
        """Let the libraries answer a command that they registered; None: no answer is to be sent."""
        use = self._begin({})
        # As Kea does for commands, and for no other point: what context_create's callouts made up goes.
        use.forget()
        use.start({"command": request, "response": None})
        self._callouts.run(hook_of_command(name), use)
        response = cast("Element | None", use.get("response"))
        self._end(use)
        return response

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,
    ) -> Element | None:
        """Show the libraries a command and its answer; return the answer to send, None for none."""
        if not self._callouts.present("command_processed"):
            return response
        use = self._begin({"name": name, "arguments": arguments, "response": response})
        self._callouts.run("command_processed", use)
        response = cast("Element | None", use.get("response"))
        self._end(use)
        return response

    def configured(self, config: Config, element: Element, io_context: object = None) -> tuple[bool, str]:
        """Tell the libraries of a new configuration; False and a text, maybe empty, when one refuses it."""
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

    def changed_config(self) -> None:
        """Return None: to libraries without Kea a configuration is for reading."""

    def take_changed(self, config: Config) -> None:
        """Do nothing: there is none such."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Let the server show what compiled libraries have left behind, if there were any."""
        bridge = sys.modules.get("pyd2.hooks.kea_bridge")
        shim = None if bridge is None else bridge.started()
        if shim is not None:
            from pyd2.hooks.kea_statistics import LeftStatistics

            statistics.providers.append(LeftStatistics(shim))

    def _begin(self, arguments: dict[str, object]) -> PythonUse:
        """Begin a use of hooks: context_create runs before it has its arguments."""
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
        """Unload all libraries, the last first, which leaves an empty chain; faults are only logged."""
        home.clear()  # what the service's thread has dropped and was not ended yet: unload finds it gone
        loaded, self._loaded = self._loaded, []
        for library in reversed(loaded):
            library.prepare_unload()
        for library in reversed(loaded):
            library.close()
        free_closed()


def check_libraries(entries: Sequence[HookLibrary], log: Log) -> list[str]:
    """Check each library as far as that can be done; return the names of those in error, in order.

    It is part of checking a configuration, with ``-t`` too. What is wrong with each is logged. No library in
    Python runs.
    """
    if not any(is_for_kea(entry.library) for entry in entries):
        return [entry.library for entry in entries if not check_library(entry.library, log, entry.directory)]
    from pyd2.hooks.kea_checking import check_mixed

    return check_mixed(entries, log)


def load_chain(
    entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int] = perf_counter_ns, *,
    commands: ServerCommands | None = None, rules: HookRules = RULES,
) -> Chain:
    """Load libraries; the one place that chooses the chain that runs them.

    ``commands`` are those that libraries may run and not register.

    Unload the chain in force first: libraries count on being alone. When this raises HookError, nothing of
    the new set is left, and a second call can load the old set again.
    """
    if not any(is_for_kea(entry.library) for entry in entries):
        return PythonChain(entries, log, clock, rules)
    from pyd2.hooks.kea_checking import load_mixed

    return load_mixed(entries, log, clock, commands, rules)

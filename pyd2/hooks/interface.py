"""What the daemon, the control channel and the engine see of hook libraries: a ``Chain`` of them.

``pyd2.hooks.choice`` loads one. ``PythonChain`` runs libraries in Python and in plain C and needs no Kea;
``KeaChain`` runs these and libraries compiled for Kea, in Kea's own HooksManager (contract, section 7).
``NoLibraries`` is the chain of no libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.config.model import Config
    from pyd2.data.element import Element
    from pyd2.update.drive.server_choice import SelectKey

FAILED: Final = "One or more hook libraries failed to load"
"""Kea's text for a failed load; the log holds the reason."""


class HttpUse(Protocol):
    """The callouts of one request over HTTP: ``http_auth``, then ``http_response`` if a command was run.

    A request is a map with the members ``method``, ``path``, ``version``, ``headers`` (a map, names in lower
    case), ``body`` (JSON, or null when it is empty), ``remote-address``, ``user`` (empty when none was
    authenticated) and ``tls``. A response is a map with ``status``, ``headers`` (those beside Kea's own) and
    ``body``.
    """

    @property
    def over(self) -> bool:
        """Whether its libraries have been unloaded: a command may do that. Then no callout runs any more."""

    def auth(self, request: Element, response: Element | None) -> tuple[Element, Element | None]:
        """Run http_auth; return the request to carry out and the response to send in place of it, if any.

        ``response`` is the refusal of a client that is not authenticated, else None.
        """

    def response(self, request: Element, response: Element) -> Element:
        """Run http_response for the response to a command; return the one to send."""

    def end(self) -> None:
        """End the use."""


class Chain(Protocol):
    """The loaded hook libraries."""

    @property
    def select_key(self) -> SelectKey | None:
        """Chooses the key for a server, or skips the server; None when no library has such a callout."""

    def commands(self) -> list[str]:
        """Return the names of the commands that libraries answer, sorted."""

    def has_command(self, name: str) -> bool:
        """Say whether a library answers a command; ``-`` and ``_`` are the same in its name."""

    def run_command(self, name: str, request: Element) -> Element | None:
        """Run the callouts of a command that libraries registered; return their answer, None to send none.

        ``request`` is the whole request as given.
        """

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,
    ) -> Element | None:
        """Run command_processed for a command and its answer; return the answer to send, None for none."""

    def http_use(self) -> HttpUse | None:
        """Begin the use for a request over HTTP; None when no library has a callout for one."""

    def configured(self, config: Config, element: Element, io_context: object = None) -> tuple[bool, str]:
        """Run d2_srv_configured; False and the reason, maybe empty, if a library refuses the configuration.

        ``element`` is the DhcpDdns map with its defaults filled in, ``io_context`` the event loop.
        """

    def changed_config(self) -> Config | None:
        """Return the configuration as libraries changed it in d2_srv_configured; None: they did not.

        Raises ConfigError when the change is not usable.
        """

    def adopt_changed(self, config: Config) -> None:
        """Use the changed configuration from now on."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Connect the server's statistics and those of libraries, both ways."""

    def unload(self) -> None:
        """Unload all libraries, the last first. The chain is empty then; faults are only logged."""


class ServerCommands(Protocol):
    """The server's own commands, which compiled libraries may run (Kea's CommandMgr)."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the commands."""

    def run(self, name: str, arguments: Element | None) -> Element:
        """Run a command and return its answer, which holds the text of an error."""


class Sample(NamedTuple):
    """One sample of a statistic of a library; a ``pyd2.observe.statistics.Sample``."""

    name: str
    value: int | float | str
    changed: float


class Statistics(Protocol):
    """The statistics of the server: ``pyd2.observe.statistics.Statistics``."""

    providers: list[Any]
    """Sources of further statistics that the server shows."""

    def own_values(self) -> Iterable[tuple[str, int]]:
        """Return the server's own statistics, by name."""

    def adjust(self, name: str, by: int) -> None:
        """Add to one of the server's own statistics."""

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of such a key."""

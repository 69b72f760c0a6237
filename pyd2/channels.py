"""Makes the control channels of the daemon, with all that their sessions need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.model import UnixSocket
from pyd2.control.executor import CommandExecutor
from pyd2.control.session import UnixSession
from pyd2.net.control_unix import UnixChannel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from pyd2.config.model import ControlSocket
    from pyd2.config.switches import PageSwitches
    from pyd2.control.http_pages import HttpPages
    from pyd2.control.http_request import Bodies
    from pyd2.data.element import Element
    from pyd2.hooks.interface import HttpUse
    from pyd2.metrics.page import MetricsPage
    from pyd2.metrics.reading import Facts
    from pyd2.net.control import ControlChannel
    from pyd2.observe.log import MessageLog


class ChannelMaker:
    """Called with a socket of the configuration, it returns its channel, not yet open.

    ``process`` carries a command out. ``hooks`` begins the use of hook libraries for a request over HTTP.
    ``facts`` is where metrics come from; ``before_page`` is called before a page is made.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: MessageLog,
        process: Callable[[Element], Element | None],
        hooks: Callable[[], HttpUse | None],
        facts: Callable[[], Facts],
        before_page: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._process = process
        self._hooks = hooks
        self._facts = facts
        self._before_page = before_page
        # As with Kea, a client that has its answer finds the command in the log.
        self._executor = CommandExecutor(process, log, log.flush)
        self._metrics: MetricsPage | None = None
        self._bodies: Bodies | None = None
        """What all HTTP control sockets share."""

    def __call__(self, config: ControlSocket) -> ControlChannel:
        """Return the control channel of a socket."""
        log = self._log
        if isinstance(config, UnixSocket):
            return UnixChannel(
                self._loop,
                config,
                lambda number: UnixSession(self._executor, log, number),
                log,
                written=log.flush,
            )
        # Only where they are needed: with h11 they cost 13 ms and 0.6 MB.
        from pyd2.control.http_request import Bodies
        from pyd2.control.http_session import HttpService
        from pyd2.net.control_http import HttpChannel

        pages = self._pages(config.pages) if config.pages.any else None
        self._bodies = self._bodies or Bodies()
        service = HttpService(config, self._process, log, written=log.flush, hooks=self._hooks, pages=pages,
                              bodies=self._bodies)
        return HttpChannel(self._loop, config, service, log)

    def _pages(self, switches: PageSwitches) -> HttpPages:
        from pyd2.control.http_pages import HttpPages
        from pyd2.metrics.page import MetricsPage

        if self._metrics is None:
            self._metrics = MetricsPage(self._facts())
        metrics = self._metrics

        def get(headers: Mapping[str, str]) -> tuple[str, tuple[bytes, ...]]:
            self._before_page()
            return metrics.get(headers)

        return HttpPages(switches, {"/metrics": get})

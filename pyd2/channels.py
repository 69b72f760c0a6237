"""Makes the control channels of the daemon, with all that their sessions need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import UnixSocket
from pyd2.control.executor import CommandExecutor
from pyd2.control.session import UnixSession
from pyd2.net.control_unix import UnixChannel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.config.model import Config, ControlSocket
    from pyd2.config.switches import PageSwitches
    from pyd2.control.http_pages import HttpPages, PageRequest, Source
    from pyd2.control.http_request import Bodies
    from pyd2.control.http_response import Response
    from pyd2.control.registry import CommandRegistry
    from pyd2.data.element import Element
    from pyd2.hooks.interface import HttpUse
    from pyd2.metrics.page import MetricsPage
    from pyd2.metrics.reading import Facts
    from pyd2.net.control import ControlChannel
    from pyd2.observe.log import MessageLog
    from pyd2.web.operations import Operable
    from pyd2.web.site import Site


FIRST_OPERATION: Final = "pyd2-retry-now"
"""The first of the commands that ``offer_operations`` offers."""


class ChannelMaker:
    """Called with a socket of the configuration, it returns its channel, not yet open.

    ``process`` carries a command out. ``hooks`` begins the use of hook libraries for a request over HTTP.
    ``facts`` is where metrics and the web page get their numbers; ``working`` is called before work for a
    client over HTTP.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: MessageLog,
        process: Callable[[Element], Element | None],
        hooks: Callable[[], HttpUse | None],
        facts: Callable[[], Facts],
        working: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._process = process
        self._hooks = hooks
        self._facts = facts
        self._working = working
        # As with Kea, a client that has its answer finds the command in the log.
        self._executor = CommandExecutor(process, log, log.flush)
        self._metrics: MetricsPage | None = None
        self._bodies: Bodies | None = None
        """The memory for long bodies, which all HTTP control sockets share."""
        self._site: Site | None = None

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
                              bodies=self._bodies, working=self._working)
        return HttpChannel(self._loop, config, service, log)

    def _pages(self, switches: PageSwitches) -> HttpPages:
        from pyd2.control.http_pages import HttpPages

        sources: dict[str, Source] = {}
        if switches.metrics:
            sources["/metrics"] = self._metrics_source()
        if switches.web:
            sources |= self._web_sources(switches)
        return HttpPages(sources)

    def _metrics_source(self) -> Source:
        from pyd2.control.http_pages import page
        from pyd2.metrics.page import MetricsPage

        metrics = self._metrics = self._metrics or MetricsPage(self._facts())

        def get(request: PageRequest) -> Response:
            self._working()
            return page(*metrics.get(request.headers))

        return get

    def _web_sources(self, switches: PageSwitches) -> dict[str, Source]:
        from pyd2.web.site import Site

        if self._site is None:
            self._site = Site(self._loop, self._facts(), self._working)
        return self._site.sources(operate=switches.web == "operate")


def offer_operations(config: Config, registry: CommandRegistry, service: Operable) -> None:
    """Offer the commands of the web page that change something, if some socket asks for them."""
    if not config.operable and not registry.has(FIRST_OPERATION):
        return
    from pyd2.web.operations import Operations

    Operations(service, config.switches.queue).offer(registry, wanted=config.operable)

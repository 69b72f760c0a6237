"""All of the page by path: the page itself, its files, and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.web.answers import ApiError, json_response, parameters
from pyd2.web.dns_now import DnsNow
from pyd2.web.events import HistoryApi
from pyd2.web.explained import Explained
from pyd2.web.files import Files
from pyd2.web.status import status_map
from pyd2.web.stream import EventStream
from pyd2.web.tables import Tables
from pyd2.web.watch import Watch
from pyd2.web.worker import Worker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.control.http_later import Awaited
    from pyd2.control.http_pages import PageRequest, Source
    from pyd2.control.http_response import Response
    from pyd2.metrics.reading import Facts

API = "/api/v1/"


class Site:
    """The page of one daemon, on all its sockets; ``before`` is called before anything is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop, facts: Facts, before: Callable[[], None]) -> None:
        self._before = before
        self._facts = facts
        self._files = Files()
        watch = self._watch = Watch(loop, facts, before)
        stream = EventStream(lambda: status_map(watch), watch.hurry)
        watch.on_look, watch.on_end = stream.send, stream.end
        dns_now = DnsNow(loop, lambda: watch.index().matchers)
        history = HistoryApi(Worker(loop, "pyd2-search"), self._history, dns_now)
        tables = Tables(watch)
        self._api: dict[str, Source] = {
            "status": self._status,
            "servers": tables.servers,
            "zones": tables.zones,
            "hosts": history.hosts,
            "hosts/*": history.host,
            "failures": history.failures,
            "history": history.history,
            "explain": Explained(watch).source,
            "events": stream.source,
        }

    def sources(self, *, operate: bool) -> dict[str, Source]:
        """Return what one socket shows; ``operate``: its clients may change something."""
        self._watch.begin()
        found: dict[str, Source] = {
            f"{API}{name}": self._guarded(source) for name, source in self._api.items()
        }
        found |= {f"/{name}": self._files.source(name) for name in self._files.names}
        found["/"] = lambda request: self._page(request, operate=operate)
        return found

    def _guarded(self, source: Source) -> Source:
        def get(request: PageRequest) -> Response | Awaited:
            self._before()
            try:
                return source(request)
            except ApiError as error:
                return error.response

        return get

    def _history(self) -> str:
        """Return the directory of the history; empty: there is none."""
        switches = self._facts.config().config.switches.history
        return switches.directory if switches.enabled else ""

    def _status(self, request: PageRequest) -> Response:
        """``/api/v1/status``: how the daemon goes."""
        parameters(request.query, {})
        return json_response(status_map(self._watch))

    def _page(self, request: PageRequest, *, operate: bool) -> Response:
        self._before()
        may_operate = operate and request.role == "all"
        return self._files.page(status_map(self._watch), operate=may_operate, role=request.role)

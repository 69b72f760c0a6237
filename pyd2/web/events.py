"""What became of requests, as the API shows it: from the history, and as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyd2.history.search import Query, address_text, parse_host_query
from pyd2.ncr import RequestKind
from pyd2.update.model.kinds import KINDS
from pyd2.update.model.reasons import Reason, reason
from pyd2.update.observing.recent import cause_of
from pyd2.web.answers import USUAL, ApiError, parameters
from pyd2.web.searcher import search_response
from pyd2.web.worker import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyd2.control.http_pages import PageRequest
    from pyd2.history.search import Event, History
    from pyd2.update.observing.requests import End
    from pyd2.web.dns_now import DnsNow
    from pyd2.web.searcher import Search
    from pyd2.web.worker import Jobs

_PAGE = {"limit": USUAL, "before": 0}
_KINDS = tuple(RequestKind)


class HistoryApi:
    """The endpoints that search the history; ``directory`` returns where it is, empty without one.

    ``searches`` carries the searches out; those that also ask DNS servers go to the worker of ``dns_now``.
    """

    def __init__(self, searches: Jobs, directory: Callable[[], str], dns_now: DnsNow | None = None) -> None:
        self._searches = searches
        self._directory = directory
        self._dns_now = dns_now

    def hosts(self, request: PageRequest) -> Job:
        """``/api/v1/hosts?q=``: the newest event of each host that fits."""
        given = parameters(request.query, {"q": "", **_PAGE})
        try:
            query = parse_host_query(given["q"])
        except ValueError as error:
            raise ApiError("bad-request", f"this cannot be looked for: {error}") from None

        def search(history: History) -> dict[str, Any]:
            found = history.find_hosts(query, limit=given["limit"], before=given["before"] or None)
            return _page("hosts", found, given["limit"])

        return self._found(search)

    def host(self, request: PageRequest) -> Job:
        """``/api/v1/hosts/NAME``: all events of one host; with ``dns=1`` also what DNS servers hold of it."""
        given = parameters(request.query, {**_PAGE, "dns": 0})
        if given["dns"] > 1:
            raise ApiError("bad-request", "dns must be 0 or 1")
        name = unquote(request.path.rpartition("/")[2]).lower()
        query = Query("name = ?", (name if name.endswith(".") else f"{name}.",))

        def search(history: History) -> dict[str, Any]:
            found = history.find(query, limit=given["limit"], before=given["before"] or None)
            answer = {"name": name, **_page("events", found, given["limit"])}
            if not answer["events"] and not given["before"]:
                raise ApiError("not-found", f"the history knows no host {name}")
            return answer

        if not given["dns"] or self._dns_now is None:
            return self._found(search)
        self._needed_directory()
        ask = self._dns_now.asker(request.role)

        def search_and_ask(history: History) -> dict[str, Any]:
            answer = search(history)
            newest = next(history.find(query, limit=1), None)
            return {**answer, "dns": [] if newest is None else ask(newest)}

        return self._found(search_and_ask, self._dns_now.worker)

    def failures(self, request: PageRequest) -> Job:
        """``/api/v1/failures?zone=&server=&fault=``: what did not end well."""
        given = parameters(request.query, {"zone": "", "server": "", "fault": "", **_PAGE})

        def search(history: History) -> dict[str, Any]:
            found = history.find_failures(
                given["zone"],
                given["server"],
                given["fault"],
                limit=given["limit"],
                before=given["before"] or None,
            )
            return _page("events", found, given["limit"])

        return self._found(search)

    def history(self, request: PageRequest) -> Job:
        """``/api/v1/history``: how much there is, and since when."""
        parameters(request.query, {})

        def search(history: History) -> dict[str, Any]:
            rows, since = history.span()
            return {"rows": rows, "since": since}

        return self._found(search)

    def _found(self, search: Search, worker: Jobs | None = None) -> Job:
        directory = self._needed_directory()
        return Job(worker or self._searches, lambda: search_response(directory, search))

    def _needed_directory(self) -> str:
        directory = self._directory()
        if not directory:
            raise ApiError("no-history", "the history is off; history.enabled turns it on")
        return directory


def _page(name: str, found: Iterable[Event], limit: int) -> dict[str, Any]:
    """Return a page of events; ``before`` gets the next one, if there may be one."""
    events = [event._asdict() for event in found]
    return {name: events, "before": events[-1]["id"] if len(events) == limit else None}


def failure_map(at: float, end: End) -> dict[str, Any]:
    """Return a failure that has just happened, with what ``Event`` has of it."""
    number, name, address, client, _, _ = end.request.facts
    cause, why = cause_of(end), reason_of(end)
    return {
        "at": at,
        "operation": _KINDS[number].change_type.name.lower(),
        "name": name,
        "address": address_text(address),
        "client": client.hex().upper(),
        "result": end.result.word,
        "zone": cause.zone,
        "server": cause.server,
        "fault": cause.fault,
        "note": end.note,
        "why": why.why,
        "mend": why.mend,
    }


def reason_of(end: End) -> Reason:
    """Return why a request has failed."""
    fault = cause_of(end).fault
    try:
        return reason(fault, KINDS[end.request.facts[0]], getattr(end.transaction, "step", None))
    except KeyError:
        return Reason(f"It failed: {fault or end.note}.", "")

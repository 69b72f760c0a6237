"""The endpoints of DNS servers and zones."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyd2.errors import BadReply
from pyd2.interpreter import GIVE_WAY_AFTER, give_way
from pyd2.update.observing.replies import replies_of
from pyd2.update.server.reply_counts import RCODES
from pyd2.update.status import batches_status
from pyd2.web.answers import USUAL, json_response, parameters
from pyd2.web.config_index import server_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.control.http_pages import PageRequest
    from pyd2.control.http_response import Response
    from pyd2.counters import Histogram
    from pyd2.metrics.reading import GssReading
    from pyd2.update.server.lane import Lane
    from pyd2.web.config_index import ConfigIndex, Zone
    from pyd2.web.watch import Watch

_SOME: Final = {"limit": USUAL, "offset": 0}


class Tables:
    """The endpoints; ``watch`` knows the daemon."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def servers(self, request: PageRequest) -> Response:
        """``/api/v1/servers``: the DNS servers."""
        given = parameters(request.query, _SOME)
        index, reading = self._watch.index(), self._watch.facts.engine()
        gss = {each.dns_server: each for each in self._watch.facts.gss()}
        first, most = given["offset"], given["limit"]
        shown = islice(reading.lanes, first, first + most)
        found = [server_map(lane, index, self._watch.wall(), gss) for lane in shown]
        return json_response({"servers": found, **_page(len(reading.lanes), first, most)})

    def zones(self, request: PageRequest) -> Response:
        """``/api/v1/zones?q=``: the domains of the configuration whose names contain ``q``."""
        given = parameters(request.query, {"q": "", **_SOME})
        wanted = given["q"].lower()
        zones = self._watch.index().zones
        if wanted:
            zones = [zone for zone in zones if wanted in zone.name.lower()]
        first, most = given["offset"], given["limit"]
        shown = zones[first : first + most]
        counts = self._counts({zone.name for zone in shown})
        found = [self._zone_map(zone, counts.get(zone.name, (0, 0, 0, 0))) for zone in shown]
        return json_response({"zones": found, **_page(len(zones), first, most)})

    def _counts(self, names: set[str]) -> dict[str, tuple[int, int, int, int]]:
        """Return what became of the requests of some zones."""
        observer = self._watch.facts.engine().observer
        found = {}
        for number, (name, counts) in enumerate(() if observer is None else observer.zones()):
            if number % GIVE_WAY_AFTER == 0:
                give_way()
            if name in names:
                found[name] = counts
                if len(found) == len(names):
                    break
        return found

    def _zone_map(self, zone: Zone, counts: tuple[int, int, int, int]) -> dict[str, Any]:
        done, failed, expired, superseded = counts
        at, fault = self._watch.last_failure(zone.name)
        return {
            **zone._asdict(),
            "done": done,
            "failed": failed,
            "expired": expired,
            "superseded": superseded,
            "last_failure": None if not at else {"at": at, "fault": fault},
        }


def _page(total: int, first: int, most: int) -> dict[str, int | None]:
    return {"total": total, "next": first + most if first + most < total else None}


def server_map(
    lane: Lane, index: ConfigIndex, wall: float, gss: Mapping[str, GssReading]
) -> dict[str, Any]:
    """Return what there is to say of a DNS server.

    ``wall`` is seconds since the epoch, ``gss`` has the servers with GSS-TSIG by name.
    """
    use = index.servers.get((lane.host, lane.port))
    name, replies = server_name(lane.host, lane.port), replies_of(lane)
    rcodes = {name: count for name, count in zip(RCODES, replies.rcodes, strict=True) if count}
    state, down_for = state_of(lane, wall)
    return {
        "name": name,
        "address": lane.host,
        "port": lane.port,
        "text": lane.text,
        "transport": "tls" if lane.tls is not None else "udp" if use is None else use.transport,
        "state": state,
        "down_for": down_for,
        "in_flight": lane.window.in_flight,
        "window": lane.window.limit,
        "waiting": waiting_for(lane),
        "batches": batches_status(lane) if lane.batch > 1 else None,
        "keys": [] if use is None else list(use.keys),
        "gss": _gss_map(gss.get(name)),
        "zones": 0 if use is None else use.zones,
        "rcodes": rcodes,
        "timeouts": replies.timeouts,
        "bad": {reason.value: replies.bad[reason] for reason in BadReply if replies.bad.get(reason)},
        "p50_ms": quantile(replies.seconds, 0.5),
        "p95_ms": quantile(replies.seconds, 0.95),
    }


def _gss_map(reading: GssReading | None) -> dict[str, Any] | None:
    """Return how the keys of GSS-TSIG for a DNS server are doing; ``expires`` 0: none is usable."""
    if reading is None:
        return None
    return {"expires": reading.expires, "exchanges": dict(reading.exchanges)}


def state_of(lane: Lane, wall: float) -> tuple[str, int | None]:
    """Return whether a server is ``up``, ``silent`` (its last try timed out) or ``down``, and how long."""
    breaker = lane.breaker
    if breaker is not None and breaker.down:
        return "down", max(0, int(wall - breaker.since))
    return ("silent" if lane.silent else "up"), None


def waiting_for(lane: Lane) -> int:
    """Return how many requests and transactions wait for a server."""
    return len(lane.ready) + lane.queued + lane.held


def quantile(seconds: Histogram, share: float) -> float | None:
    """Return below how many milliseconds so large a share of the values lies; None: there are none.

    Within the bounds of the histogram it is taken as evenly spread.
    """
    total = sum(seconds.counts)
    if not total:
        return None
    wanted, below, least = share * total, 0, 0.0
    for bound, count in zip(seconds.bounds, seconds.counts, strict=False):
        if below + count >= wanted:
            return round(1000 * (least + (bound - least) * (wanted - below) / count), 3)
        below, least = below + count, bound
    return round(1000 * least, 3)

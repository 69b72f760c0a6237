"""The page ``/metrics``: reads what is counted, and writes it.

Nothing here is kept from scrape to scrape but the labels of zones, and most of what it reads it reads without
the update thread: numbers that another thread changes meanwhile are as old as the scrape, or a moment newer.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyd2.errors import BadReply
from pyd2.interpreter import give_way
from pyd2.metrics.exposition import Exposition, labels, template, wants_open_metrics
from pyd2.metrics.process import add_process
from pyd2.update.observing.replies import replies_of
from pyd2.update.observing.requests import ENDS, OF_ZONES
from pyd2.update.server.reply_counts import RCODES, ReplyCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyd2.counters import Counter, KeyCounters
    from pyd2.metrics.reading import EngineReading, Facts
    from pyd2.update.observing.requests import RequestObserver
    from pyd2.update.server.lane import Lane

OTHER: Final = "other"
"""The label of all zones beyond ``max-zones``."""
ZONES_AT_ONCE: Final = 128
"""Zones, and servers, between two pauses in which other threads may run."""
_OF_CLUSTER: Final = {
    "epoch": "epoch", "claims": "claims", "unacknowledged": "unacknowledged",
    "oldest_unacknowledged_seconds": "oldest-unacknowledged", "appended": "appended", "repeated": "repeated",
    "waiting": "waiting", "late": "late", "overtaken": "overtaken",
    "missing_batches": "missing",
}  # fmt: skip
"""What status-get has of a shared queue, by the names of the metrics."""
_OF_KEYS: Final = ("sent", "success", "timeout", "error")


class MetricsPage:
    """The page; ``facts`` says where its numbers come from."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._zone_names: list[str] = []
        self._zone_lines: list[str] = []
        """The lines of each zone without their values, in the order of ``_zone_names``."""

    def get(self, headers: Mapping[str, str]) -> tuple[str, tuple[bytes, ...]]:
        """Return content type and text for a client; ``headers`` are those of its request."""
        exposition = Exposition(open_metrics=wants_open_metrics(headers.get("accept", "")))
        reading = self._facts.engine()
        self._add_statistics(exposition)
        self._add_keys(exposition)
        self._add_requests(exposition, reading)
        self._add_servers(exposition, reading.lanes)
        self._add_losses(exposition)
        self._add_queue(exposition, reading)
        self._add_cluster(exposition, reading)
        self._add_gss(exposition)
        self._add_configuration(exposition)
        add_process(exposition)
        return exposition.end()

    def _add_statistics(self, exposition: Exposition) -> None:
        counters = self._facts.counters.of_kea
        for counter, value in zip(counters, self._values(counters), strict=True):
            name = counter.name.removeprefix("queue-mgr-").replace("-", "_")
            exposition.one(f"kea_ddns_{name}", value)

    def _values(self, counters: Sequence[Counter]) -> tuple[int, ...]:
        return self._facts.consistently(lambda: tuple(counter.value for counter in counters))

    def _add_keys(self, exposition: Exposition) -> None:
        keys: dict[str, KeyCounters] = dict(self._facts.counters.keys)
        for name in _OF_KEYS:
            exposition.family(f"kea_ddns_key_update_{name}")
            for key, counters in keys.items():
                exposition.value(getattr(counters, name).value, labels(("key", key)))

    # Requests.

    def _add_requests(self, exposition: Exposition, reading: EngineReading) -> None:
        tally = self._facts.counters.tally
        exposition.family("pyd2_requests")
        observer = reading.observer
        if observer is not None:
            self._add_zones(exposition, observer)
        for name, value in (("unmatched", tally.unmatched), ("lost", tally.lost)):
            exposition.value(value, labels(("zone", ""), ("result", name)))
        exposition.one("pyd2_requests_queued", reading.queued)
        exposition.one("pyd2_requests_active", reading.active)
        exposition.family("pyd2_request_seconds")
        if observer is not None:
            for result in ENDS:
                exposition.histogram(observer.seconds(result), labels(("result", result.word)))
        exposition.one("pyd2_retries_waiting", reading.retries)
        oldest = 0 if reading.queue is None else int(reading.queue["oldest-age"])
        exposition.one("pyd2_oldest_request_age_seconds", max(oldest, reading.oldest_age))

    def _add_zones(self, exposition: Exposition, observer: RequestObserver) -> None:
        most = self._facts.config().config.switches.metrics.max_zones
        zones = observer.zones()
        place = 0
        while some := list(islice(zones, min(ZONES_AT_ONCE, most - place))):
            give_way()
            names = [name for name, _ in some]
            lines = self._lines_of_zones(place, names)
            exposition.lines([line % counts for line, (_, counts) in zip(lines, some, strict=True)])
            place += len(some)
        rest = [counts for _, counts in zones]
        if rest:
            together = tuple(map(sum, zip(*rest, strict=True)))
            exposition.lines([_lines_of(OTHER) % together])

    def _lines_of_zones(self, place: int, names: list[str]) -> list[str]:
        """Return the lines of zones without their values, made once for each configuration."""
        end = place + len(names)
        if self._zone_names[place:end] != names:
            del self._zone_names[place:], self._zone_lines[place:]
            self._zone_names += names
            self._zone_lines += map(_lines_of, names)
        return self._zone_lines[place:end]

    # DNS servers.

    def _add_servers(self, exposition: Exposition, lanes: Sequence[Lane]) -> None:
        found: dict[str, _Server] = {}
        for place, lane in enumerate(lanes):
            if place % ZONES_AT_ONCE == 0:
                give_way()
            name = f"[{lane.host}]:{lane.port}" if ":" in lane.host else f"{lane.host}:{lane.port}"
            server = found.get(name)
            if server is None:
                server = found[name] = _Server(name)
            server.add(lane)
        servers = found.values()
        exposition.family("pyd2_dns_replies")
        for server in servers:
            exposition.counts(server.replies.rcodes, server.each("rcode", RCODES))
        exposition.family("pyd2_dns_timeouts")
        for server in servers:
            exposition.value(server.replies.timeouts, server.labels)
        exposition.family("pyd2_dns_bad_replies")
        for server in servers:
            counts = [server.replies.bad.get(reason, 0) for reason in BadReply]
            exposition.counts(counts, server.each("reason", tuple(BadReply)))
        exposition.family("pyd2_dns_update_seconds")
        for server in servers:
            exposition.histogram(server.replies.seconds, server.labels)
        for metric in ("lane_in_flight", "lane_window", "lane_waiting", "dns_server_up"):
            exposition.family(f"pyd2_{metric}")
            for server in servers:
                exposition.value(getattr(server, metric), server.labels)

    # The rest.

    def _add_losses(self, exposition: Exposition) -> None:
        counters = self._facts.counters
        exposition.one("pyd2_kernel_drops", counters.kernel_drops.value)
        exposition.one("pyd2_replies_ignored", counters.replies_ignored.value)
        exposition.one("pyd2_log_lines_lost", self._facts.lines_lost())
        exposition.one("pyd2_history_lost", self._facts.history()[0])

    def _add_queue(self, exposition: Exposition, reading: EngineReading) -> None:
        queue = reading.queue
        if queue is None:
            return
        exposition.one("pyd2_queue_entries", int(queue["entries"]))
        exposition.one("pyd2_queue_usable", int(reading.queue_usable))
        exposition.one("pyd2_dead_letters", int(queue["dead-letters"]))
        exposition.family("pyd2_queue_commit_seconds")
        exposition.histogram(self._facts.commit_seconds)

    def _add_cluster(self, exposition: Exposition, reading: EngineReading) -> None:
        cluster = reading.cluster
        if cluster is None:
            return
        facts: dict[str, Any] = {**cluster, **cluster.get("node", {})}
        site = labels(("site", facts["site"]))
        exposition.one("pyd2_cluster_connected", int(facts["server"] != ""), site)
        exposition.one("pyd2_cluster_owner", int(facts.get("state") == "owner"), site)
        for name, key in _OF_CLUSTER.items():
            exposition.one(f"pyd2_cluster_{name}", facts.get(key, 0), site)

    def _add_gss(self, exposition: Exposition) -> None:
        readings = list(self._facts.gss())
        if not readings:
            return
        exposition.family("pyd2_gss_key_expiry_timestamp_seconds")
        for reading in readings:
            exposition.value(reading.expires, labels(("dns_server", reading.dns_server)))
        exposition.family("pyd2_tkey_exchanges")
        for reading in readings:
            for result, count in reading.exchanges.items():
                exposition.value(count, labels(("dns_server", reading.dns_server), ("result", result)))

    def _add_configuration(self, exposition: Exposition) -> None:
        config = self._facts.config()
        exposition.one("pyd2_config_loaded_timestamp_seconds", config.loaded_at)
        exposition.one("pyd2_config_reload_successful", int(config.successful))
        exposition.one("pyd2_build_info", 1, labels(*self._facts.build))


class _Server:
    """What is shown of the lanes to one address and port: they may differ in their TLS."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.labels = labels(("dns_server", name))
        self.replies = ReplyCounts()
        self.lane_in_flight = self.lane_window = self.lane_waiting = 0
        self.dns_server_up = 1

    def add(self, lane: Lane) -> None:
        """Add a lane."""
        self.replies.add(replies_of(lane))
        self.lane_in_flight += lane.window.in_flight
        self.lane_window += lane.window.limit
        self.lane_waiting += len(lane.ready) + lane.queued
        silent = lane.silent if lane.breaker is None else lane.breaker.down
        self.dns_server_up &= int(not silent)

    def each(self, name: str, values: Iterable[str]) -> tuple[str, ...]:
        """Return the server's labels with one more, once for each value."""
        return tuple(labels(("dns_server", self._name), (name, value)) for value in values)


def _lines_of(zone: str) -> str:
    return template("pyd2_requests", [labels(("zone", zone), ("result", result.word)) for result in OF_ZONES])

"""How the daemon goes: what ``/api/v1/status``, the overview and the stream of events show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pyd2.update.status import policies_status, requests_status
from pyd2.web.tables import state_of, waiting_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyd2.metrics.reading import EngineReading, GssReading
    from pyd2.update.server.lane import Lane
    from pyd2.web.watch import Watch

MOST_PROBLEMS: Final = 20
MOST_LANES: Final = 1000
"""DNS servers that are searched for problems."""


def status_map(watch: Watch) -> dict[str, Any]:
    """Return the status."""
    facts = watch.facts
    reading, config, counters = facts.engine(), facts.config(), facts.counters
    build = dict(facts.build)
    problems = list(_problems(watch, reading))
    lost, history_fault = facts.history()
    return {
        "version": build["version"],
        "kea": build["kea"],
        "packet_layer": build["packet_layer"],
        "pid": os.getpid(),
        "uptime": facts.uptime(),
        "now": watch.wall(),
        "config": {"loaded": config.loaded_at, "ok": config.successful},
        "requests": requests_status(counters.tally, reading.queued, reading.active),
        "retries": {"waiting": reading.retries, "oldest_age": int(reading.oldest_age)},
        "policies": policies_status(counters),
        "queue": _queue_map(reading),
        "site": None if reading.cluster is None else _site_map(reading.cluster),
        "kernel_drops": counters.kernel_drops.value,
        "log_lines_lost": facts.lines_lost(),
        "history": {"on": config.config.switches.history.enabled, "lost": lost, "fault": history_fault},
        "servers": len(reading.lanes),
        "zones": len(watch.index().zones),
        "problems": problems[:MOST_PROBLEMS],
        "more_problems": max(0, len(problems) - MOST_PROBLEMS),
        "minutes": watch.minutes(),
    }


def _queue_map(reading: EngineReading) -> dict[str, Any]:
    queue = reading.queue
    if queue is None:
        return {"type": "memory"}
    return {
        "type": "durable",
        "usable": reading.queue_usable,
        "state": queue["state"],
        "entries": queue["entries"],
        "oldest_age": queue["oldest-age"],
        "dead_letters": queue["dead-letters"],
    }


def _site_map(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a shared queue is doing, as this daemon knows it; ``state`` empty: it only receives."""
    node = cluster.get("node", {})
    return {
        "name": cluster["site"],
        "node": cluster["name"],
        "server": cluster["server"],
        "fault": cluster.get("fault", ""),
        "unacknowledged": cluster["unacknowledged"],
        "oldest_unacknowledged": cluster["oldest-unacknowledged"],
        "state": node.get("state", ""),
        # Without what distinguishes two lives of one node.
        "owner": str(node.get("owner", "")).rpartition(".")[0],
        "waiting": node.get("waiting", 0),
        "late": node.get("late", 0),
    }


def _problems(watch: Watch, reading: EngineReading) -> Iterator[dict[str, str]]:
    """Yield what needs an operator: a text, how to mend it, and the view that has more."""
    facts = watch.facts
    if not facts.config().successful:
        yield _problem(
            "The last configuration was refused; the one before it is in force.",
            "The log says what is wrong with it: DCTL_CFG_FILE_RELOAD_ERROR.",
            "overview",
        )
    if reading.queue is not None and not reading.queue_usable:
        text = f"The durable queue does not work ({reading.queue['state']}): requests are kept in memory."
        yield _problem(text, "Look at the disk of the queue's directory.", "overview")
    lost, fault = facts.history()
    if fault and facts.config().config.switches.history.enabled:
        yield _problem(
            f"The history cannot be written: {fault}. {lost} requests are not in it.",
            "Look at the disk, the owner and the mode of its directory, and at what else writes there.",
            "overview",
        )
    if reading.cluster is not None:
        yield from _site_problems(_site_map(reading.cluster))
    if drops := facts.counters.kernel_drops.value:
        text = f"The kernel has dropped {drops} requests: they came faster than pyd2 could read them."
        yield _problem(text, "Raise net.core.rmem_max.", "overview")
    yield from _silent_servers(reading.lanes[:MOST_LANES], watch.wall())
    yield from _missing_keys(facts.gss())
    for cause, count, why in watch.causes():
        where = f"{cause.zone or 'No zone'}{f', DNS server {cause.server}' if cause.server else ''}"
        yield _problem(
            f"{where}: {cause.fault or 'failed'} {_times(count)} in the last 10 minutes. {why.why}",
            why.mend,
            "failures",
        )


def _site_problems(site: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    name = site["name"]
    here = f"{_waiting(site['unacknowledged'])} on the disk of this machine."
    if not site["server"]:
        yield _problem(
            f"No server of the shared queue of {name} can be reached. {here}",
            "Check that the servers of NATS run. PYD2_CLUSTER_UNREACHABLE in the log has the reason.",
            "overview",
        )
    elif site["fault"]:
        yield _problem(
            f"The servers of the shared queue of {name} take no requests: {site['fault']}. {here}",
            "'pyd2ctl queue check CONFIG' says what is wrong with servers and streams.",
            "overview",
        )
    if site["state"] == "paused":
        yield _problem(
            f"This node owns the shared queue of {name}, but its lease is over: it sends no updates.",
            "If it stays so, check that the servers of NATS run: they renew the lease.",
            "overview",
        )


def _missing_keys(readings: Iterable[GssReading]) -> Iterator[dict[str, str]]:
    for reading in readings:
        failed = sum(count for end, count in reading.exchanges.items() if end != "success")
        if failed and not reading.expires:
            yield _problem(
                f"DNS server {reading.dns_server} has no usable key of GSS-TSIG; to agree on one has failed "
                f"{_times(failed)}.",
                "'pyd2ctl gss-tsig check CONFIG' tries each step, and says what is wrong.",
                "servers",
            )


def _silent_servers(lanes: Sequence[Lane], wall: float) -> Iterator[dict[str, str]]:
    for lane in lanes:
        state, down_for = state_of(lane, wall)
        if state != "up":
            since = "its last update was not answered" if down_for is None else f"down for {down_for} s"
            yield _problem(
                f"DNS server {lane.text}: {since}. {_waiting(waiting_for(lane))} for it.",
                "Check that it runs, and that a firewall lets UDP and TCP pass both ways.",
                "servers",
            )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _waiting(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count} requests wait"


def _problem(text: str, mend: str, view: str) -> dict[str, str]:
    return {"text": text, "mend": mend, "view": view}

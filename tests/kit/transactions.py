"""Runs the conformance cases of single requests and of transactions; see tests.kit.conformance."""

import contextlib
from collections.abc import Mapping
from typing import Any

from tests.kit import ncr
from tests.kit.conformance import Case, Outcome
from tests.kit.normalise import mask
from tests.kit.station import FINAL, STUBS, Station
from tests.kit.waiting import wait_until

_INTAKE_STATISTICS = ("ncr-received", "ncr-invalid", "ncr-error")
_RECORDED_TIMEOUT, _LONG_TIMEOUT = 150, 20000  # milliseconds for a try: in recorded transactions, and here
_TIMEOUTS = (300, 1500, 7500)
"""Milliseconds for a try where some try gets no answer: the next where a paused machine cost another one."""
_NO_ANSWER = frozenset({"wrong-id", "one-byte", "other-source"})
"""Replies that answer nothing; the real server takes them for a sign to send again at once."""


def may_time_out(case: Case) -> bool:
    """Whether a try of a transaction may get no answer, by what the case puts in: servers and replies."""
    if any(reply.get("drop") or "delay" in reply or reply.get("mutate") in _NO_ANSWER
           for reply in case["replies"]):
        return True
    inner = case["config"]["DhcpDdns"]
    domains = [domain for direction in ("forward-ddns", "reverse-ddns")
               for domain in inner.get(direction, {}).get("ddns-domains", [])]
    stubs = STUBS.values()
    return any(server.get("port", 53) not in stubs for domain in domains for server in domain["dns-servers"])


def _patient(case: Case) -> list[Mapping[str, Any]]:
    """Return the configuration of a transaction, with more time for a try where that changes nothing else.

    With a long time where all servers answer, a paused machine makes no further try. It also hides
    a D2 that is slow: that is for the benchmarks to show. Several have more and more time.
    """
    config: Mapping[str, Any] = case["config"]
    if config["DhcpDdns"]["dns-server-timeout"] != _RECORDED_TIMEOUT or "result" not in case \
            or any("delay" in reply for reply in case["replies"]):
        return [config]
    return [_with_time(config, time) for time in (_TIMEOUTS if may_time_out(case) else (_LONG_TIMEOUT,))]


def _with_time(config: Mapping[str, Any], timeout: int) -> dict[str, Any]:
    """Return a configuration with another time for each try, in milliseconds.

    A pause of the machine must not cause another try.
    """
    return {"DhcpDdns": config["DhcpDdns"] | {"dns-server-timeout": timeout}}


def run_ncr(station: Station, case: Case) -> Outcome:
    """Send one datagram and see what becomes of it."""
    station.prepare(_with_time(case["config"], _LONG_TIMEOUT))
    d2, statistics = station.d2, dict[str, int]()
    station.send(bytes.fromhex(case["datagram_hex"]))

    def settled() -> bool:
        if not d2.alive:
            return True
        with contextlib.suppress(OSError):
            statistics.update(d2.statistics())
            if statistics["ncr-invalid"] or statistics["ncr-error"]:
                return True
        return bool(station.finals())

    wait_until(settled, "the request to be refused or carried out")
    d2.barrier()
    if d2.alive:
        statistics.update(d2.statistics())
    result: Outcome = {"accepted": bool(statistics.get("ncr-received")), "server_alive": d2.alive,
                       "stats": {name: statistics.get(name) for name in _INTAKE_STATISTICS},
                       "log": station.log()}
    updates = station.dns.updates()
    if updates:
        result |= {"first_update_hex": updates[0]["hex"], "updates": len(updates)}
    if not d2.alive:
        result |= {"exit": d2.process.exit_status, "stderr": mask(d2.stderr(), str(d2.directory))}
    return dict(station.ports.undo(result))


def run_transaction(station: Station, case: Case) -> Outcome:
    """Send the requests and answer the updates by the case's script.

    Where an answer came too late, as on a machine that was paused, the case is carried out again with more
    time. A D2 that does not accept the answer shows that with the longest time, too.
    """
    for config in _patient(case):
        outcome = _carry_out(station, case, config)
        if not station.dns.repeated():
            break
    return outcome


def _carry_out(station: Station, case: Case, config: Mapping[str, Any]) -> Outcome:
    """Carry out a transaction with a configuration.

    Requests of one client go out together, so that they queue behind each other; those of several
    clients one after the other, since their order would be left to chance otherwise.
    """
    station.prepare(config, case["replies"])
    d2, requests = station.d2, case["ncr"]
    one_client = len({request["dhcid"] for request in requests}) == 1
    for number, request in enumerate(requests, 1):
        station.send(ncr.datagram(request))
        if not one_client or number == len(requests):
            wait_until(lambda number=number: station.finals() >= number or not d2.alive,  # type: ignore[misc]
                       f"the end of {number} requests")
    updates = station.dns.updates()  # after this, late replies are on their way
    d2.barrier()
    log = [entry for entry in station.log()
           if entry[0] != "DEBUG" or "d2-to-dns" in entry[1] or "dhcp-to-d2" in entry[1]]
    final = [entry[2] for entry in log if FINAL.search(entry[2])]
    result = {"updates": updates, "final": final, "log": log, "stats": d2.statistics()}
    return dict(station.ports.undo(result))

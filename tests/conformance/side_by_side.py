"""Try invented cases on the real D2 and on pyd2: python -m tests.conformance.side_by_side.

What must be alike: every update, octet by octet but for IDs, times and MACs; the log at debug level 99,
in its order; all statistics. Where docs/differences.md says otherwise, its paragraph decides instead.
"""

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance import invented
from tests.kit import kea, ncr
from tests.kit.as_kea import as_kea
from tests.kit.station import Station
from tests.kit.waiting import WaitTimeoutError, wait_until

Outcome = dict[str, Any]

# How often Kea says these depends on how often its loop happens to go round.
_BY_CHANCE = {"DHCP_DDNS_NO_ELIGIBLE_JOBS", "DHCP_DDNS_AT_MAX_TRANSACTIONS"}
# Of several requests of a client, Kea reads one when its loop comes to it.
_WHEN_READ = "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE"
# What is said of a reply's odd TSIG record may be a part of its MAC or time.
_SIGNATURE = re.compile(
    r"(incompatible RDATA: \\# \d+|compression pointer \(out of range\):|label character:) .*")


class Difference(NamedTuple):
    """A case and its outcome."""

    case: invented.Case
    real: Outcome
    ours: Outcome

    def text(self) -> str:
        """Return what differs."""
        asked, answered = json.dumps(self.case.requests), json.dumps(self.case.replies)
        lines = [f"{self.case.name} ({self.case.config}): {asked} answered by {answered}"]
        for key in sorted(self.real.keys() | self.ours.keys()):
            real, ours = self.real.get(key), self.ours.get(key)
            if isinstance(real, list) and isinstance(ours, list):
                lines += [f"  {key} of the real one only: {item}" for item in real if item not in ours]
                lines += [f"  {key} of ours only: {item}" for item in ours if item not in real]
                if real != ours and sorted(map(str, real)) == sorted(map(str, ours)):
                    lines.append(f"  {key}: another order")
            elif real != ours:
                lines.append(f"  {key}: {real} and {ours}")
        return "\n".join(lines)


def run(station: Station, case: invented.Case) -> Outcome:
    """Run a case on a D2; several clients come one after the other."""
    recorded = case.recorded()
    station.prepare(recorded["config"], case.replies)
    d2, clients = station.d2, len({request["dhcid"] for request in case.requests})
    for number, request in enumerate(case.requests, 1):
        station.send(ncr.datagram(request))
        if clients > 1 or number == len(case.requests):
            wait_until(lambda number=number: station.finals() >= number or not d2.alive,  # type: ignore[misc]
                       f"the end of {number} requests", timeout=15)
    updates = station.dns.updates()
    d2.barrier()
    several = len(case.requests) > 1
    log = [[*entry[:3], _SIGNATURE.sub(r"\1", entry[3])] for entry in station.log()
           if not (several and entry[2] in {*_BY_CHANCE, _WHEN_READ})]
    return dict(station.ports.undo({"updates": updates, "log": log, "statistics": d2.statistics()}))


def alike(real: Outcome, ours: Outcome) -> bool:
    """Whether two outcomes are the same but for what docs/differences.md lists."""
    if any(_is_large(update) for update in real["updates"]):
        # Large updates: Kea leaves out what does not fit, or sends more than UDP should carry.
        return any(update.get("transport") == "tcp" for update in ours["updates"])
    for update in real["updates"]:
        if "tsig" in update:
            update["tsig"]["original_id_equals_header_id"] = True
    return real == ours


def _is_large(update: dict[str, Any]) -> bool:
    return len(update["hex"]) > 2 * 512 or bool(int(update["flags"], 16) & 0x200) or not update["update"]


def _work(binary: str, cases: Iterable[invented.Case], outcomes: dict[str, Outcome], until: float) -> None:
    with Station(binary) as station:
        for case in cases:
            if time.monotonic() > until:
                return
            try:
                outcomes[case.name] = run(station, case)
            except WaitTimeoutError as error:
                outcomes[case.name] = {"updates": [], "fault": str(error)}
                station.close()


def compare(real: str, ours: str, cases: Sequence[invented.Case],
            seconds: float) -> tuple[int, list[Difference]]:
    """Try cases on two D2s at a time; return how many both have done in so many seconds, and what differs.

    What differs must do so again: on a busy machine a reply may miss its time.
    """
    until = time.monotonic() + seconds
    done, differences = _compare(real, ours, cases, until)
    for _ in range(2):
        if differences:
            _, differences = _compare(real, ours, [case for case, _, _ in differences], inf)
    return done, differences


def _compare(real: str, ours: str, cases: Iterable[invented.Case],
             until: float) -> tuple[int, list[Difference]]:
    ordered = sorted(cases, key=lambda case: case.config)
    outcomes: list[dict[str, Outcome]] = [{}, {}]
    threads = [threading.Thread(target=_work, args=(binary, ordered, done, until))
               for binary, done in zip((real, ours), outcomes, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [case for case in ordered if all(case.name in found for found in outcomes)]
    differences = [Difference(case, outcomes[0][case.name], outcomes[1][case.name]) for case in done
                   if not alike(outcomes[0][case.name], outcomes[1][case.name])]
    return len(done), differences


def main() -> int:
    """Carry out the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kea", default="2.6", metavar="RELEASE", help="2.6 (installed) or 3.0 (./dev kea)")
    parser.add_argument("--real", metavar="PATH", help="the D2 that is right (that of --kea)")
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")), metavar="PATH",
                        help="the D2 to judge (pyd2)")
    parser.add_argument("--seed", type=int, default=1, help="which cases are drawn")
    parser.add_argument("--count", type=int, default=1500, help="how many")
    parser.add_argument("--seconds", type=float, default=3600, help="when to stop in any case")
    parser.add_argument("--name", default="", metavar="REGEX", help="only cases with this in their name")
    order = parser.parse_args()
    kea.choose(order.kea)
    cases = invented.drawn(order.seed, order.count, order.name)
    real = order.real or kea.chosen().program("kea-dhcp-ddns")
    with tempfile.TemporaryDirectory() as directory:
        ours = as_kea(order.d2, kea.chosen().release, Path(directory))
        done, differences = compare(real, ours, cases, order.seconds)
    for difference in differences:
        print(difference.text())
    print(f"seed {order.seed}: {done} cases compared, {len(differences)} differ")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())

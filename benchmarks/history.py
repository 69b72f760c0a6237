"""How large the history gets, and how quickly it is searched.

Run: python -m benchmarks.history [--events 2000000] [--max-entries 1000000]

Writes so many events as the history thread does, then searches as ``pyd2ctl why`` and the web page do: by
name, the beginning of a name, address, network and DHCID, of hosts that came early, late, and never. Shows
the size of the file, beside its limit, and the time and CPU time of each search: for events, as ``why``, and
for hosts, as the page. The exit status is 1 where the size or a search passes its limit. It takes a minute,
and what it needs of the disk is shown.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.config.switches import HistorySwitches
from pyd2.history import FILE
from pyd2.history.search import History, parse_host_query, parse_query
from pyd2.history.store import LAST_CHANGES, Limits, Store
from pyd2.update.model.faults import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyd2.history.rows import Row
    from pyd2.history.search import Query

MOST_SEARCH_MS: Final = 100.0
AT_ONCE: Final = 1000
"""Events of one transaction."""
HOSTS_PER_EVENT: Final = 4
"""One host for so many events: they renew their leases."""
_TIMES: Final = 5
"""How often each search is made; the fastest counts, since the others show what else runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill a history and search it; return 1 if a limit is passed."""
    options = parser().parse_args(arguments)
    place = None if options.directory is None else str(options.directory)
    with tempfile.TemporaryDirectory(prefix="d2-history.", dir=place) as folder:
        limits = Limits(options.max_entries, options.max_bytes, 30)
        good = fill(folder, options.events, limits)
        return 0 if search(Path(folder, FILE), options.events) and good else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    switches = HistorySwitches()
    made = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--events", type=int, default=2_000_000, help="how many are written (2,000,000)")
    made.add_argument("--max-entries", type=int, default=switches.max_entries, help="as in the configuration")
    made.add_argument("--max-bytes", type=int, default=switches.max_bytes, help="as in the configuration")
    made.add_argument("--directory", type=Path, help="where the file goes, for as long as it is needed")
    return made


def host_of(event: int, events: int) -> int:
    """Return the host of an event: hosts come again in the same order."""
    return event % max(1, events // HOSTS_PER_EVENT)


def name_of(host: int) -> str:
    """Return the name of a host."""
    return f"h{host:07}.example.com."


def address_of(host: int) -> bytes:
    """Return the address of a host: 10.0.0.0/8."""
    return (10 << 24 | host).to_bytes(4, "big")


def client_of(host: int) -> bytes:
    """Return the DHCID of a host."""
    return b"\0\1\1" + hashlib.sha256(b"%d" % host).digest()


def rows(store: Store, first: int, count: int, events: int) -> Iterator[Row]:
    """Yield rows of requests that are done, and of each hundredth that failed."""
    begun = 1_790_000_000_000
    for event in range(first, first + count):
        host = host_of(event, events)
        failed = event % 100 == 99
        fault = store.word("NXRRSET") if failed else 0
        note = "NXRRSET from 192.0.2.53 port:53" if failed else None
        result = Result.FAILED if failed else Result.DONE
        yield (begun + event, 0, name_of(host), address_of(host), client_of(host), int(result),
               3 if failed else 15, fault, store.word("REPLACING_FWD_ADDRS"), store.word("example.com."),
               store.word("192.0.2.53 port:53"), 0, 1, 1400, note)


def fill(folder: str, events: int, limits: Limits) -> bool:
    """Write the events; return whether the file kept to its limit."""
    store = Store(folder, limits)
    path = Path(folder, FILE)
    largest = with_changes = 0
    begun, used = time.monotonic(), time.process_time()
    for first in range(0, events, AT_ONCE):
        store.begin()
        store.add(list(rows(store, first, min(AT_ONCE, events - first), events)))
        store.commit()
        size = path.stat().st_size
        largest = max(largest, size)
        with_changes = max(with_changes, size + path.with_name(f"{FILE}-wal").stat().st_size)
    seconds, used = time.monotonic() - begun, time.process_time() - used
    kept = store.rows
    store.close()
    good = largest <= limits.octets and kept <= limits.rows
    print(f"{events} events written in {seconds:.0f} s, {1e6 * used / events:.1f} us of CPU time each")
    print(f"kept: {kept} events (at most {limits.rows}), {path.stat().st_size / kept:.0f} octets each")
    print(f"the file had at most {largest / 2**20:.0f} MiB, and {limits.octets / 2**20:.0f} are allowed: "
          f"{'kept to' if good else 'NOT KEPT TO'}")
    print(f"with the file of the last changes (at rest {LAST_CHANGES >> 20} MiB at most): "
          f"{with_changes / 2**20:.0f} MiB for a moment")
    return good


def search(path: Path, events: int) -> bool:
    """Search for hosts; return whether each search was quick enough."""
    last = host_of(events - 1, events)
    middle = last // 2
    early = host_of(max(0, events - 600_000), events)
    queries: dict[str, Query] = {}
    for when, host in (("late", last), ("middle", middle), ("early", early), ("never", 9_999_999)):
        queries[f"name, {when}"] = parse_query(name_of(host))
        queries[f"first label, {when}"] = parse_query(name_of(host).partition(".")[0])
        queries[f"beginning, {when}"] = parse_host_query(name_of(host)[:6])
        queries[f"address, {when}"] = parse_query(str(ip_address(address_of(host))))
        queries[f"network /28, {when}"] = parse_query(f"{ip_address(address_of(host))}/28")
        queries[f"DHCID, {when}"] = parse_query(client_of(host).hex())
    queries["beginning, all"] = parse_host_query("h")
    queries["network, all"] = parse_query("10.0.0.0/8")
    good = True
    print(f"{'search':24} {'events':>6} {'ms':>8} {'CPU ms':>8} {'hosts':>6} {'ms':>8} {'CPU ms':>8}")
    for title, query in queries.items():
        row = f"{title:24}"
        for search_for in (_events, _hosts):
            count, wall, cpu = _cost(path, query, search_for)
            good &= cpu <= MOST_SEARCH_MS
            row += f" {count:6} {wall:8.1f} {cpu:8.1f}"
        print(row, flush=True)
    print(f"each search within {MOST_SEARCH_MS:.0f} ms of CPU time: {'reached' if good else 'NOT REACHED'}")
    return good


def _events(history: History, query: Query) -> int:
    """Search as ``pyd2ctl why`` does."""
    return len(list(history.find(query, limit=10)))


def _hosts(history: History, query: Query) -> int:
    """Search as the web page does."""
    return len(list(history.find_hosts(query)))


def _cost(path: Path, query: Query, search_for: Callable[[History, Query], int]) -> tuple[int, float, float]:
    """Return how much a search finds, and the fastest one's milliseconds, and those of CPU time."""
    times = []
    count = 0
    for _ in range(_TIMES):
        begun, used = time.perf_counter(), time.process_time()
        history = History(path)
        count = search_for(history, query)
        history.close()
        times.append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)))
    return (count, *min(times))


if __name__ == "__main__":
    sys.exit(main())

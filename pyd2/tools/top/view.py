"""The lines that ``pyd2ctl top`` shows, from one reading and the one before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.data.controls import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.tools.top.reading import Reading, Server

_KEY: Final = re.compile(r"key\[(.*)\]\.update-(sent|success|timeout|error)", re.DOTALL)
_INDENT: Final = 10
"""Where the fields of a line begin."""
_WORDS: Final = {"sent": "sent", "success": "replies", "timeout": "timeouts", "error": "bad replies"}


class Size(NamedTuple):
    """How much a terminal can show."""

    columns: int
    rows: int


def lines(
    now: Reading, before: Reading | None, place: str, fault: str = "", size: Size | None = None
) -> list[str]:
    """Return the lines; ``place`` is the control channel, and ``fault`` why the reading is an old one.

    Without ``size`` all are shown. What is too long continues on the next line, and is cut in tables.
    """
    view = _View(now, before)
    found = [f"! {fault}"] if fault else []
    found += [*view.head(place), *view.warnings(), "", *view.requests(), *view.updates(), *view.queue()]
    tables = [escaped(line) for line in (*view.keys(), *view.servers())]
    if size is None:
        return [*map(escaped, found), *tables]
    shown = [part for line in found for part in _folded(escaped(line), size.columns)]
    shown += [line[: size.columns] for line in tables]
    if len(shown) > size.rows:
        shown = [*shown[: size.rows - 1], f"... {len(shown) - size.rows + 1} more lines"[: size.columns]]
    return shown


def _folded(line: str, columns: int) -> Iterator[str]:
    """Yield a line in parts: between two fields, or else two words."""
    indent = " " * min(_INDENT, columns // 4)
    while len(line) > columns:
        between = (line.rfind(blanks, len(indent) + 1, columns + len(blanks)) for blanks in ("  ", " "))
        place = next((place for place in between if place > 0), columns)
        yield line[:place].rstrip()
        line = indent + line[place:].lstrip()
    yield line


class _View:
    def __init__(self, now: Reading, before: Reading | None) -> None:
        self._now = now
        # The counters of another process, or those that were reset, begin again.
        same = before is not None and before.pid == now.pid
        self._before = before if same else None

    def _rate(self, value: int, earlier: int) -> str:
        if self._before is None or value < earlier or self._now.at <= self._before.at:
            return ""
        return f" ({(value - earlier) / (self._now.at - self._before.at):.1f}/s)"

    def _counter(self, name: str, word: str) -> str:
        value = self._now.statistics.get(name, 0)
        earlier = 0 if self._before is None else self._before.statistics.get(name, 0)
        return f"{word} {value}{self._rate(value, earlier)}"

    def _more(self, name: str) -> int:
        """Return by how much a statistic has grown since the reading before."""
        if self._before is None:
            return 0
        return max(0, self._now.statistics.get(name, 0) - self._before.statistics.get(name, 0))

    def head(self, place: str) -> Iterator[str]:
        """Yield what runs, where, and since when."""
        now = self._now
        yield (
            f"Kea {now.version}  pid {now.pid}  up {duration(now.uptime)}, "
            f"configured {duration(now.since_reload)} ago  {place}"
        )

    def warnings(self) -> Iterator[str]:
        """Yield what needs an eye."""
        now = self._now
        for server in now.servers:
            if server.down:
                yield (
                    f"! {server.name} has been down for {duration(server.down_for)}: {server.waiting} "
                    "requests wait for it"
                )
        state = str(now.queue.get("state", ""))
        if state.startswith("memory only"):
            yield f"! the durable queue does not work: {state}"
        if now.queue.get("server") == "":
            waiting = now.queue.get("unacknowledged", 0)
            yield f"! no server of the shared queue can be reached: {waiting} requests wait on this machine"
        for name, text in (
            ("update-timeout", "updates without a reply"),
            ("update-error", "bad replies"),
            ("ncr-invalid", "requests that cannot be read"),
            ("queue-mgr-queue-full", "requests lost to a full queue"),
            ("pyd2-kernel-drops", "requests dropped by the kernel"),
        ):
            if more := self._more(name):
                yield f"! {more} {text} since the last look"

    def requests(self) -> Iterator[str]:
        """Yield what has become of the requests."""
        yield "Requests  " + "  ".join(
            [
                self._counter("ncr-received", "received"),
                self._counter("ncr-invalid", "invalid"),
                self._counter("queue-mgr-queue-full", "lost"),
            ]
        )
        found = self._now.requests
        if found:
            earlier = {} if self._before is None else self._before.requests
            ends = [
                f"{name} {found.get(name, 0)}{self._rate(found.get(name, 0), earlier.get(name, 0))}"
                for name in ("done", "failed", "unmatched", "expired", "superseded")
            ]
            yield "          " + "  ".join(ends)
            yield f"          waiting {found.get('queued', 0)}  under way {found.get('active', 0)}"

    def updates(self) -> Iterator[str]:
        """Yield the counters of updates."""
        yield "Updates   " + "  ".join(self._counter(f"update-{name}", word) for name, word in _WORDS.items())

    def queue(self) -> Iterator[str]:
        """Yield the state of the durable queue, and of one that the machines of a site share."""
        queue = self._now.queue
        if queue:
            yield (
                f"Queue     entries {queue.get('entries', 0)}  oldest "
                f"{duration(int(queue.get('oldest-age', 0)))}"
            )
        if "site" in queue:
            node = queue.get("node", {})
            yield (
                f"Site      {queue['site']}  {node.get('state', 'receives only')}  "
                f"waiting {node.get('waiting', 0)}  not acknowledged {queue.get('unacknowledged', 0)}"
            )

    def keys(self) -> Iterator[str]:
        """Yield a line for each TSIG key."""
        found: dict[str, dict[str, int]] = {}
        for name, value in self._now.statistics.items():
            if (match := _KEY.fullmatch(name)) is not None:
                found.setdefault(match[1], {})[match[2]] = value
        if found:
            yield ""
            yield "Keys      " + "".join(f"{word:>12}" for word in _WORDS.values())
            for key in sorted(found):
                counts = "".join(f"{found[key].get(name, 0):>12}" for name in _WORDS)
                yield f"          {counts}  {key}"

    def servers(self) -> Iterator[str]:
        """Yield a line for each DNS server."""
        if self._now.servers:
            yield ""
            yield from _table(self._now.servers)


def _table(servers: Sequence[Server]) -> Iterator[str]:
    width = max(len(server.name) for server in servers)
    yield f"Servers   {'':{width}}  state  under way  waiting"
    for server in servers:
        state = "DOWN" if server.down else "up"
        yield f"          {server.name:{width}}  {state:5}  {server.in_flight:>9}  {server.waiting:>7}"


def duration(seconds: int) -> str:
    """Return a time in its two largest units."""
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, seconds = divmod(seconds, size)
        if number or parts or unit == "s":
            parts.append(f"{number} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)

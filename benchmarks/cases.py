"""The cases, as a table.

Every case is run on every D2, each with the same configuration except for its hook libraries. ``load`` has
the load generator's options (``load/options.c``). A window of 500 requests fits into the queue of the real
server, which holds 1,024.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.settings import ALGORITHMS, Settings

SHA256: Final = "HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    name: str
    title: str
    load: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    other_load: tuple[str, ...] | None = None
    """The load generator's options for other D2s than pyd2; None: the same."""
    beside: tuple[str, ...] = ()
    """Options of a second load generator that runs meanwhile, with its own DNS server. Its requests are in no
    figure; needs the setting of the same name. Empty: there is none."""
    library: str = ""
    """An entry of libraries.py."""
    env: tuple[tuple[str, str], ...] = ()
    """More of pyd2's environment."""
    only: str = ""
    """The one D2 that can do this at all."""
    server: str = ""
    """The real DNS server that answers, ``bind``, ``knot`` or ``pdns``; else the load generator does."""
    disk: Path | None = None
    """A directory on a disk for the DNS server's files; None: they are in memory."""
    baseline: str = ""
    """The case that is measured beside each run of this one on the same D2, to compare the CPU time."""
    starts: int = 0
    """Only start the D2 so often for each run, and send nothing."""
    ceiling: bool = False
    """Whether what the loopback path carries is measured, too."""
    quick: bool = False


_SIGNED: Final = Settings(algorithm=SHA256)
_FAR: Final = Settings(user_context={"lanes": {"max-in-flight": 4096}})
_WIDE: Final = ("--window", "6000", "--ramp", "10", "--warmup", "4")
"""Enough for 4,096 in flight; a window begins at 32 and opens by 32 each round trip."""
_DEEP: Final = Settings(timeout_ms=60_000)
_DURABLE: Final = Settings(user_context={"queue": {"type": "durable", "directory": "@DIRECTORY@"}})
_PLAIN: Final = (("PYD2_PACKET_LAYER", "plain"),)

BASE = (
    Case("add", "additions, unsigned", ceiling=True, quick=True),
    Case("add-sha256", "additions, HMAC-SHA256", settings=_SIGNED, quick=True),
    Case("add-info", "additions, unsigned, log level INFO", settings=Settings(severity="INFO")),
    Case("add-sha256-info", "additions, HMAC-SHA256, log level INFO",
         settings=replace(_SIGNED, severity="INFO"), quick=True),
    Case("add-off", "additions, unsigned, log off", settings=Settings(severity="NONE")),
    Case("remove", "removals, unsigned", ("--change", "remove")),
    Case("remove-sha256", "removals, HMAC-SHA256", ("--change", "remove"), _SIGNED, quick=True),
    Case("mixed", "additions and removals, unsigned", ("--change", "mixed")),
    Case("forward", "additions, forward only", ("--direction", "forward")),
    Case("conflicts", "additions, 20% of the names in use", ("--conflicts", "20")),
    Case("ipv6", "additions for IPv6, over IPv6", settings=Settings(ipv6=True)),
    Case("ipv6-sha256", "additions for IPv6, over IPv6, HMAC-SHA256", settings=replace(_SIGNED, ipv6=True)),
)

ALGORITHM = tuple(Case(f"tsig-{algorithm.removeprefix('HMAC-').lower()}", f"additions, {algorithm}",
                       settings=Settings(algorithm))
                  for algorithm in ALGORITHMS if algorithm != SHA256)

MODE = tuple(Case(f"mode-{mode}", f"additions and removals, {mode}", ("--change", "mixed", "--mode", mode))
             for mode in ("no-check-with-dhcid", "check-exists-with-dhcid", "no-check-without-dhcid"))

WINDOW = tuple(Case(f"window-{window}", f"additions, {window:,} requests waiting", ("--window", str(window)))
               for window in (32, 100, 1000, 5000))

OFFERED = tuple(Case(f"offered-{rate}", f"additions, {rate:,} requests a second offered",
                     ("--rate", str(rate)), quick=rate == 3000, ceiling=rate == 3000)
                for rate in (300, 1000, 3000, 5000, 10_000, 20_000))

DISTANCE = (
    *(Case(f"distance-{ms}", f"additions, DNS {ms} ms away", ("--delay-ms", str(ms)), quick=ms == 20)
      for ms in (1, 5, 20, 50)),
    *(Case(f"distance-{ms}-4096", f"additions, DNS {ms} ms away, max-in-flight 4,096",
           ("--delay-ms", str(ms), *_WIDE), _FAR,
           other_load=("--delay-ms", str(ms)), quick=ms == 20)
      for ms in (5, 20, 50)),
    Case("distance-20-4096-sha256", "additions, HMAC-SHA256, DNS 20 ms away, max-in-flight 4,096",
         ("--delay-ms", "20", *_WIDE), replace(_FAR, algorithm=SHA256),
         other_load=("--delay-ms", "20")),
)

LOSS = tuple(Case(f"loss-{percent}", f"additions, {percent}% of the updates lost", ("--loss", str(percent)))
             for percent in (1, 2, 5))

DOMAINS = tuple(Case(f"domains-{count}", f"additions, {count:,} domains", settings=Settings(domains=count),
                     load=("--domains", str(count)), baseline="add")
                for count in (10, 100, 1000, 10_000))

QUEUE = tuple(Case(f"queue-{count}", f"additions, {count:,} queued", ("--window", str(count), "--hold"),
                   _DEEP, only="pyd2", baseline="add")
              for count in (10_000, 100_000, 500_000))

BURST = tuple(Case(f"burst-{count}", f"{count:,} additions at once", ("--burst", str(count)),
                   quick=count == 20_000)
              for count in (20_000, 200_000))

REAL = tuple(Case(f"{server}{'-sha256' if settings.algorithm else ''}",
                  f"additions, {'HMAC-SHA256, ' if settings.algorithm else ''}{title} behind",
                  settings=settings, server=server)
             for server, title in (("bind", "BIND"), ("knot", "Knot DNS"), ("pdns", "PowerDNS"))
             for settings in (Settings(), _SIGNED))

_DISK: Final = Path("/var/tmp")


def _in_batches(batch: int, timeout_ms: int = 500) -> Settings:
    """Return the settings for signed batches of so many updates; the real server ignores the switch."""
    context = {"lanes": {"batch": batch}}
    return Settings(algorithm=SHA256, timeout_ms=timeout_ms, user_context=context)


BATCHES = tuple(
    Case(f"{name}-batch", f"additions, HMAC-SHA256, {title} behind", ("--window", "1000"), settings,
         server=name.removesuffix("-disk"), disk=_DISK if name.endswith("-disk") else None)
    for name, title, settings in (
        ("bind", "batches of 50, BIND", _in_batches(50)),
        ("bind-disk", "batches of 50, BIND on a disk", _in_batches(50)),
        ("knot", "batches of 200, Knot DNS", _in_batches(200, 2000)),
        ("pdns", "batches of 50, PowerDNS", _in_batches(50)),
    )
)
"""As many wait as the real server holds."""

HOOKS = (
    *(Case(f"hook-{name.partition('.')[2]}", f"additions, {title}", settings=_SIGNED, library=name)
      for name, title in (("key.cc", "a library in C++ chooses the key"),
                          ("key.c", "a library in C chooses the key (the real server: C++)"),
                          ("key.py", "a library in Python chooses the key (the real server: C++)"))),
    *(Case(f"audit-{name.partition('.')[2]}", f"additions, {title}", library=name)
      for name, title in (("audit.cc", "a library in C++ writes a line for each"),
                          ("audit.c", "a library in C writes a line for each (the real server: C++)"),
                          ("audit.py", "a library in Python writes a line for each (the real server: C++)"))),
    Case("blocking", "20,000 additions a second, Python blocks the loop 100 ms twice a second",
         ("--rate", "20000", "--seconds", "4"), library="blocking.py", only="pyd2"),
    Case("blocking-select", "2,000 additions a second, a select_key in Python blocks 100 ms for another zone",
         ("--rate", "2000", "--seconds", "4"), Settings(beside=True), beside=("--rate", "20"),
         library="blocking_select.py", only="pyd2"),
)

DURABLE = (
    Case("durable", "additions, unsigned, durable queue (the real server: in memory)", settings=_DURABLE,
         baseline="add"),
    Case("burst-200000-durable", "200,000 additions at once, durable queue", ("--burst", "200000"), _DURABLE,
         only="pyd2"),
)

PLAIN = (
    Case("plain", "additions, unsigned, plain Python layer", env=_PLAIN, quick=True),
    Case("plain-sha256", "additions, HMAC-SHA256, plain Python layer", settings=_SIGNED, env=_PLAIN),
)

START = (Case("start", "from the start to listening, idle", starts=3, quick=True),)

CASES: Final = (*BASE, *ALGORITHM, *MODE, *WINDOW, *OFFERED, *DISTANCE, *LOSS, *DOMAINS, *QUEUE, *BURST,
                *REAL, *BATCHES, *HOOKS, *DURABLE, *PLAIN,
                *START)

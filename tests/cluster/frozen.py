"""Owners that stand still under load and wake up as former ones: ``python -m tests.cluster frozen``."""

from __future__ import annotations

import random
import signal
import time
from typing import Any, Final

from tests.cluster.apart import SETTLE_SECONDS, apart_site
from tests.cluster.load import Load, finish
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

MOST_STALE: Final = 128
"""Updates that an owner may have prepared: one batch."""


def frozen(
    binary: str, count: int, rate: float, seed: int, seconds: float, lease: float, grace: float,
    fudge: int | None, dns: str,
) -> bool:
    """Stop the owner so often, for so long at most; print how many updates former owners have sent.

    With a ``fudge`` updates are signed, and none of those may take effect.
    """
    more: dict[str, Any] = {} if fudge is None else {"tsig-fudge": fudge}
    key = None if fudge is None else TsigKey.of("HMAC-SHA256")
    with apart_site(binary, lease=lease, grace=grace, key=key, dns=dns, **more) as site, \
            Load(site.machines, 0, seed) as load:
        chance = random.Random(seed)
        site.start()
        load.rate = rate
        times, end = 0, time.monotonic() + seconds
        while times < count and time.monotonic() < end:
            time.sleep(chance.uniform(0.3, 1.0))
            owner = site.owner()
            with load.held(owner):
                begun = time.time()
                owner.d2.process.send_signal(signal.SIGSTOP)
                wait_until(lambda: site.updates.after(begun, other_than=owner.name),  # noqa: B023  done in it
                           "the next owner", SETTLE_SECONDS)
                time.sleep(chance.uniform(0.0, 0.5))
                owner.d2.process.send_signal(signal.SIGCONT)
            times += 1
            if times % 10 == 0:
                print(f"{times:4} times", flush=True)
        time.sleep(1.0)
        outcome = finish(site, load)
    signed = "unsigned" if fudge is None else f"signed, tsig-fudge {fudge} s"
    print(f"owner stopped {times} times at {rate:g} requests a second, lease {lease:g} s, updates {signed}, "
          f"{dns}: {outcome}")
    if fudge is not None:
        return outcome.good and not outcome.took_effect
    return outcome.good and max(outcome.stale.values(), default=0) <= MOST_STALE

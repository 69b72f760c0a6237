"""What a log line costs: microseconds per message, written and suppressed.

``python -m benchmarks.micro_log`` writes to a file in a temporary directory, in batches as one pass of the
event loop makes them.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.micro_engine import make_requests
from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER
from pyd2.observe.log import MessageLog
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.packed import PackedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 50_000
REQUEST_ID = "000101" + "C4DAB1D7E0" * 6


def microseconds(action: Callable[[], None], calls: list[Callable[[], None]], batch: int) -> float:
    """Return the time of ``action``; after each ``batch`` of them the scheduled ``calls`` are run."""
    begin = time.perf_counter()
    for number in range(COUNT):
        action()
        if number % batch == 0:
            for call in calls:
                call()
            calls.clear()
    return (time.perf_counter() - begin) / COUNT * 1e6


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as directory:
        log = MessageLog({"KEA_LOCKFILE_DIR": directory, "KEA_LOGGER_DESTINATION": "/dev/null"})
        option = OutputOption(str(Path(directory, "d2.log")))
        log.configure((Logger(ROOT_LOGGER, "INFO", 0, (option,), None),))
        calls: list[Callable[[], None]] = []
        log.scheduler = calls.append
        (request,) = CompiledLayer().read_requests(make_requests(0, 1), None)
        assert isinstance(request, PackedRequest)
        added = partial(log.emit_request, "DHCP_DDNS_ADD_SUCCEEDED", request)
        for batch in (1, 10, 100):
            cost = microseconds(added, calls, batch)
            print(f"written, {batch:3} lines a pass  {cost:6.2f} us")
        started = partial(log.emit, "DHCP_DDNS_STARTING_TRANSACTION", REQUEST_ID)
        cost = microseconds(started, calls, 100)
        print(f"suppressed                 {cost:6.2f} us")
        log.close()


if __name__ == "__main__":
    main()

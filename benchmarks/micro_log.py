"""What a log line costs: microseconds of CPU time per message, written and suppressed.

``python -m benchmarks.micro_log`` writes to a file in a temporary directory. The first figure is what the
thread that logs pays, the second is the whole process.
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
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.packed import PackedRequest
from tests.kit.profile import message_log

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 50_000
REQUEST_ID = "000101" + "C4DAB1D7E0" * 6


def microseconds(action: Callable[[], None], write: Callable[[], None], batch: int) -> tuple[float, float]:
    """Return the CPU time of ``action``, this thread's and the process's; ``write`` runs once a ``batch``."""
    began = time.thread_time(), time.process_time()
    for number in range(COUNT):
        action()
        if number % batch == 0:
            write()
    ended = time.thread_time(), time.process_time()
    caller, process = ((end - begin) / COUNT * 1e6 for begin, end in zip(began, ended, strict=True))
    return caller, process


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as directory:
        log = message_log({"KEA_LOCKFILE_DIR": directory, "KEA_LOGGER_DESTINATION": "/dev/null"})
        option = OutputOption(str(Path(directory, "d2.log")))
        log.configure((Logger(ROOT_LOGGER, "INFO", 0, (option,), None),))
        log.start_writer()
        (request,) = CompiledLayer().read_requests(make_requests(0, 1), None)
        assert isinstance(request, PackedRequest)
        ended = partial(log.emit_requests, "DHCP_DDNS_ADD_SUCCEEDED", [request])
        other = partial(log.emit, "DHCP_DDNS_STARTED", REQUEST_ID)
        suppressed = partial(log.emit, "DHCP_DDNS_STARTING_TRANSACTION", REQUEST_ID)
        print("CPU time per message            caller   process")
        some = 10, 100, 1000
        rows = ("request", ended, some), ("other message", other, some), ("suppressed", suppressed, (1000,))
        for title, action, batches in rows:
            for batch in batches:
                caller, process = microseconds(action, log.flush, batch)
                print(f"{title:14} {batch:4} together {caller:8.2f} us {process:6.2f} us")
        log.close()


if __name__ == "__main__":
    main()

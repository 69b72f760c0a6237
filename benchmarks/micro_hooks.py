"""What a hook point costs the engine: CPU microseconds for each selection of a server.

Run: python benchmarks/micro_hooks.py [ROUNDS]
"""

from __future__ import annotations

import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from pyd2.config.model import DnsServer, HookLibrary
from pyd2.dns.tsig import HmacKey
from pyd2.hooks.chain import load_chain
from pyd2.messages import MESSAGES, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = {
    "an empty callout": "def select_key(handle): pass",
    "a callout that sets a key": """
from pyd2.hooks import TsigKey
key = TsigKey("k.", "HMAC-SHA256", b"0123456789abcdef")
def select_key(handle):
    if handle.get_argument("current_server").port == 53:
        handle.set_argument("tsig_key", key)
""",
    "the same with context_create and context_destroy": """
from pyd2.hooks import TsigKey
key = TsigKey("k.", "HMAC-SHA256", b"0123456789abcdef")
def context_create(handle): handle.set_context("seen", 1)
def context_destroy(handle): pass
def select_key(handle):
    if handle.get_argument("current_server").port == 53 and handle.get_context("seen"):
        handle.set_argument("tsig_key", key)
""",
}
SERVER = DnsServer(ip_address("192.0.2.1"), 53, "", None, None)
KEY = HmacKey("configured.", "HMAC-SHA256", b"0123456789abcdef")


class QuietLog:
    """The log at Kea's default level, INFO; what it is told goes nowhere."""

    on = frozenset(name for name, message in MESSAGES.items() if message.severity > Severity.DEBUG)

    def emit(self, message_id: str, *arguments: object) -> None:
        """Drop a message."""


def measure(work: Callable[[], object], rounds: int) -> float:
    """Return the CPU microseconds of one call, the best of five runs."""
    best = float("inf")
    for _ in range(5):
        begin = process_time()
        for _ in range(rounds):
            work()
        best = min(best, process_time() - begin)
    return best / rounds * 1e6


def main() -> None:
    """Measure each library alone, then three in a row."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as directory:
        entries = []
        for number, text in enumerate(LIBRARIES.values()):
            path = Path(directory) / f"library{number}.py"
            path.write_text(f"def version(): return 20603\n{text}\n")
            entries.append(HookLibrary(str(path), None))
        chains = dict(zip(LIBRARIES, ([entry] for entry in entries), strict=True))
        for name, libraries in (*chains.items(), ("all three libraries in a chain", entries)):
            chain = load_chain(libraries, QuietLog())
            select_key = chain.select_key
            assert select_key is not None
            print(f"{name:50}{measure(lambda: select_key(SERVER, KEY), rounds):8.2f} us")  # noqa: B023  used at once
            chain.unload()


if __name__ == "__main__":
    main()

"""The options of ``pyd2ctl lint`` for the probe, which is imported only where it is asked for."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.config.model import Config
    from pyd2.tools.lint.rules import Finding
    from pyd2.tools.progress import Progress


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the probe."""
    parser.add_argument(
        "--probe", action="store_true",
        help="also ask the DNS servers of the configuration: is each zone theirs, does its key work, do they "
             "accept updates, and DHCID records; no zone is changed",
    )
    parser.add_argument("--timeout", type=_seconds, default=1.0, metavar="SECONDS",
                        help="with --probe: how long a server may take to reply, three times (default: 1)")
    parser.add_argument("--within", type=_seconds, default=60.0, metavar="SECONDS",
                        help="with --probe: how long all of it may take, for each FILE (default: 60)")


def probe(config: Config, arguments: argparse.Namespace, progress: Progress) -> list[Finding]:
    """Return what the servers' answers show, if the arguments ask for the probe."""
    if not arguments.probe:
        return []
    from pyd2.tools.probe.prober import probe_servers

    return probe_servers(config, arguments.timeout, arguments.within, progress)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"not above zero: {text}")
    return seconds

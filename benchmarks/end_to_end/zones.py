"""What a DNS server holds, by zone transfer, and how much of it is right."""

from __future__ import annotations

import base64
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from benchmarks.errors import BenchmarkError
from benchmarks.servers import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.end_to_end.dhcp import Lease

TRANSFER_SECONDS: Final = 60

Records = dict[tuple[str, str], set[str]]
"""By owner (lower case, with its final dot) and type, the data of each record."""


def transfer(zone: str, port: int) -> Records:
    """Return the records of a zone. Raises BenchmarkError."""
    options = ("+noall", "+answer", "+onesoa", "+tries=1")
    command = [find("dig"), "@127.0.0.1", "-p", str(port), *options, "AXFR", zone]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TRANSFER_SECONDS)
    found: Records = defaultdict(set)
    for line in done.stdout.splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5 and not line.startswith(";"):
            owner, _, _, kind, data = fields
            found[owner.lower(), kind].add(data.replace(" ", "") if kind == "DHCID" else data.lower())
    if (zone, "SOA") not in found:
        raise BenchmarkError(f"no transfer of {zone}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return found


def count_right(leases: Iterable[Lease], forward: Mapping[tuple[str, str], set[str]],
                reverse: Mapping[tuple[str, str], set[str]]) -> int:
    """Return how many leases the DNS shows as it should: A and PTR, both with the DHCID, and no others."""
    right = 0
    for address, name, dhcid in leases:
        digest = {base64.b64encode(dhcid).decode()}
        backwards = ".".join(reversed(address.split("."))) + ".in-addr.arpa."
        right += (forward.get((name, "A")) == {address}
                  and reverse.get((backwards, "PTR")) == {name}
                  and forward.get((name, "DHCID")) == reverse.get((backwards, "DHCID")) == digest)
    return right

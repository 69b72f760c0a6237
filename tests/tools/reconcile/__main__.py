"""What it costs to reconcile a large site: ``python -m tests.tools.reconcile --hosts 50000``.

BIND has the names of so many hosts with DHCIDs and PTR records, and a lease file their leases; ten of each of
three classes differ, and have to be found.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.kit import dns_servers
from tests.kit.d2 import private_directory
from tests.tools.reconcile.made import DHCP4, HEADER4, client_dhcid, row4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORWARD, REVERSE = "example.com.", "64.10.in-addr.arpa."
EACH = 10
SUBNET = "10.64.0.0/16"
GOAL_SECONDS, GOAL_BYTES = 60.0, 500 * 10**6
TTL = 1333
MOST = 65000


class Cost(NamedTuple):
    """What a run has needed."""

    status: int
    output: bytes
    seconds: float
    cpu: float
    peak: int
    """Bytes."""


def records(hosts: int) -> tuple[Iterator[str], Iterator[str]]:
    """Return the lines of both zones: the first hosts are missing, the next ones have a wrong address."""
    def name(number: int) -> tuple[str, str, str]:
        fqdn = f"h{number}.{FORWARD}"
        high, low = divmod(number, 256)
        address = f"10.64.{high}.{low}"
        return fqdn, address, base64.b64encode(client_dhcid(number, fqdn)).decode()

    def forward() -> Iterator[str]:
        for number in range(EACH, hosts + EACH):  # the last EACH are stale
            fqdn, address, dhcid = name(number)
            shown = address if number >= 2 * EACH else "10.64.255.255"
            yield f"{fqdn} {TTL} IN A {shown}\n{fqdn} {TTL} IN DHCID {dhcid}\n"

    def reverse() -> Iterator[str]:
        for number in range(hosts):
            fqdn, _, dhcid = name(number)
            high, low = divmod(number, 256)
            owner = f"{low}.{high}.{REVERSE}"
            yield f"{owner} {TTL} IN PTR {fqdn}\n{owner} {TTL} IN DHCID {dhcid}\n"

    return forward(), reverse()


def write_files(directory: Path, hosts: int, port: int) -> None:
    """Write the configurations and the lease file."""
    servers = [{"ip-address": "127.0.0.1", "port": port}]
    domains = [{"name": zone, "dns-servers": servers} for zone in (FORWARD, REVERSE)]
    body = {"forward-ddns": {"ddns-domains": domains[:1]}, "reverse-ddns": {"ddns-domains": domains[1:]}}
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": body}))
    rows = (row4(f"10.64.{number >> 8}.{number & 255}", number, f"h{number}.{FORWARD}")
            for number in range(hosts))
    (directory / "leases.csv").write_text("\n".join([HEADER4, *rows, ""]))
    dhcp = DHCP4["Dhcp4"] | {"subnet4": [{"id": 1, "subnet": SUBNET}],
                             "lease-database": {"type": "memfile", "name": str(directory / "leases.csv")}}
    (directory / "dhcp4.conf").write_text(json.dumps({"Dhcp4": dhcp}))


def measured(*argv: str) -> Cost:
    """Run a program and return what it has needed."""
    begin = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(process.returncode, output, time.monotonic() - begin, usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024)


def main() -> int:
    """Compare once; return 1 if a difference is missed or a goal is."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.reconcile", description=__doc__)
    parser.add_argument("--hosts", type=int, default=50_000)
    hosts = parser.parse_args().hosts
    if not 3 * EACH <= hosts <= MOST:
        parser.error(f"from {3 * EACH} to {MOST} hosts")
    with private_directory() as directory, dns_servers.bind([FORWARD, REVERSE]) as server:
        server.process.stop()
        for number, lines in enumerate(records(hosts)):
            with (server.directory / f"zone{number}").open("a") as zone:
                zone.writelines(lines)
        server.start()
        write_files(directory, hosts, server.port)
        cost = measured(sys.executable, "-m", "pyd2.tools", "reconcile", str(directory / "d2.json"), "--json",
                        "--quiet", "--dhcp4", str(directory / "dhcp4.conf"))
    report = json.loads(cost.output)
    found = {name: count for name, count in report["counts"].items() if count}
    print(f"{report['leases']} leases, {report['names']} names with a DHCID: {found}")
    print(f"{cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU, {cost.peak / 10**6:.0f} MB")
    right = found == {"missing": EACH, "wrong-address": EACH, "stale": EACH} and cost.status == 1
    if not right:
        print(f"the differences are not those that were made; exit status {cost.status}")
    within = cost.cpu < GOAL_SECONDS and cost.peak < GOAL_BYTES
    return 0 if right and within else 1


if __name__ == "__main__":
    sys.exit(main())

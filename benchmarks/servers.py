"""Real DNS servers behind the D2s, and what one of them does at most."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.reversename

from benchmarks.errors import BenchmarkError
from benchmarks.settings import KEY_NAME, SECRET, Settings, zones

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS: Final = 20.0
_PATH: Final = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_PACKAGES = {"named": "bind9", "knotd": "knot", "dnsperf": "dnsperf", "pdns_server": "pdns-server",
             "dig": "bind9-dnsutils", "kea-dhcp4": "kea-dhcp4-server", "perfdhcp": "kea-admin"}
_PDNS_SCHEMA: Final = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_SOA = "ns.invalid admin.invalid 1 3600 600 86400 60"
_HEAD = "$TTL 300\n@ IN SOA ns.invalid. admin.invalid. 1 3600 600 86400 60\n@ IN NS ns.invalid.\n"


def find(program: str) -> str:
    """Return the path of a program. Raises BenchmarkError that names its Debian package."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise BenchmarkError(f"{program} is not installed (Debian: {_PACKAGES[program]})")
    return path


@contextlib.contextmanager
def serving(name: str, settings: Settings, port: int, disk: Path | None = None) -> Iterator[int]:
    """Run a DNS server on a port while the context lasts; gives its process ID. Raises BenchmarkError.

    ``name`` is one of SERVERS. Its files are in memory, so that no disk is measured, or in a directory
    ``disk``; its limits are those it comes with.
    """
    memory = Path("/dev/shm")
    place = disk or (memory if memory.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="dns-bench.", dir=place) as folder:
        directory = Path(folder)
        for number in range(2):
            (directory / f"zone{number}").write_text(_HEAD)
        command = SERVERS[name](directory, settings, port)
        with (directory / "output").open("wb") as output:
            process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT)
        try:
            _wait(process, zones(settings)[0][0], port, directory)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _bind(directory: Path, settings: Settings, port: int, zone_options: str = "") -> list[str]:
    allow = f'key "{KEY_NAME}"' if settings.algorithm else "127.0.0.1"
    forward, reverse = zones(settings)
    text = f"""
options {{ directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
           allow-transfer {{ 127.0.0.1; }};
           recursion no; pid-file none; session-keyfile none; notify no; dnssec-validation no; }};
controls {{ }};
logging {{ channel nowhere {{ null; }}; category update {{ nowhere; }};
           category update-security {{ nowhere; }}; }};
"""
    if settings.algorithm:
        text += f'key "{KEY_NAME}" {{ algorithm {settings.algorithm.lower()}; secret "{SECRET}"; }};\n'
    for number, zone in enumerate((*forward, *reverse)):
        own = f'file "zone{number}"; allow-update {{ {allow}; }}; {zone_options}'
        text += f'zone "{zone}" {{ type primary; {own}}};\n'
    (directory / "named.conf").write_text(text)
    return [find("named"), "-g", "-n", "1", "-c", str(directory / "named.conf")]


def _signing_bind(directory: Path, settings: Settings, port: int) -> list[str]:
    """BIND that signs its zones by DNSSEC before it answers an update."""
    return _bind(directory, settings, port, "dnssec-policy default; inline-signing no; ")


def _knot(directory: Path, settings: Settings, port: int) -> list[str]:
    text = f"server:\n    listen: 127.0.0.1@{port}\n    rundir: {directory}\n    udp-workers: 1\n"
    text += f"database:\n    storage: {directory}\n"
    if settings.algorithm:
        text += (f"key:\n  - id: {KEY_NAME}\n    algorithm: {settings.algorithm.lower()}\n"
                 f"    secret: {SECRET}\n")
    text += "acl:\n  - id: write\n    address: 127.0.0.1\n    action: update\n"
    text += f"    key: {KEY_NAME}\n" if settings.algorithm else ""
    text += "  - id: read\n    address: 127.0.0.1\n    action: transfer\nzone:\n"
    forward, reverse = zones(settings)
    for number, zone in enumerate((*forward, *reverse)):
        text += (f"  - domain: {zone}\n    storage: {directory}\n    file: zone{number}\n"
                 f"    zonefile-sync: -1\n    acl: [write, read]\n")
    (directory / "knot.conf").write_text(text)
    return [find("knotd"), "-c", str(directory / "knot.conf")]


def _pdns(directory: Path, settings: Settings, port: int) -> list[str]:
    if not _PDNS_SCHEMA.exists():
        raise BenchmarkError("PowerDNS has no SQLite backend (Debian: pdns-backend-sqlite3)")
    with contextlib.closing(sqlite3.connect(directory / "pdns.db")) as database, database:
        database.executescript(_PDNS_SCHEMA.read_text())
        key = KEY_NAME.rstrip(".")
        if settings.algorithm:
            database.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)",
                             (key, settings.algorithm.lower(), SECRET))
        forward, reverse = zones(settings)
        for number, zone in enumerate((*forward, *reverse), 1):
            name = zone.rstrip(".")
            database.execute("INSERT INTO domains (id, name, type) VALUES (?, ?, 'NATIVE')", (number, name))
            for kind, content in (("SOA", _SOA), ("NS", "ns.invalid")):
                database.execute("INSERT INTO records (domain_id, name, type, content, ttl, auth) "
                                 "VALUES (?, ?, ?, ?, 300, 1)", (number, name, kind, content))
            if settings.algorithm:
                database.execute("INSERT INTO domainmetadata (domain_id, kind, content) "
                                 "VALUES (?, 'TSIG-ALLOW-DNSUPDATE', ?)", (number, key))
    (directory / "pdns.conf").write_text(f"""\
launch=gsqlite3
gsqlite3-database={directory}/pdns.db
local-address=127.0.0.1
local-port={port}
socket-dir={directory}
security-poll-suffix=
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
allow-axfr-ips=127.0.0.0/8
daemon=no
guardian=no
loglevel=0
""")
    return [find("pdns_server"), f"--config-dir={directory}"]


SERVERS: Final = {"bind": _bind, "bind-signing": _signing_bind, "knot": _knot, "pdns": _pdns}
"""What prepares a directory for each, and returns its command."""


def _wait(process: subprocess.Popen[bytes], zone: str, port: int, directory: Path) -> None:
    query = dns.message.make_query(zone, "SOA")
    end = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(dns.exception.DNSException, OSError):
            if dns.query.udp(query, "127.0.0.1", timeout=0.2, port=port).answer:
                return
        time.sleep(0.01)
    raise BenchmarkError(f"the DNS server did not come up:\n{(directory / 'output').read_text()[-2000:]}")


def limit(settings: Settings, port: int, seconds: float, in_flight: int) -> float:
    """Return how many additions a second a server takes, with both updates of each, from dnsperf alone.

    The updates are those that a D2 sends. Raises BenchmarkError.
    """
    with tempfile.TemporaryDirectory(prefix="dns-bench.") as folder:
        updates = Path(folder, "updates")
        with updates.open("w") as file:
            for number in range(int(seconds * 40_000)):
                file.write(_addition(number))
        command = [find("dnsperf"), "-u", "-d", str(updates), "-s", "127.0.0.1", "-p", str(port), "-n", "1",
                   "-q", str(in_flight), "-l", str(seconds), "-t", "2"]
        if settings.algorithm:
            command += ["-y", f"{settings.algorithm.lower()}:{KEY_NAME}:{SECRET}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    found = re.search(r"Updates per second:\s+([\d.]+)", done.stdout)
    codes = re.search(r"Response codes:\s+(.*)", done.stdout)
    if found is None or codes is None or "," in codes[1] or "NOERROR" not in codes[1]:
        raise BenchmarkError(f"dnsperf says:\n{done.stdout}{done.stderr}")
    return float(found[1]) / 2


def check(port: int, hosts: int, seconds: float = 5.0) -> None:
    """Look whether a server holds what additions for this many hosts leave there; some of them are looked at.

    The D2s' statistics do not show it: a refusal counts as a success there. And where a server carried out an
    update but answered too late, the next try is refused, and the D2 makes one more: so by the count of
    successes a run may end while its last requests are under way. They have so many seconds.
    Raises BenchmarkError.
    """
    end = time.monotonic() + seconds
    for host in sorted({*range(0, hosts, max(1, hosts // 20)), hosts - 1}):
        name = dns.name.from_text(f"h{host:08}.bench.example.")
        address = f"10.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}"
        for owner, kind in ((name, "A"), (dns.reversename.from_address(address), "PTR")):
            while not _holds(port, owner, kind):
                if time.monotonic() > end:
                    raise BenchmarkError(f"the DNS server has no {kind} record of {owner}, which was added")
                time.sleep(0.1)


def _holds(port: int, owner: dns.name.Name, kind: str) -> bool:
    """Return whether a server has such a record. Raises BenchmarkError."""
    try:
        reply = dns.query.udp(dns.message.make_query(owner, kind), "127.0.0.1", timeout=5, port=port)
    except (dns.exception.DNSException, OSError) as error:
        raise BenchmarkError(f"the DNS server does not answer: {error}") from error
    return bool(reply.answer)


def _addition(number: int) -> str:
    """Return the two updates of a host in dnsperf's language; see its manual page."""
    owner, low = f"d{number:08}", f"{number & 255}.{number >> 8 & 255}.{128 | number >> 16 & 127}"
    name = f"{owner}.bench.example."
    dhcid = f"\\# 35 000101{number:064x}"
    return (f"bench.example\nprohibit {owner}\n"
            f"add {owner} 3600 A 10.{128 | number >> 16 & 127}.{number >> 8 & 255}.{number & 255}\n"
            f"add {owner} 3600 DHCID {dhcid}\nsend\n"
            f"10.in-addr.arpa\ndelete {low} PTR\ndelete {low} DHCID\nadd {low} 3600 PTR {name}\n"
            f"add {low} 3600 DHCID {dhcid}\nsend\n")

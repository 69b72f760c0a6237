"""Real DNS servers on a free port of 127.0.0.1: BIND, Knot DNS and PowerDNS.

Each takes the zones it is to serve and, if updates must be signed, the key; it is ready when its
constructor returns. Zone transfers are open. Each runs in its own directory, as the user of the
tests.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone

from tests.kit.certificates import Certificate
from tests.kit.d2 import private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

_SOA = "ns.invalid. admin.invalid. 1 3600 600 86400 60"
_PDNS_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

Record = tuple[str, int, str, str]  # owner, TTL, type, rdata; all in lower case


class DnsServer:
    """A DNS server; it runs from its making on."""

    process: Process
    tls_port = 0
    """Where it speaks DNS over TLS, if it was given a certificate."""

    def __init__(self, name: str, argv: Sequence[str], port: int, directory: Path,
                 zones: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.port, self.directory = port, directory
        self._name, self._argv, self._zones, self._env = name, argv, zones, env
        self.start()

    def start(self) -> None:
        """Start it in its directory, where what it held before lies, and wait until it serves all zones."""
        self.process = Process(self._argv, self.directory, name=self._name, env=self._env)
        try:
            for zone in self._zones:
                wait_until(lambda zone=zone: self.answers_for(zone),  # type: ignore[misc]
                           f"{self._name} to serve {zone}")
        except BaseException as error:
            self.process.kill()
            error.add_note(f"{self._name} says:\n{self.process.output()[-4000:]}")
            raise

    def answers_for(self, zone: str) -> bool:
        """Whether the server answers with the zone's SOA."""
        query = dns.message.make_query(zone, "SOA")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            return bool(dns.query.udp(query, "127.0.0.1", timeout=0.1, port=self.port).answer)
        assert self.process.alive, f"{self.process.name} ended:\n{self.process.output()[-4000:]}"
        return False

    def records(self, zone: str) -> set[Record]:
        """Transfer a zone and return what it holds, except its SOA and NS records."""
        found: set[Record] = set()
        transfer = dns.query.xfr("127.0.0.1", zone, port=self.port, timeout=20, lifetime=60, relativize=False)
        for message in transfer:
            for rrset in message.answer:
                if rrset.rdtype not in (dns.rdatatype.SOA, dns.rdatatype.NS):
                    kind = dns.rdatatype.to_text(rrset.rdtype)
                    found.update((rrset.name.to_text().lower(), rrset.ttl, kind, rdata.to_text())
                                 for rdata in rrset)
        return found


def _zone_text(zone: str) -> str:
    return f"{zone} 3600 IN SOA {_SOA}\n{zone} 3600 IN NS ns.invalid.\n"


@contextlib.contextmanager
def _served(directory: Path, name: str, argv: Sequence[str], port: int,
            zones: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[DnsServer]:
    server = DnsServer(name, argv, port, directory, zones, env)
    try:
        yield server
    finally:
        server.process.stop()


@contextlib.contextmanager
def bind(zones: Sequence[str], key: TsigKey | None = None, *, port: int | None = None,
         tls: Certificate | None = None, clients: Certificate | None = None,
         options: str = "", transfers: bool = True, policy: str = "",
         env: Mapping[str, str] | None = None) -> Iterator[DnsServer]:
    """Run BIND. ``clients``, with ``tls``: the authority that must have signed a client's certificate.

    ``transfers``: whether zones may be transferred. ``policy`` are the rules of an update-policy, in place of
    the key, and ``env`` is the whole environment.
    """
    program = find_program("named", "bind9")
    with PortLease() as lease, private_directory() as directory:
        port = port or lease.take()
        transfer = "any" if transfers else "none"
        allow = f'key "{key.name}"' if key else "any"
        text = f"""
            options {{ directory "{directory}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};
                       listen-on port {port} {{ 127.0.0.1; }}; recursion no; notify no; dnssec-validation no;
                       allow-transfer {{ {transfer}; }}; update-quota 1000; {options} }};
            controls {{ }};
        """
        tls_port = lease.take() if tls else 0
        if tls:
            # BIND wants absolute names.
            asked = f'ca-file "{clients.cert}"; ' if clients else ""
            listen = f"listen-on port {tls_port} tls own {{ 127.0.0.1; }};"
            text = text.replace("recursion no;", f"{listen} recursion no;")
            text += f'tls own {{ cert-file "{tls.cert}"; key-file "{tls.key}"; {asked}}};\n'
        if key:
            text += f'key "{key.name}" {{ algorithm {key.lower_algorithm}; secret "{key.secret}"; }};\n'
        for number, zone in enumerate(zones):
            (directory / f"zone{number}").write_text(_zone_text(zone))
            rules = f"update-policy {{ {policy} }}" if policy else f"allow-update {{ {allow}; }}"
            text += f'zone "{zone}" {{ type primary; file "zone{number}"; {rules}; }};\n'
        (directory / "named.conf").write_text(text)
        argv = [program, "-g", "-n", "1", "-c", "named.conf"]
        with _served(directory, "named", argv, port, zones, env) as server:
            server.tls_port = tls_port
            yield server


@contextlib.contextmanager
def knot(zones: Sequence[str], key: TsigKey | None = None, *, port: int | None = None,
         tls: Certificate | None = None, policy: str = "", address: str = "") -> Iterator[DnsServer]:
    """Run Knot DNS. ``policy``: one more line of the rule that allows updates.

    ``address``: it listens there, too, and takes updates from the network of this address (24 bits).
    """
    program = find_program("knotd", "knot")
    addresses = ["127.0.0.1", address] if address else ["127.0.0.1"]
    with PortLease() as lease, private_directory() as directory:
        port = port or lease.take()
        listen = ", ".join(f"{each}@{port}" for each in addresses)
        text = f"""
server:
    listen: [{listen}]
    rundir: {directory}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-io-timeout: 60000  # ms; after 500 it would hang up when the machine pauses
    # secured
log:
  - target: stderr
    any: info
database:
    storage: {directory}
    journal-db-max-size: 64M
"""
        tls_port = lease.take() if tls else 0
        if tls:
            secured = f"listen-tls: 127.0.0.1@{tls_port}\n    cert-file: {tls.cert}\n    key-file: {tls.key}"
            text = text.replace("# secured", secured)
        if key:
            text += f"key:\n  - id: {key.name}\n    algorithm: {key.lower_algorithm}\n"
            text += f"    secret: {key.secret}\n"
        senders = ", ".join(f"{each}/24" for each in addresses)
        text += "acl:\n  - id: read\n    address: 127.0.0.1\n    action: transfer\n"
        text += f"  - id: write\n    address: [{senders}]\n    action: update\n    {policy}\n"
        text += f"    key: {key.name}\nzone:\n" if key else "zone:\n"
        for number, zone in enumerate(zones):
            (directory / f"zone{number}").write_text(_zone_text(zone))
            text += (f"  - domain: {zone}\n    storage: {directory}\n    file: zone{number}\n"
                     f"    zonefile-sync: -1\n    acl: [read, write]\n")
        (directory / "knot.conf").write_text(text)
        with _served(directory, "knotd", [program, "-c", "knot.conf"], port, zones) as server:
            server.tls_port = tls_port
            yield server


@contextlib.contextmanager
def powerdns(zones: Sequence[str], key: TsigKey | None = None, *,
             port: int | None = None, disk: Path | None = None, policy: str = "") -> Iterator[DnsServer]:
    """Run PowerDNS with its SQLite backend; with a directory ``disk`` it waits there for each commit.

    ``policy``: a script in Lua that says which updates it carries out.
    """
    program = find_program("pdns_server", "pdns-server")
    assert _PDNS_SCHEMA.exists(), "PowerDNS has no SQLite backend: install the package pdns-backend-sqlite3"
    with PortLease() as lease, private_directory(disk) as directory:
        port = port or lease.take()
        database = directory / "pdns.sqlite3"
        _fill_powerdns(database, zones, key)
        (directory / "pdns.conf").write_text("\n".join([
            "launch=gsqlite3", f"gsqlite3-database={database}",
            f"gsqlite3-pragma-synchronous={2 if disk else 0}",
            "local-address=127.0.0.1", f"local-port={port}", f"socket-dir={directory}",
            "daemon=no", "guardian=no", "security-poll-suffix=", "dnsupdate=yes",
            "allow-dnsupdate-from=127.0.0.0/8", "allow-axfr-ips=127.0.0.0/8", "receiver-threads=1",
            "distributor-threads=1", "cache-ttl=0", "query-cache-ttl=0", "negquery-cache-ttl=0",
            "zone-cache-refresh-interval=0", "zone-metadata-cache-ttl=0", "default-soa-edit=",
            *([f"lua-dnsupdate-policy-script={directory / 'policy.lua'}"] if policy else []), ""]))
        (directory / "policy.lua").write_text(policy)
        argv = [program, f"--config-dir={directory}"]
        with _served(directory, "pdns_server", argv, port, zones) as server:
            yield server


def _fill_powerdns(database: Path, zones: Sequence[str], key: TsigKey | None) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(_PDNS_SCHEMA.read_text())
        for number, zone in enumerate(zones, 1):
            name = zone.rstrip(".")
            connection.execute("INSERT INTO domains (id, name, type) VALUES (?, ?, 'NATIVE')", (number, name))
            for kind, content in (("SOA", _SOA), ("NS", "ns.invalid")):
                connection.execute("INSERT INTO records (domain_id, name, type, content, ttl, auth)"
                                   " VALUES (?, ?, ?, ?, 3600, 1)", (number, name, kind, content))
            if key:
                connection.execute("INSERT INTO domainmetadata (domain_id, kind, content)"
                                   " VALUES (?, 'TSIG-ALLOW-DNSUPDATE', ?)", (number, key.name))
        if key:
            connection.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)",
                               (key.name, key.lower_algorithm, key.secret))

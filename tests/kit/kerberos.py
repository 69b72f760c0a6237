"""A Kerberos realm of its own: MIT's KDC on a free port of 127.0.0.1, its files in a private directory."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.kit.d2 import private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program
from tests.kit.waiting import TIMEOUT

REALM = "EXAMPLE.TEST"
DNS_SERVICE = f"DNS/ns.example.test@{REALM}"
"""The principal of the DNS server."""
CLIENT = f"DHCP/d2.example.test@{REALM}"
"""The principal of the DHCP-DDNS server."""


def client_settings(realm: str, kdc: str, directory: Path) -> str:
    """Return a ``krb5.conf`` that asks no DNS, and finds no credentials but those that a test names."""
    return f"""
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    default_ccache_name = FILE:{directory}/ccache
    default_client_keytab_name = FILE:{directory}/none.keytab
[realms]
    {realm} = {{
        kdc = {kdc}
    }}
"""


class Realm:
    """A realm whose KDC runs from its making on."""

    def __init__(self, directory: Path, port: int, ticket_lifetime: str = "10h") -> None:
        """``ticket_lifetime`` is the longest life of a ticket, as kadmin takes it: ``10h`` or ``20s``."""
        self.directory = directory
        self.port = port
        self._lifetime = ticket_lifetime
        self._krb5kdc = find_program("krb5kdc", "krb5-kdc")
        self._write_files()
        self._run("kdb5_util", "krb5-kdc", "create", "-s", "-W", "-P", "master", "-r", REALM)
        for principal in (DNS_SERVICE, CLIENT):
            self.add_principal(principal)
        self.server_keytab = self.keytab(DNS_SERVICE, "dns.keytab")
        self.client_keytab = self.keytab(CLIENT, "dhcp.keytab")
        self.start()

    def _write_files(self) -> None:
        here = self.directory
        (here / "krb5.conf").write_text(client_settings(REALM, f"127.0.0.1:{self.port}", here))
        (here / "kdc.conf").write_text(f"""
[kdcdefaults]
    kdc_listen = 127.0.0.1:{self.port}
    kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
    {REALM} = {{
        database_name = {here}/principal
        key_stash_file = {here}/stash
        acl_file = {here}/kadm5.acl
        max_life = {self._lifetime}
        max_renewable_life = 7d
    }}
[logging]
    kdc = STDERR
""")

    @property
    def environment(self) -> dict[str, str]:
        """What makes programs use this realm, to be added to their environment."""
        here = self.directory
        return {"KRB5_CONFIG": f"{here}/krb5.conf", "KRB5_KDC_PROFILE": f"{here}/kdc.conf",
                "KRB5RCACHENAME": "none:"}

    def start(self) -> None:
        """Start the KDC."""
        self.process = Process([self._krb5kdc, "-n"], self.directory, name="krb5kdc",
                               env=os.environ | self.environment)
        self.process.wait_for_output("commencing operation")

    def add_principal(self, principal: str) -> None:
        """Add a principal with a random key."""
        self.kadmin(f"addprinc -randkey -maxlife {self._lifetime} {principal}")

    def keytab(self, principal: str, name: str) -> str:
        """Return the keytab of a principal, which is written to a file."""
        path = self.directory / name
        self.kadmin(f"ktadd -norandkey -k {path} {principal}")
        return f"FILE:{path}"

    def kadmin(self, query: str) -> str:
        """Run a query of the administration."""
        return self._run("kadmin.local", "krb5-admin-server", "-r", REALM, "-q", query)

    def kinit(self, *options: str) -> None:
        """Get tickets for the client into the default cache."""
        path = self.client_keytab.removeprefix("FILE:")
        self._run("kinit", "krb5-user", *options, "-k", "-t", path, CLIENT)

    def _run(self, program: str, package: str, *arguments: str) -> str:
        done = subprocess.run(
            [find_program(program, package), *arguments], cwd=self.directory,
            env=os.environ | self.environment, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{program} {' '.join(arguments)}:\n{output}"
        return output


@contextlib.contextmanager
def realm(ticket_lifetime: str = "10h") -> Iterator[Realm]:
    """Run a KDC."""
    with PortLease() as lease, private_directory() as directory:
        running = Realm(directory, lease.take(), ticket_lifetime)
        try:
            yield running
        finally:
            running.process.stop()

"""Samba as a domain controller of Active Directory, with its KDC, and its own DNS server or BIND.

It wants port 53 and others, a host name and files in /etc of its own. So the program that uses it runs in
namespaces of its own, as the only thing there: ``in_namespaces`` starts it, and all of it ends with it. Only
root can do that.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query

from tests.kit.kerberos import client_settings
from tests.kit.process import Process, find_program
from tests.kit.waiting import TIMEOUT, wait_until

REALM: Final = "AD.EXAMPLE.TEST"
ZONE: Final = "ad.example.test."
REVERSE4: Final = "77.10.in-addr.arpa."
REVERSE6: Final = "7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
ADDRESS: Final = "10.53.0.1"
DNS_SERVICE: Final = f"DNS/dc1.ad.example.test@{REALM}"
"""The principal of the DNS server."""
ACCOUNTS: Final = ("dhcp", "other")
"""Users without rights of their own."""
INTERNAL: Final = "SAMBA_INTERNAL"
BIND: Final = "BIND9_DLZ"
"""The DNS servers, in Samba's words."""

_PASSWORD: Final = "Of-the-tests-1"
_NAMESPACES: Final = ("--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_SERVICES: Final = "rpc, ldap, cldap, kdc"
_TEMPLATES: Final = "/usr/share/samba/setup/provision.ldif"
_TOOL: Final = """
import json, sys
from samba.netcmd.main import samba_tool
for command in json.loads(sys.argv[1]):
    if samba_tool(*command):
        sys.exit(f"samba-tool has failed: {command}")
"""
_DEBIAN_S_PYTHON: Final = "/usr/bin/python3"
"""The one for which Samba's modules are."""


def in_namespaces(*argv: str) -> list[str]:
    """Return the command line that runs a program of this Python in namespaces of its own."""
    return [find_program("unshare", "util-linux"), *_NAMESPACES, sys.executable, *argv]


class DomainController:
    """A domain controller; it runs from its making on, with the address ADDRESS."""

    samba: Process
    named: Process

    def __init__(self, directory: Path, dns_server: str = INTERNAL) -> None:
        """Change the namespaces of this process, which ``in_namespaces`` has made."""
        self._samba = find_program("samba", "samba-ad-dc")
        assert Path(_TEMPLATES).exists(), f"{_TEMPLATES} is missing: install the package samba-ad-provision"
        if dns_server == BIND:
            find_program("tdbbackup", "tdb-tools")
        self.directory = directory
        self.dns_server = dns_server
        self._configuration = directory / "dc" / "etc" / "smb.conf"
        self._isolate()
        self._provision()
        self._start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes programs use this realm, to be added to their environment."""
        return {"KRB5_CONFIG": str(self.directory / "krb5.conf"), "KRB5RCACHENAME": "none:"}

    def principal(self, account: str) -> str:
        """Return the principal of an account."""
        return f"{account}@{REALM}"

    def keytab(self, account: str) -> str:
        """Return the keytab of an account."""
        return f"FILE:{self.directory / account}.keytab"

    def records(self, name: str, kind: str) -> set[str]:
        """Return what a name has of a type, as texts."""
        query = dns.message.make_query(name, kind)
        answer = dns.query.udp(query, ADDRESS, timeout=20)
        return {rdata.to_text() for rrset in answer.answer for rdata in rrset}

    def change_password(self, account: str) -> None:
        """Give an account another password: what is in its keytab is old then."""
        self._tool(["user", "setpassword", account, f"--newpassword={_PASSWORD}-new"])

    def stop(self) -> None:
        """End all servers."""
        self.samba.stop()
        if self.dns_server == BIND:
            self.named.stop()

    def _environment(self) -> Mapping[str, str]:
        return os.environ | self.environment | {"SMB_CONF_PATH": str(self._configuration)}

    def _tool(self, *commands: Sequence[str]) -> None:
        """Run commands of samba-tool, all in one process: to start it takes longer than most of them."""
        done = subprocess.run([_DEBIAN_S_PYTHON, "-c", _TOOL, json.dumps(commands)], cwd=self.directory,
                              env=self._environment(), capture_output=True, text=True, timeout=2 * TIMEOUT,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _isolate(self) -> None:
        """Give these namespaces an address, a host name, and files of their own."""
        here = self.directory
        ip, mount = find_program("ip", "iproute2"), find_program("mount", "mount")

        def run(*command: str) -> None:
            subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT)

        run(ip, "link", "set", "lo", "up")
        run(ip, "address", "add", f"{ADDRESS}/32", "dev", "lo")
        run(mount, "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(here))
        socket.sethostname("dc1")
        (here / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} dc1.ad.example.test dc1\n")
        (here / "resolv.conf").write_text(f"nameserver {ADDRESS}\nsearch ad.example.test\n")
        for name in ("hosts", "resolv.conf"):
            run(mount, "--bind", str(here / name), f"/etc/{name}")
        for name in ("run", "log"):
            (here / name).mkdir()
        (here / "krb5.conf").write_text(client_settings(REALM, ADDRESS, here))

    def _provision(self) -> None:
        """Make the domain and its accounts."""
        here = self.directory
        services = f"{_SERVICES}, dns" if self.dns_server == INTERNAL else _SERVICES
        settings = {"interfaces": "lo", "bind interfaces only": "yes", "log file": f"{here}/log/%m",
                    "pid directory": f"{here}/run", "ncalrpc dir": f"{here}/run/ncalrpc",
                    "server services": services}
        self._tool(["domain", "provision", "--configfile=/dev/null", f"--realm={REALM}", "--domain=AD",
                    "--server-role=dc", f"--dns-backend={self.dns_server}", f"--host-ip={ADDRESS}",
                    "--host-name=dc1", f"--adminpass={_PASSWORD}", f"--targetdir={here}/dc",
                    *(f"--option={name}={value}" for name, value in settings.items())])
        self._tool(*(command for account in ACCOUNTS for command in (
            ["user", "create", account, _PASSWORD],
            ["domain", "exportkeytab", f"{here}/{account}.keytab", f"--principal={self.principal(account)}"],
        )))

    def _start(self) -> None:
        """Start the servers, make the reverse zones, and wait until all is there."""
        argv = [self._samba, "--interactive", "--model=single", "--debug-stdout"]
        self.samba = Process(argv, self.directory, name="samba", env=self._environment())
        try:
            wait_until(lambda: self._listens(88) and self._listens(135), "Samba to listen")
            self._tool(*(["dns", "zonecreate", ADDRESS, zone.rstrip("."),
                          f"--username=Administrator%{_PASSWORD}"] for zone in (REVERSE4, REVERSE6)))
            if self.dns_server == BIND:
                self._start_bind()
            wait_until(lambda: all(map(self._serves, (ZONE, REVERSE4, REVERSE6))), "all zones to be served")
        except BaseException as error:
            error.add_note(f"samba says:\n{self.samba.output()[-4000:]}")
            raise

    def _start_bind(self) -> None:
        """Start BIND with Samba's module, which reads and writes the directory."""
        here = self.directory
        (module,) = Path("/usr/lib").glob("*/samba/bind9/dlz_bind9_18.so")
        (here / "named.conf").write_text(f"""
            options {{ directory "{here}"; pid-file none; session-keyfile none; recursion no; notify no;
                       listen-on {{ {ADDRESS}; }}; listen-on-v6 {{ none; }}; dnssec-validation no;
                       tkey-gssapi-keytab "{here}/dc/bind-dns/dns.keytab"; minimal-responses yes; }};
            controls {{ }};
            dlz "AD" {{ database "dlopen {module}"; }};
        """)
        argv = [find_program("named", "bind9"), "-g", "-n", "1", "-c", str(here / "named.conf")]
        self.named = Process(argv, here, name="named", env=self._environment())

    def _listens(self, port: int) -> bool:
        assert self.samba.alive, f"samba ended:\n{self.samba.output()[-4000:]}"
        with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return True
        return False

    def _serves(self, zone: str) -> bool:
        with contextlib.suppress(dns.exception.DNSException, OSError):
            return bool(dns.query.udp(dns.message.make_query(zone, "SOA"), ADDRESS, timeout=0.2).answer)
        return False

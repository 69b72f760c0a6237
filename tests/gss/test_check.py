"""``pyd2ctl gss-tsig check``: what is wrong, in plain words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.hooks.gss import advice
from tests.gss.site import LIBRARY, REVERSE, ZONE, served
from tests.kit.kerberos import CLIENT, DNS_SERVICE, REALM, Realm, realm
from tests.kit.ports import PortLease
from tests.kit.waiting import TIMEOUT
from tests.update.support import domain, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def kdc() -> Iterator[Realm]:
    with realm() as running:
        yield running


def check(kdc: Realm, directory: Path, port: int, parameters: dict[str, Any] | None = None,
          **environment: str) -> tuple[int, str]:
    """Run the check for a server; return its exit status and what it prints."""
    given = {
        "server-principal": DNS_SERVICE, "client-principal": CLIENT, "client-keytab": kdc.client_keytab,
        "servers": [{"id": "bind", "ip-address": "127.0.0.1", "port": port}], **(parameters or {}),
    }
    library = {"library": LIBRARY, "parameters": given}
    whole = simple_map([domain(ZONE, port)], [domain(REVERSE, port)], {"hooks-libraries": [library]})
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": whole}))
    done = subprocess.run(
        [sys.executable, "-m", "pyd2.tools", "gss-tsig", "check", str(directory / "d2.json")],
        env=os.environ | kdc.environment | environment, capture_output=True, text=True, timeout=TIMEOUT,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_all_is_well(kdc: Realm, tmp_path: Path) -> None:
    with served(kdc) as server:
        status, output = check(kdc, tmp_path, server.port)
        assert server.records(ZONE) == set()
    assert output.splitlines()[0] == f"server bind: 127.0.0.1 port {server.port}, {DNS_SERVICE}"
    assert [line.split()[0] for line in output.splitlines()[1:]] == ["ok"] * 4
    assert f"credentials of {CLIENT}, valid for " in output
    assert f"zone {ZONE} takes updates of this account" in output
    assert status == 0


def test_an_account_that_may_not_change_the_zone(kdc: Realm, tmp_path: Path) -> None:
    with served(kdc, f'grant "other@{REALM}" zonesub ANY;') as server:
        status, output = check(kdc, tmp_path, server.port)
    assert status == 1
    assert "with REFUSED" in output
    assert "update-policy, in quotes" in output


@pytest.mark.parametrize(("parameters", "fault", "what_to_do"), [
    ({"client-keytab": "FILE:/nonexistent"}, "FAIL client-keytab /nonexistent does not exist", ""),
    ({"client-keytab": "/etc/passwd"}, "FAIL client-keytab /etc/passwd cannot be read: it is no keytab", ""),
    ({"client-keytab": "MEMORY:none"}, "FAIL gss_acquire_cred failed", "name a client-keytab"),
    ({"client-principal": f"DHCP/other@{REALM}"}, "has no key of client-principal DHCP/other@", CLIENT),
    ({"server-principal": f"DNS/no.example.test@{REALM}"}, "not found in Kerberos database", "setspn -L"),
    ({"tkey-lifetime": 90000, "rekey-interval": 80000}, "but a key needs 25 h 0 min", "lower tkey-lifetime"),
    ({"servers": []}, "there is no such server", ""),
])
def test_what_the_parameters_may_have_wrong(
    kdc: Realm, tmp_path: Path, parameters: dict[str, Any], fault: str, what_to_do: str,
) -> None:
    with served(kdc) as server:
        status, output = check(kdc, tmp_path, server.port, parameters)
    assert status == 1
    assert fault in output
    assert what_to_do in output


@pytest.mark.parametrize(("minor", "what_to_do"), [
    ("Clock skew too great", "set both by NTP"),
    ("Client's credentials have been revoked", "disabled, locked or expired"),
    ("Client's entry in database has expired", "disabled, locked or expired"),
    ("Password has expired", "let it never expire"),
    ("KDC has no support for encryption type", "allow AES"),
    ("Principal in credential cache does not match desired name", "the tickets of another account"),
    ("Server krbtgt/example.test@EXAMPLE.TEST not found in Kerberos database", "spelt right, in capitals"),
    ("KDC reply did not match expectations", "spelt right, in capitals"),
    ("Malformed representation of principal", "SERVICE/HOST@REALM"),
    ("Improper format of Kerberos configuration file", "krb5.conf"),
    ("Decrypt integrity check failed", "export the keytab again"),
    ("No credentials cache found", "name a client-keytab"),
])
def test_each_text_of_kerberos_leads_to_its_own_advice(minor: str, what_to_do: str) -> None:
    major = "No credentials were supplied, or the credentials were unavailable or inaccessible"
    text = f"gss_acquire_cred failed with GSSAPI error: Major = '{major}' (458752), Minor = '{minor}' (1)."
    assert what_to_do in advice.of_kerberos(text)


@pytest.mark.parametrize(("account", "fault", "what_to_do"), [
    ("modprinc -allow_tix", "Client's credentials have been revoked", "disabled, locked or expired"),
    ("modprinc -pwexpire yesterday", "Password has expired", "let it never expire"),
    ("cpw -randkey", "Decrypt integrity check failed", "export the keytab again"),
    ("delprinc -force", "not found in Kerberos database", "the realm has no such account"),
])
def test_an_account_that_the_realm_does_not_let_in(
    kdc: Realm, tmp_path: Path, account: str, fault: str, what_to_do: str,
) -> None:
    name = f"DHCP/{account.split(maxsplit=1)[0]}{len(account)}@{REALM}"
    kdc.add_principal(name)
    keytab = kdc.keytab(name, f"{len(account)}.keytab")
    kdc.kadmin(f"{account} {name}")
    status, output = check(kdc, tmp_path, 5353, {"client-principal": name, "client-keytab": keytab})
    assert status == 1
    assert fault in output
    assert what_to_do in output


def test_a_clock_that_is_wrong(kdc: Realm, tmp_path: Path) -> None:
    assert "NTP" in advice.of_kerberos("Major = 'Unspecified GSS failure', Minor = 'Clock skew too great'")
    with served(kdc) as server:
        status, output = check(kdc, tmp_path, server.port, LD_PRELOAD=_faketime(), FAKETIME="-20m")
    assert status == 1
    assert "set both by NTP" in output


def _faketime() -> str:
    found = [f"/usr/lib/{machine}/faketime/libfaketime.so.1"
             for machine in ("x86_64-linux-gnu", "aarch64-linux-gnu")]
    return next(path for path in found if os.path.exists(path))  # noqa: PTH110  a str is needed


def test_a_kdc_and_a_dns_server_that_are_away(tmp_path: Path) -> None:
    with realm() as kdc, PortLease() as lease:
        status, output = check(kdc, tmp_path, lease.take())
        assert status == 1
        assert "nothing listens at this address and port" in output
        kdc.process.stop()
        status, output = check(kdc, tmp_path, lease.take())
        assert status == 1
        assert "the KDC does not answer" in output


def test_a_server_whose_keytab_is_old(kdc: Realm, tmp_path: Path) -> None:
    with realm() as other, served(other) as server:
        status, output = check(kdc, tmp_path, server.port)
    assert status == 1
    assert "the DNS server cannot use the ticket" in output

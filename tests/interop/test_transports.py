"""Updates over TCP and TLS to real DNS servers: one connection carries all, and only to the right server."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Ends, Host, Load, check_balance, domain, forward
from tests.kit import dns_servers
from tests.kit.adversity import Adversity, Faults
from tests.kit.certificates import Certificate, make_authority, make_certificate
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process
from tests.kit.tsigkeys import TsigKey

pytestmark = pytest.mark.peers

ZONE = "example.com."
KEY = TsigKey.of("HMAC-SHA256")
HOSTS = [Host(number, ZONE) for number in range(150)]

Serve = Callable[..., AbstractContextManager[dns_servers.DnsServer]]
CALM = Faults()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate authority of the servers."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, authority: Certificate) -> Certificate:
    """The servers' certificate, for a name and an address."""
    return make_certificate(tmp_path_factory.mktemp("server"), authority, "DNS:ns.example.com,IP:127.0.0.1")


@contextlib.contextmanager
def _updates(binary: str, server: dns_servers.DnsServer, port: int, lanes: dict[str, Any],
             faults: Faults = CALM, hosts: Sequence[Host] = HOSTS,
             rate: float = 1e6, timeout: int = 20000) -> Iterator[tuple[D2, Adversity, Ends]]:
    """Send a request for each host through a proxy to the server's port, and wait for their ends."""
    with PortLease() as lease, private_directory() as directory:
        ncr_port, proxy_port = lease.take(), lease.take()
        body = forward(domain(ZONE, proxy_port, **{"key-name": KEY.name}), timeout=timeout)
        body |= {"tsig-keys": [KEY.kea()], "user-context": {"pyd2": {"lanes": lanes}}}
        with Adversity(proxy_port, port, faults) as proxy, \
                D2.start(binary, directory, config(ncr_port, body)) as d2:
            d2.wait_for_listener(ncr_port)
            ends = Ends(d2)
            with Load(ncr_port, (host.request() for host in hosts), rate):
                ends.wait(len(hosts))
            check_balance(d2)
            yield d2, proxy, ends


def _all_in_zone(server: dns_servers.DnsServer, ends: Ends, hosts: Sequence[Host] = HOSTS) -> bool:
    held = {owner for owner, _, _, _ in server.records(ZONE)}
    return len(ends.succeeded(hosts)) == len(hosts) and held == {host.name for host in hosts}


@pytest.mark.parametrize("serve", [dns_servers.bind, dns_servers.knot, dns_servers.powerdns],
                         ids=["bind", "knot", "powerdns"])
def test_tcp(d2_binary: str, serve: Serve) -> None:
    with serve([ZONE], KEY) as server, \
            _updates(d2_binary, server, server.port, {"transport": "tcp"}) as (_, proxy, ends):
        assert _all_in_zone(server, ends)
        assert proxy.counts == {"connections": 1}


@pytest.mark.parametrize("serve", [dns_servers.bind, dns_servers.knot], ids=["bind", "knot"])
@pytest.mark.parametrize("how", ["hostname", "address", "opportunistic"])
def test_tls(d2_binary: str, serve: Serve, how: str, authority: Certificate,
             certificate: Certificate) -> None:
    lanes: dict[str, Any] = {"transport": "tls"}
    if how == "opportunistic":
        lanes["tls-mode"] = "opportunistic"
    else:
        lanes["tls-ca-file"] = str(authority.cert)
    if how == "hostname":
        lanes["tls-hostname"] = "ns.example.com"
    if serve is dns_servers.knot:
        # Knot DNS 3.4 breaks a connection over which an update comes before the last one is answered.
        lanes["max-in-flight"] = 1
    hosts = HOSTS[:20]
    with serve([ZONE], KEY, tls=certificate) as server, \
            _updates(d2_binary, server, server.tls_port, lanes, hosts=hosts) as (_, proxy, ends):
        assert _all_in_zone(server, ends, hosts)
        assert proxy.counts == {"connections": 1}


def test_tls_connections_that_break(d2_binary: str, certificate: Certificate) -> None:
    lanes = {"transport": "tls", "tls-mode": "opportunistic"}
    with dns_servers.bind([ZONE], KEY, tls=certificate) as server, \
            _updates(d2_binary, server, server.tls_port, lanes, Faults(break_tcp=0.01),
                     timeout=1000) as (_, proxy, ends):  # what a break leaves waits for it
        held = {owner for owner, _, _, _ in server.records(ZONE)}
        assert {host.name for host in ends.succeeded(HOSTS)} <= held
        assert proxy.counts["break_tcp"]
        assert proxy.counts["connections"] > 1


def test_a_server_that_closes_idle_connections_just_as_more_is_sent(d2_binary: str) -> None:
    # It waits for a tenth of a second, which is about how far apart the requests are.
    hosts = HOSTS[:60]
    with dns_servers.bind([ZONE], KEY, options="tcp-idle-timeout 1;") as server, \
            _updates(d2_binary, server, server.port, {"transport": "tcp"}, hosts=hosts,
                     rate=9.9) as (_, proxy, ends):
        assert _all_in_zone(server, ends, hosts)
        assert proxy.counts["connections"] > 1


def test_many_at_once_over_one_connection(d2_binary: str, certificate: Certificate) -> None:
    hosts = [Host(number, ZONE) for number in range(600)]
    lanes = {"transport": "tls", "tls-mode": "opportunistic"}
    with dns_servers.bind([ZONE], KEY, tls=certificate) as server, \
            _updates(d2_binary, server, server.tls_port, lanes, hosts=hosts) as (_, proxy, ends):
        assert _all_in_zone(server, ends, hosts)
        assert proxy.counts == {"connections": 1}


@contextlib.contextmanager
def _late(binary: str, port: int, lanes: dict[str, Any]) -> Iterator[tuple[D2, Ends, int]]:
    """Run a D2 that tries again what has failed; the last is its port."""
    with PortLease() as lease, private_directory() as directory:
        ncr_port = lease.take()
        body = forward(domain(ZONE, port, **{"key-name": KEY.name}), timeout=2000)
        retry = {"enabled": True, "initial-delay": 0.2, "max-delay": 0.5}
        body |= {"tsig-keys": [KEY.kea()], "user-context": {"pyd2": {"lanes": lanes, "retry": retry}}}
        with D2.start(binary, directory, config(ncr_port, body)) as d2:
            d2.wait_for_listener(ncr_port)
            yield d2, Ends(d2), ncr_port


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_retries(d2_binary: str, is_pyd2: bool, transport: str, authority: Certificate,
                    certificate: Certificate) -> None:
    """The server is killed while the connection is in use, and comes back."""
    if not is_pyd2:
        pytest.skip("Kea tries nothing again")
    hosts = HOSTS[:60]
    lanes = {"transport": transport, "tls-ca-file": str(authority.cert)}
    with dns_servers.bind([ZONE], KEY, tls=certificate) as server:
        port = server.tls_port if transport == "tls" else server.port
        with _late(d2_binary, port, lanes) as (d2, ends, ncr_port):
            load = Load(ncr_port, (host.request() for host in hosts), 300)
            load.allowed = len(hosts) // 2  # the others find no server
            with load:
                ends.wait(20)
                server.process.kill()
                load.allowed = len(hosts)
                d2.wait_for_log("PYD2_RETRY_SCHEDULED")
                server.start()
                ends.wait(len(hosts))
            assert _all_in_zone(server, ends, hosts)
            check_balance(d2)


def test_retries_until_the_server_has_the_right_certificate(
    d2_binary: str, is_pyd2: bool, tmp_path: Path, authority: Certificate, certificate: Certificate
) -> None:
    if not is_pyd2:
        pytest.skip("Kea tries nothing again")
    shown = Certificate(tmp_path / "shown.crt", tmp_path / "shown.key")

    def show(one: Certificate) -> None:
        shown.cert.write_bytes(one.cert.read_bytes())
        shown.key.write_bytes(one.key.read_bytes())

    show(make_authority(tmp_path, "stranger"))
    hosts = HOSTS[:10]
    with dns_servers.bind([ZONE], KEY, tls=shown) as server, \
            _late(d2_binary, server.tls_port, {"transport": "tls", "tls-ca-file": str(authority.cert)}) \
            as (d2, ends, ncr_port):
        with Load(ncr_port, (host.request() for host in hosts), 1e6):
            d2.wait_for_log("PYD2_RETRY_SCHEDULED", len(hosts))
        assert server.records(ZONE) == set()
        show(certificate)
        server.process.stop()
        server.start()
        ends.wait(len(hosts))
        assert _all_in_zone(server, ends, hosts)


@pytest.mark.parametrize(("trusted", "hostname", "reason"), [
    ("other", "", "self-signed certificate|unable to get local issuer"),
    ("authority", "other.example.com", "Hostname mismatch"),
    ("system", "", "self-signed certificate|unable to get local issuer"),
])
def test_strict_sends_nothing_to_a_stranger(d2_binary: str, tmp_path: Path, authority: Certificate,
                                            certificate: Certificate, trusted: str, hostname: str,
                                            reason: str) -> None:
    lanes = {"transport": "tls", "tls-hostname": hostname}
    if trusted != "system":
        lanes["tls-ca-file"] = str((authority if trusted == "authority" else make_authority(tmp_path)).cert)
    with dns_servers.bind([ZONE], KEY, tls=certificate) as server, \
            _updates(d2_binary, server, server.tls_port, lanes, hosts=HOSTS[:3],
                     timeout=1000) as (d2, _, ends):
        assert server.records(ZONE) == set()
        assert ends.succeeded(HOSTS[:3]) == []
        d2.wait_for_log(f"ASIODNS_SEND_DATA error .*(?:{reason})")
        assert "address: 127.0.0.1" not in server.process.output()


def test_certificates_that_cannot_be_read_for_the_moment_hold_up_no_other_server(
    d2_binary: str, tmp_path: Path, authority: Certificate, certificate: Certificate
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.cert.read_bytes())
    lanes = {"transport": "tls", "tls-ca-file": str(trusted)}
    other, hosts = Host(1, "other.test."), HOSTS[:20]
    with dns_servers.bind([ZONE, "other.test."], tls=certificate) as server, \
            PortLease() as lease, private_directory() as directory:
        over_tls = domain("other.test.", server.tls_port, **{"user-context": {"pyd2": {"lanes": lanes}}})
        port = lease.take()
        body = forward(domain(ZONE, server.port), over_tls, timeout=5000)
        with D2.start(d2_binary, directory, config(port, body)) as d2:
            d2.wait_for_listener(port)
            trusted.unlink()
            os.mkfifo(trusted)  # a plain open would block for ever
            ends = Ends(d2)
            with Load(port, (host.request() for host in (other, *hosts)), 1e6):
                ends.wait(len(hosts))
            assert ends.succeeded(hosts) == hosts
            trusted.unlink()
            trusted.write_bytes(authority.cert.read_bytes())
            ends.wait(len(hosts) + 1)  # by the second try, after the timeout of the first
            assert ends.succeeded([other]) == [other]


def test_a_server_that_asks_for_our_certificate(d2_binary: str, tmp_path: Path, authority: Certificate,
                                                certificate: Certificate) -> None:
    own = make_certificate(tmp_path, authority, "DNS:d2.example.com", "client")
    with dns_servers.bind([ZONE], KEY, tls=certificate, clients=authority) as server:
        strict = {"transport": "tls", "tls-ca-file": str(authority.cert)}
        with _updates(d2_binary, server, server.tls_port, strict, hosts=HOSTS[:3],
                      timeout=1000) as (_, _, ends):
            assert ends.succeeded(HOSTS[:3]) == []
        shown = strict | {"tls-cert-file": str(own.cert), "tls-key-file": str(own.key)}
        with _updates(d2_binary, server, server.tls_port, shown) as (_, _, ends):
            assert _all_in_zone(server, ends)


@pytest.mark.parametrize("lanes", [{"tls-ca-file": "/nonexistent.pem"}, {"tls-cert-file": "/dev/null"}],
                         ids=["absent", "empty"])
def test_files_that_cannot_be_used_are_a_configuration_error(d2_binary: str, lanes: dict[str, str]) -> None:
    with private_directory() as directory:
        body = {"user-context": {"pyd2": {"lanes": {"transport": "tls"} | lanes}}}
        (directory / "d2.json").write_text(str(config(20000, body)).replace("\'", '"'))
        check = Process([d2_binary, "-t", "d2.json"], directory)
        assert check.wait_for_exit() == 1
        ((switch, file),) = lanes.items()
        assert f"'{switch}' {file} cannot be used: " in check.stderr()

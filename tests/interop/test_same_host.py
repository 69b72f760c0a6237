"""The policy dual-stack same-host: real DHCP servers say whether two clients are one host."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.requests import Identifier, dhcid
from tests.kit import control, dhcp, dns_servers, kea, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers

MACS = {
    "same": ("52:54:00:00:00:01", "52:54:00:00:00:01"), "other": ("52:54:00:00:00:02", "52:54:00:00:00:03"),
}
"""By the first label of the name, the hardware addresses in the leases of DHCPv4 and DHCPv6."""


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def command(directory: Path, name: str, **arguments: Any) -> None:
    answer = control.command(
        directory / "kea.sock", name, {key.replace("_", "-"): value for key, value in arguments.items()}
    )
    assert answer["result"] == 0, answer


@pytest.mark.parametrize(
    "serve", [dns_servers.bind, dns_servers.knot, dns_servers.powerdns], ids=["bind", "knot", "powerdns"]
)
def test_the_leases_decide_who_may_join(d2_binary: str, serve: Any) -> None:
    library = next(kea.chosen().libraries.glob("kea/hooks/libdhcp_lease_cmds.so"))
    socket = {"socket-type": "unix", "socket-name": "kea.sock"}
    extra: dict[str, Any] = {"control-socket": socket, "hooks-libraries": [{"library": str(library)}]}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        four, six = (stack.enter_context(dhcp.kea_dhcp(family, port, 4000, extra)) for family in (4, 6))
        dns_server = stack.enter_context(serve([dhcp.SUFFIX]))
        policy = {
            "dual-stack": "same-host", "dhcp4-socket": str(four.directory / "kea.sock"),
            "dhcp6-socket": str(six.directory / "kea.sock"),
        }
        server = {"ip-address": "127.0.0.1", "port": dns_server.port}
        body = {
            "forward-ddns": {"ddns-domains": [{"name": dhcp.SUFFIX, "dns-servers": [server]}]},
            "dns-server-timeout": 5000, "user-context": {"pyd2": {"policy": policy}},
        }
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(d2_binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        expected = set()
        for number, (label, (mac4, mac6)) in enumerate(MACS.items(), 1):
            name = f"{label}.{dhcp.SUFFIX}"
            address4, address6 = f"10.77.1.{number}", f"2001:db8:77::1:{number}"
            client, duid = f"01:{mac4}", f"00:03:00:01:{mac6}"
            command(four.directory, "lease4-add", ip_address=address4, hw_address=mac4, client_id=client,
                    hostname=name, subnet_id=1)
            command(six.directory, "lease6-add", ip_address=address6, duid=duid, iaid=1, hostname=name,
                    subnet_id=1)
            for address, identity in (
                (address6, dhcid(Identifier.DUID, octets(duid), name)),
                (address4, dhcid(Identifier.CLIENT_ID, octets(client), name)),
            ):
                ncr.send(ncr.datagram(ncr.request(name, address, identity, reverse=False)), port)
                d2.wait_for_log(f"DHCP_DDNS_ADD_(SUCCEEDED|FAILED) .*{identity}")
            expected |= {(name, address6)} | ({(name, address4)} if label == "same" else set())
        records = dns_server.records(dhcp.SUFFIX)
        found = {(name, data) for name, _, kind, data in records if kind in {"A", "AAAA"}}
        assert found == expected
        assert d2.stdout().count("PYD2_NAME_JOINED") == 1

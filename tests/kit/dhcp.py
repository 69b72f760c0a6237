"""Kea's DHCP servers and their load generator, on loopback and as relayed clients, without raw sockets.

The servers send their requests to a D2 under test. Addresses are handed out of one subnet each.
"""

import contextlib
import csv
import json
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit import kea
from tests.kit.d2 import environment, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process

SUFFIX = "example.com."
# A burst of removals can overrun the receive buffer of the D2's socket, unnoticed.
_RECLAIM = {"reclaim-timer-wait-time": 1, "max-reclaim-leases": 100, "max-reclaim-time": 0}
_RELEASE = 7  # DHCP message type (RFC 2132, section 9.6)


@dataclass(frozen=True)
class Lease:
    """A row of the server's lease file. `client` is the hardware address or DUID in hex with colons."""

    address: str
    client: str
    hostname: str


@dataclass(frozen=True)
class DhcpServer:
    """A running DHCP server, to be asked on `port`; it answers to `client_port`."""

    process: Process
    family: int
    port: int
    client_port: int
    directory: Path

    def leases(self) -> list[Lease]:
        """Return the leases that are valid according to the lease file."""
        with (self.directory / "leases.csv").open(newline="") as file:
            latest = {row["address"]: row for row in csv.DictReader(file)}
        column = "hwaddr" if self.family == 4 else "duid"
        return [Lease(row["address"], row[column], row["hostname"].lower()) for row in latest.values()
                if row["state"] == "0" and row["valid_lifetime"] != "0"]

    def release(self, lease: Lease) -> None:
        """Send a DHCPRELEASE for a DHCPv4 lease as the relay would pass it on."""
        hardware = bytes.fromhex(lease.client.replace(":", ""))
        loopback = socket.inet_aton("127.0.0.1")
        head = struct.pack("!BBBBIHH4s4s4s4s16s", 1, 1, 6, 1, 0x5EA5E, 0, 0, socket.inet_aton(lease.address),
                           b"", b"", loopback, hardware)
        options = bytes([53, 1, _RELEASE, 54, 4, *loopback, 61, 7, 1, *hardware, 255])
        packet = head + bytes(192) + b"\x63\x82\x53\x63" + options
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(packet, ("127.0.0.1", self.port))


def _configuration(family: int, d2_port: int, lifetime: int) -> dict[str, Any]:
    loopback = "127.0.0.1" if family == 4 else "::1"
    subnet, pool = (("10.77.0.0/16", "10.77.1.0 - 10.77.250.250") if family == 4
                    else ("2001:db8:77::/64", "2001:db8:77::1:0 - 2001:db8:77::1:ffff"))
    body: dict[str, Any] = {
        "interfaces-config": {"interfaces": [f"lo/{loopback}"]},
        "lease-database": {"type": "memfile", "persist": True, "name": "leases.csv", "lfc-interval": 0},
        "valid-lifetime": lifetime,
        "expired-leases-processing": _RECLAIM,
        "multi-threading": {"enable-multi-threading": False},
        f"subnet{family}": [{"id": 1, "subnet": subnet, "pools": [{"pool": pool}],
                             "relay": {"ip-addresses": [loopback]}}],
        "dhcp-ddns": {"enable-updates": True, "server-ip": "127.0.0.1", "server-port": d2_port},
        "ddns-send-updates": True, "ddns-override-no-update": True, "ddns-override-client-update": True,
        "ddns-replace-client-name": "always", "ddns-generated-prefix": "h",
        "ddns-qualifying-suffix": SUFFIX,
        "loggers": [{"name": f"kea-dhcp{family}", "severity": "INFO",
                     "output-options": [{"output": "stdout"}]}],
    }
    if family == 4:
        body["interfaces-config"]["dhcp-socket-type"] = "udp"
    else:
        body["preferred-lifetime"] = lifetime
    return {f"Dhcp{family}": body}


@contextlib.contextmanager
def kea_dhcp(family: int, d2_port: int, lifetime: int,
             extra: Mapping[str, Any] | None = None) -> Iterator[DhcpServer]:
    """Run kea-dhcp4 or kea-dhcp6. `lifetime` of leases is in seconds; `extra` goes into the configuration."""
    name = f"kea-dhcp{family}"
    program = kea.chosen().program(name)
    with PortLease() as ports, private_directory() as directory:
        port, client_port = ports.take(), ports.take()
        whole = _configuration(family, d2_port, lifetime)
        whole[f"Dhcp{family}"].update(extra or {})
        (directory / "dhcp.json").write_text(json.dumps(whole))
        hooks = kea.chosen().libraries / "kea" / "hooks"
        env = environment(directory) | {"KEA_DHCP_DATA_DIR": str(directory), "KEA_HOOKS_PATH": str(hooks)}
        argv = [program, "-c", "dhcp.json", "-p", str(port), "-P", str(client_port)]
        with Process(argv, directory, name=name, env=env) as process:
            process.wait_for_output(f"DHCP{family}_STARTED")
            yield DhcpServer(process, family, port, client_port, directory)


def perfdhcp(server: DhcpServer, clients: int, rate: int) -> str:
    """Make that many clients get a lease each, `rate` of them a second. Return the report.

    Each call has the same clients: one that got no answer within a second can get its lease in a second call.
    """
    program = kea.chosen().program("perfdhcp", "kea-admin")
    loopback = "127.0.0.1" if server.family == 4 else "::1"
    relay = [] if server.family == 4 else ["-A", "1", "-b", "duid=0001000100000000000c01020304"]
    argv = [program, f"-{server.family}", *relay, "-l", loopback, "-N", str(server.port),
            "-L", str(server.client_port), "-R", str(clients), "-n", str(clients), "-r", str(rate),
            "-W", "1000000", loopback]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: some exchanges were not completed
    return done.stdout


@contextlib.contextmanager
def control_agent(sockets: Mapping[str, Path]) -> Iterator[int]:
    """Run kea-ctrl-agent in front of control sockets, service -> path; yield its HTTP port."""
    program = kea.chosen().program("kea-ctrl-agent", "kea-ctrl-agent")
    (folder,) = {path.parent for path in sockets.values()}
    with PortLease() as ports, private_directory() as directory:
        port = ports.take()
        services = {name: {"socket-type": "unix", "socket-name": path.name} for name, path in sockets.items()}
        text = json.dumps({"Control-agent": {"http-host": "127.0.0.1", "http-port": port,
                                             "control-sockets": services}})
        (directory / "agent.json").write_text(text)
        env = environment(directory) | {"KEA_CONTROL_SOCKET_DIR": str(folder)}
        with Process([program, "-c", "agent.json"], directory, name="kea-ctrl-agent", env=env) as process:
            process.wait_for_output("HTTP_SERVICE_STARTED")
            yield port


def kea_shell(port: int, service: str, command: str, arguments: str = "") -> Any:
    """Ask a service through the agent with kea-shell; return the answer as a value."""
    program = kea.chosen().program("kea-shell", "kea-ctrl-agent")
    argv = [program, "--host", "127.0.0.1", "--port", str(port), "--service", service, command]
    done = subprocess.run(argv, input=arguments, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)

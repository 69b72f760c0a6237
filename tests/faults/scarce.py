"""Measured runs: more DNS servers than there are file descriptors or local ports for."""

import contextlib
import json
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from tests.faults.load import Ends, Host, descriptors
from tests.kit.d2 import D2, config, private_directory
from tests.kit.namespaces import FAR_ADDRESS, Cable
from tests.kit.ports import PortLease

PORTS: Final = (40000, 40009)
"""The range of local ports of the second run."""


class Responders:
    """So many DNS servers in one thread, each on a port of its own, that answer NOERROR."""

    def __init__(self, address: str, count: int, new_socket: Callable[[], socket.socket]) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self.ports: list[int] = []
        for _ in range(count):
            sock = new_socket()
            sock.setblocking(False)
            sock.bind((address, 0))
            self.ports.append(sock.getsockname()[1])
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stopping = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        update, client = sock.recvfrom(65535)
                        sock.sendto(update[:2] + b"\xa8\0" + bytes(8), client)


def _zone(number: int) -> str:
    return f"z{number}.scarce.test."


def settings(ncr_port: int, address: str, ports: Sequence[int]) -> dict[str, Any]:
    """Return a configuration with a zone for each server."""
    domains = [{"name": _zone(number), "dns-servers": [{"ip-address": address, "port": port}]}
               for number, port in enumerate(ports)]
    return config(ncr_port, {"forward-ddns": {"ddns-domains": domains}})


@contextlib.contextmanager
def limited(binary: str, files: int, servers: int) -> Iterator[tuple[D2, int]]:
    """A D2 with a hard limit of open files, and a zone for each of many servers."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        responders = Responders("127.0.0.1", servers, lambda: socket.socket(type=socket.SOCK_DGRAM))
        stack.enter_context(responders)
        directory = stack.enter_context(private_directory())
        (directory / "d2.json").write_text(json.dumps(settings(port, "127.0.0.1", responders.ports)))
        script = f'ulimit -n {files} && exec "$@"'
        d2 = D2("/bin/sh", directory, ("-c", script, "sh", binary, "-c", "d2.json"))
        stack.callback(d2.process.kill)
        d2.wait_for_commands()
        d2.wait_for_listener(port)
        yield d2, port


@contextlib.contextmanager
def few_ports(binary: str, servers: int) -> Iterator[tuple[D2, int, socket.socket]]:
    """A D2 in a network namespace with ten local ports; gives a socket that reaches it, too."""
    with contextlib.ExitStack() as stack:
        cable = stack.enter_context(Cable())
        responders = Responders(FAR_ADDRESS, servers, lambda: cable.socket(cable.far))
        stack.enter_context(responders)
        sender = stack.enter_context(cable.socket(cable.near))
        sender.bind(("127.0.0.1", 0))
        cable.near_sysctl("net.ipv4.ip_local_port_range", f"{PORTS[0]} {PORTS[1]}")
        directory = stack.enter_context(private_directory())
        port = 53001
        (directory / "d2.json").write_text(json.dumps(settings(port, FAR_ADDRESS, responders.ports)))
        ip, *arguments = cable.command(cable.near, binary, "-c", "d2.json")
        d2 = D2(ip, directory, arguments)
        stack.callback(d2.process.kill)
        d2.wait_for_commands()
        d2.wait_for_log("DHCP_DDNS_STARTED")
        yield d2, port, sender


def carry_out(d2: D2, port: int, servers: int, updates: int, sender: socket.socket) -> tuple[int, int, float]:
    """Make updates for all servers in turn, as fast as they come.

    Returns how many were lost, how many files were open at most, and the seconds of the slowest command.
    """
    hosts = [Host(number, _zone(number % servers)) for number in range(updates)]
    ends = Ends(d2)
    open_files, slowest = 0, 0.0
    for number, host in enumerate(hosts):
        sender.sendto(host.request(), ("127.0.0.1", port))
        if number % 100 == 99:
            began = time.monotonic()
            d2.command("statistic-get", {"name": "update-sent"})
            slowest = max(slowest, time.monotonic() - began)
            open_files = max(open_files, len(descriptors(d2.process.pid)))
    ends.wait(updates)
    return updates - len(ends.succeeded(hosts)), max(open_files, len(descriptors(d2.process.pid))), slowest


def scarce(binary: str, _seconds: float, _rate: float) -> bool:
    """300 servers with 1024 open files at most, and 20 servers with ten local ports."""
    with limited(binary, 1024, 300) as (d2, port), socket.socket(type=socket.SOCK_DGRAM) as sender:
        lost, most, slowest = carry_out(d2, port, 300, 3600, sender)
        print(f"300 servers, 1024 open files at most: {lost} of 3600 updates lost, {most} files open, "
              f"slowest command {1000 * slowest:.0f} ms", flush=True)
    with few_ports(binary, 20) as (d2, port, sender):
        lost_too, most, slowest = carry_out(d2, port, 20, 80, sender)
        print(f"20 servers, 10 local ports: {lost_too} of 80 updates lost, {most} files open")
    return not lost and not lost_too

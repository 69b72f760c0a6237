"""Real servers of NATS with JetStream on free ports of 127.0.0.1: one, or a cluster."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kit.certificates import Certificate
from tests.kit.d2 import private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program


class NatsServer:
    """A server; it runs from its making on.

    ``prefix`` is what runs a program where the server is to be, ``store`` where it keeps its data, and
    ``sync`` how often it has these written to the disk.
    """

    process: Process

    def __init__(self, directory: Path, name: str, port: int, blocks: str, *, address: str = "127.0.0.1",
                 prefix: Sequence[str] = (), store: Path | None = None, sync: str = "always") -> None:
        self.directory, self.name, self.port = directory, name, port
        self.store = store or directory / name
        self._prefix = prefix
        self._lives = 0
        text = f"""
            server_name: {name}
            listen: "{address}:{port}"
            jetstream {{ store_dir: "{self.store}", sync_interval: {sync}, max_file: 64GB }}
            {blocks}
        """
        (directory / f"{name}.conf").write_text(text)
        self.start()

    def start(self) -> None:
        """Start it with what it held before."""
        program = find_program("nats-server", "nats-server")
        command = [*self._prefix, program, "-c", f"{self.name}.conf"]
        self._lives += 1
        self.process = Process(command, self.directory, name=f"{self.name}-{self._lives}")

    def logs(self) -> list[Path]:
        """Return what it has said, since each start."""
        return sorted(self.directory.glob(f".{self.name}-*.stderr"))

    def wait_until_ready(self) -> None:
        """Wait until it accepts connections."""
        self.process.wait_for_output("Server is ready")


def tls_block(server: Certificate, authority: Certificate, *, handshake_first: bool = True) -> str:
    """Return the block for TLS with client certificates, which say who the clients are."""
    first = "handshake_first: true" if handshake_first else ""
    return f"""tls {{ cert_file: "{server.cert}", key_file: "{server.key}", ca_file: "{authority.cert}",
                      verify_and_map: true, {first} }}"""


@contextlib.contextmanager
def nats_servers(count: int = 1, blocks: str = "") -> Iterator[list[NatsServer]]:
    """Run some servers; more than one are a cluster. ``blocks`` are more lines of their configurations."""
    with PortLease() as lease, private_directory() as directory:
        ports, routes = ([lease.take() for _ in range(count)] for _ in range(2))
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        servers: list[NatsServer] = []
        try:
            for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
                cluster = f'cluster {{ name: c, listen: "127.0.0.1:{route}", routes: [{urls}] }}'
                more = blocks + cluster if count > 1 else blocks
                servers.append(NatsServer(directory, f"s{number}", port, more))
            for server in servers:
                server.wait_until_ready()
            yield servers
        finally:
            for server in servers:
                server.process.kill()

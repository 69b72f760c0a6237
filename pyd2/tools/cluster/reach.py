"""How the commands for a shared queue reach it: a configuration names site, servers and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.tls import ContextReader
from pyd2.errors import ConfigError
from pyd2.queue.nats.connection import Client, Connection, connect
from pyd2.queue.nats.errors import ConnectError
from pyd2.tools.kea import kea_profile, read_portable

if TYPE_CHECKING:
    import argparse

    from pyd2.config.model import Config
    from pyd2.config.nats.switches import NatsSwitches


def read_config(arguments: argparse.Namespace, file: str) -> Config:
    """Read the configuration of a daemon whose queue is shared. Raises ConfigError."""
    config, _ = read_portable(file, kea_profile(arguments).config)
    if config.switches.queue.nats is None:
        raise ConfigError(f"{file}: its queue is not of type 'nats'")
    return config


def read_nats(arguments: argparse.Namespace, file: str) -> NatsSwitches:
    """Return the part that says where the shared queue is. Raises ConfigError."""
    nats = read_config(arguments, file).switches.queue.nats
    assert nats is not None
    return nats


def make_client(nats: NatsSwitches, arguments: argparse.Namespace) -> Client:
    """Return how servers get to know this command."""
    tls = nats.tls
    if tls is not None and arguments.tls_cert_file:
        tls = tls._replace(cert_file=arguments.tls_cert_file, key_file=arguments.tls_key_file)
    contexts = None if tls is None else ContextReader(tls, ())
    return Client("pyd2ctl", f"pyd2.inbox.{nats.name}", contexts, nats.tls_hostname)


async def connect_to_any(nats: NatsSwitches, client: Client) -> Connection:
    """Return a connection to the first server that can be reached. Raises ConnectError."""
    faults = []
    for server in nats.servers:
        try:
            return await connect(client, server)
        except ConnectError as error:
            faults.append(str(error))
    raise ConnectError("; ".join(faults))

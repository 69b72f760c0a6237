"""Makes the sources of leases that the options name, each with its server's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyd2.tools.channel.command_socket import HttpOptions, read_credentials, reason
from pyd2.tools.reconcile.channel import Channel, is_channel
from pyd2.tools.reconcile.database.access import is_database, of_kea, parse_url, read_password
from pyd2.tools.reconcile.database.leases import DatabaseLeases
from pyd2.tools.reconcile.dhcp_config import dhcp_config, read_dhcp_file
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease_commands import LeaseCommands
from pyd2.tools.reconcile.lease_file import Memfile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pyd2.tools.reconcile.dhcp_config import DhcpConfig
    from pyd2.tools.reconcile.lease import LeaseSource


class Server(NamedTuple):
    """A DHCP server."""

    source: LeaseSource
    config: DhcpConfig


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name DHCP servers."""
    for family in (4, 6):
        parser.add_argument(f"--leases{family}", action="append", default=[], metavar="SOURCE",
                            help=f"leases of kea-dhcp{family}: a lease file, unix:PATH, http://HOST:PORT, "
                                 "https://HOST:PORT, pgsql://USER@HOST/NAME or mysql://USER@HOST/NAME; may "
                                 "be repeated")
        parser.add_argument(f"--dhcp{family}", action="append", default=[], metavar="FILE",
                            help=f"the configuration of kea-dhcp{family}: subnets, reservations, and the "
                                 "lease file or database without --leases; one for each source, in their "
                                 "order")
    parser.add_argument("--http-auth", metavar="FILE",
                        help="a file whose first line is USER:PASSWORD, for sources over HTTP")
    parser.add_argument("--ca", default="", metavar="FILE",
                        help="the authorities that may have signed the certificates of https sources")
    parser.add_argument("--database-password", metavar="FILE",
                        help="a file whose first line is the password, for sources of pgsql or mysql")


def make_servers(arguments: argparse.Namespace) -> list[Server]:
    """Return the servers that the options name. Raises ReconcileError."""
    try:
        credentials = read_credentials(arguments.http_auth) if arguments.http_auth else b""
    except (OSError, ValueError) as error:
        raise ReconcileError(reason(error)) from None
    options = HttpOptions(credentials, arguments.ca)
    password = read_password(arguments.database_password) if arguments.database_password else ""
    servers = [*_family(4, arguments.leases4, arguments.dhcp4, options, password),
               *_family(6, arguments.leases6, arguments.dhcp6, options, password)]
    if not servers:
        raise ReconcileError("no source of leases: name one with --leases4, --leases6, --dhcp4 or --dhcp6")
    return servers


def _family(family: int, leases: Sequence[str], files: Sequence[str], options: HttpOptions,
            password: str) -> Iterator[Server]:
    if leases and files and len(leases) != len(files):
        raise ReconcileError(f"{len(leases)} --leases{family} and {len(files)} --dhcp{family}: each source "
                             "needs the configuration of its server")
    configs = [read_dhcp_file(path, family) for path in files]
    for number in range(max(len(leases), len(files))):
        config = configs[number] if configs else None
        text = leases[number] if leases else ""
        if is_channel(text):
            channel = Channel(text, f"dhcp{family}", options)
            if config is None:
                config = dhcp_config(channel.command("config-get") or {}, family, text)
            yield Server(LeaseCommands(channel, family), config)
            continue
        if config is None:
            shown = "a database" if is_database(text) else f"{text}: a lease file"
            raise ReconcileError(f"{shown} does not say the subnets: name the configuration of "
                                 f"kea-dhcp{family} with --dhcp{family}")
        if is_database(text):
            yield Server(DatabaseLeases(parse_url(text, password), family), config)
        elif text or config.lease_file:
            yield Server(Memfile(text or config.lease_file, family), config)
        else:
            yield Server(DatabaseLeases(of_kea(config.lease_database, files[number]), family), config)

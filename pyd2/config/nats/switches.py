"""What a queue of type ``nats`` has besides its directory: servers, names, lease, certificates."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.config.nats.servers import AddressError, Server, read_server
from pyd2.config.tls import TlsError, TlsSwitches
from pyd2.config.values import Choice, Number, invalid_type, position_of, read_value
from pyd2.dns.tsig import FUDGE
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.config.values import Rule
    from pyd2.data.element import Element

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAME_TEXT: Final = "must have 1 to 63 of A-Z, a-z, 0-9, '-' and '_'"
_SERVERS: Final = "servers"

RULES: Final[Mapping[str, Rule]] = {
    "site": str,
    "name": str,
    "own": Choice((False, True)),
    "lease": Number(2, 60, whole=False),
    "grace": Number(0.5, 60, whole=False),
    "tsig-fudge": Number(2, FUDGE),
    "tls-hostname": str,
    "tls-ca-file": str,
    "tls-cert-file": str,
    "tls-key-file": str,
}
NAMES: Final = (_SERVERS, *RULES)
"""The keys of the block that only this type has."""


class NatsSwitches(NamedTuple):
    """Where the queue of a site is, and what this daemon does there."""

    servers: tuple[Server, ...]
    site: str
    """Whose queue requests go to."""
    name: str
    """What receiver and node are called, and the certificate."""
    own: bool = True
    """Whether it may own the queue; else it is a receiver only."""
    lease: float = 6.0
    grace: float = 1.0
    """Seconds; see ``pyd2.queue.shared.ownership``."""
    tsig_fudge: int = FUDGE
    """Seconds for which the signature of an update is valid; see ``pause``."""
    tls_hostname: str = ""
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""

    @property
    def pause(self) -> float:
        """Seconds behind a lease until others claim the queue: no signature of the owner is valid then."""
        return self.grace if self.tsig_fudge == FUDGE else max(self.grace, self.tsig_fudge)

    @property
    def tls(self) -> TlsSwitches | None:
        """The settings of TLS; None if no server has it."""
        if not any(server.tls for server in self.servers):
            return None
        return TlsSwitches(
            "strict", self.tls_hostname, self.tls_ca_file, self.tls_cert_file, self.tls_key_file
        )


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a site, a receiver or a node: it is a part of subjects."""
    return _NAME.fullmatch(text) is not None


def read_nats(block: Element) -> NatsSwitches:
    """Read the block ``queue``, whose type is ``nats``. Raises ConfigError with the place of the fault."""
    values: dict[str, Any] = {
        key.replace("-", "_"): read_value(block, key, rule)
        for key, rule in RULES.items() if block.get(key) is not None
    }
    for key in (_SERVERS, "site"):
        if block.get(key) is None:
            raise ConfigError(f"the queue of type nats needs '{key}' ({block.position})")
    values.setdefault("name", os.uname().nodename.partition(".")[0])
    for key in ("site", "name"):
        if not is_name(values[key]):
            text = f"'{key}' {_NAME_TEXT}, and '{values[key]}' does not"
            raise ConfigError(f"{text} ({position_of(block, key)})")
    nats = NatsSwitches(_read_servers(block), **values)
    try:
        if nats.tls is not None:
            nats.tls.make_context(())
    except TlsError as error:
        raise ConfigError(f"{error} ({block.position})") from error
    return nats


def _read_servers(block: Element) -> tuple[Server, ...]:
    listed = block.map_value()[_SERVERS]
    if not isinstance(listed.value, list):
        raise invalid_type(listed, _SERVERS)
    if not listed.value:
        raise ConfigError(f"'{_SERVERS}' must not be empty ({listed.position})")
    servers = []
    for url in listed.value:
        if not isinstance(url.value, str):
            raise invalid_type(url, _SERVERS)
        try:
            servers.append(read_server(url.value))
        except AddressError as error:
            raise ConfigError(f"'{_SERVERS}': {error} ({url.position})") from error
    return tuple(servers)

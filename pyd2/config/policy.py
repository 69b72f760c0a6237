"""The switches of ``policy``: what pyd2 does beyond Kea's conflict resolution. ``switches.py`` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyd2.dns.names import parse_name
from pyd2.errors import ConfigError, DomainNameError

if TYPE_CHECKING:
    from pyd2.data.element import Element


class PolicySwitches(NamedTuple):
    """The policies of a domain."""

    dual_stack: str = "off"
    """``off``, ``per-family`` or ``same-host``: whether a name may have a DHCPv4 client and a DHCPv6 client;
    with the last, only if the leases show that they are one host.
    """
    dhcp4_socket: str = ""
    """The UNIX control socket of the server that has the DHCPv4 leases."""
    dhcp6_socket: str = ""
    remove_yxrrset: str = "fail"
    """``fail`` or ``done``: what a removal is when addresses of the other family are left."""
    adopt: str = "never"
    """``never`` or ``same-address``: whether names without DHCID get that of the client with the address."""
    keep: tuple[str, ...] = ()
    """Names whose removals are not made; with ``*.`` in front all names below."""

    @property
    def asks(self) -> bool:
        """Whether DNS servers are asked whose a name is."""
        return self.dual_stack != "off" or self.adopt != "never"


def read_keep(element: Element) -> tuple[str, ...]:
    """Return the names of ``keep``. Raises ConfigError with the place of the fault."""
    if not isinstance(element.value, list):
        raise ConfigError(f"invalid type specified for parameter 'keep' ({element.position})")
    names = []
    for entry in element.value:
        name = entry.value
        if not isinstance(name, str):
            raise ConfigError(f"invalid type specified for parameter 'keep' ({entry.position})")
        try:
            parse_name(name.removeprefix("*."))
        except DomainNameError as error:
            text = f"'keep' has '{name}', which is no domain name: {error} ({entry.position})"
            raise ConfigError(text) from None
        names.append(name)
    return tuple(names)

"""How a Kea release reads control sockets: the interface of ``one_socket`` and ``socket_list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.config.model import ControlSocket
    from pyd2.config.paths import Directories
    from pyd2.config.sockets.unix_rules import UnixSocketRules
    from pyd2.data.element import Element


class ControlSocketRules(Protocol):
    """Reads the control sockets of a DhcpDdns map, in two steps.

    Kea finds some faults while it reads the configuration, and others only when it opens the sockets. Here
    each configuration is checked for all that can be known without opening them, and the second step has the
    faults that Kea logs later, in other words.
    """

    @property
    def unix(self) -> UnixSocketRules:
        """The rules for UNIX sockets."""

    def parse(
        self, dhcp_ddns: Element, directories: Directories, read_secret: Callable[[str], str]
    ) -> tuple[ControlSocket, ...]:
        """Return the sockets as far as Kea checks them while it reads the map, in the order of the list.

        Defaults that Kea adds to their maps are added to those of ``dhcp_ddns``. ``read_secret`` returns the
        first word of a file. Raises ConfigError or ElementTypeError.
        """

    def check_names(
        self, dhcp_ddns: Element, directories: Directories, parsed: tuple[ControlSocket, ...]
    ) -> tuple[ControlSocket, ...]:
        """Return all sockets once their names, too, are checked as at the opening.

        Raises SocketError, ConfigError or ElementTypeError.
        """

    def shown(self, sockets: tuple[ControlSocket, ...]) -> Mapping[str, Element]:
        """Return the members of the DhcpDdns map by which config-get shows the sockets."""

"""The grammar of the configuration file of Kea 3.0: that of 2.6 with other control sockets."""

from __future__ import annotations

from typing import Final

from pyd2.config.grammar import Boolean, Comment, Integer, List, Map, OneOf, String, UserContext, Value
from pyd2.profiles import kea_2_6_grammar

_CONTEXT: Final[dict[str, Value]] = {"user-context": UserContext(), "comment": Comment()}

CLIENT: Final = Map(
    "clients",
    {"user": String(), "user-file": String(), "password": String(), "password-file": String(), **_CONTEXT},
)

AUTHENTICATION: Final = Map(
    "authentication",
    {
        "type": OneOf(("basic",)),
        "realm": String(),
        "directory": String(),
        "clients": List(CLIENT, may_be_empty=True),
        **_CONTEXT,
    },
    required=("type",),
)

CONTROL_SOCKET: Final = Map(
    "control-socket",
    {
        "socket-type": OneOf(("unix", "http", "https")),
        "socket-name": String(),
        "socket-address": String(),
        "socket-port": Integer(),
        "authentication": AUTHENTICATION,
        "trust-anchor": String(),
        "cert-file": String(),
        "key-file": String(),
        "cert-required": Boolean(),
        **_CONTEXT,
    },
    exclusive=("socket-name", "socket-address"),
)

_SOCKETS: Final[dict[str, Value]] = {
    "control-socket": CONTROL_SOCKET,
    "control-sockets": List(CONTROL_SOCKET, may_be_empty=True),
}

DHCP_DDNS: Final = Map(
    kea_2_6_grammar.DHCP_DDNS.name,
    {**kea_2_6_grammar.DHCP_DDNS.keys, **_SOCKETS},
    exclusive=("control-socket", "control-sockets"),
)

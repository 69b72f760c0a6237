"""The grammar of the configuration file of Kea 2.6, as tables (contract, section 2.2)."""

from __future__ import annotations

from typing import Final

from pyd2.config.grammar import (
    BLANK_DOMAIN_FAULT,
    BLANK_SECRET_FAULT,
    PORT_FAULT,
    PORTS,
    TIMEOUT_FAULT,
    AnyMap,
    Boolean,
    Comment,
    Integer,
    List,
    Map,
    OneOf,
    String,
    UserContext,
    Value,
)

_CONTEXT: Final[dict[str, Value]] = {"user-context": UserContext(), "comment": Comment()}

_PORT: Final = Integer(lambda port: port in PORTS, PORT_FAULT)

DNS_SERVER: Final = Map(
    "dns-servers",
    {
        "ip-address": String(),
        "port": _PORT,
        **_CONTEXT,
        "key-name": String(),
        "hostname": String(filled="hostname is not yet supported"),
    },
)

DDNS_DOMAIN: Final = Map(
    "ddns-domains",
    {
        **_CONTEXT,
        "key-name": String(),
        "dns-servers": List(DNS_SERVER),
        "name": String(blank=BLANK_DOMAIN_FAULT),
    },
)

TSIG_KEY: Final = Map(
    "tsig-keys",
    {
        **_CONTEXT,
        "algorithm": String(blank="TSIG key algorithm cannot be blank"),
        "digest-bits": Integer(
            lambda bits: bits >= 0 and bits % 8 == 0,
            "TSIG key digest-bits must either be zero or a positive, multiple of eight",
        ),
        "secret": String(blank=BLANK_SECRET_FAULT),
        "secret-file": String(blank="TSIG key secret file name cannot be blank"),
        "name": String(blank="TSIG key name cannot be blank"),
    },
    exclusive=("secret", "secret-file"),
)

CONTROL_SOCKET: Final = Map("control-socket", {**_CONTEXT, "socket-type": String(), "socket-name": String()})

HOOKS_LIBRARY: Final = Map(
    "hooks-libraries",
    {"library": String(), "parameters": AnyMap()},
    unknown_keys="named when first",
    required=("library",),
)

OUTPUT_OPTION: Final = Map(
    "output-options",
    {"output": String(), "flush": Boolean(), "maxsize": Integer(), "maxver": Integer(), "pattern": String()},
    unknown_keys="never",
)

LOGGER: Final = Map(
    "loggers",
    {
        **_CONTEXT,
        "name": String(),
        "output-options": List(OUTPUT_OPTION),
        "debuglevel": Integer(),
        "severity": String(),
    },
    aliases={"output_options": "output-options"},
)

_DIRECTION: Final[dict[str, Value]] = {"ddns-domains": List(DDNS_DOMAIN, may_be_empty=True)}
FORWARD_DDNS: Final = Map("forward-ddns", _DIRECTION, may_be_empty=True)
REVERSE_DDNS: Final = Map("reverse-ddns", _DIRECTION, may_be_empty=True)

DHCP_DDNS: Final = Map(
    "DhcpDdns",
    {
        "ip-address": String(),
        "port": _PORT,
        "dns-server-timeout": Integer(lambda timeout: timeout > 0, TIMEOUT_FAULT),
        "ncr-protocol": OneOf(("UDP", "TCP")),
        "ncr-format": OneOf(("JSON",)),
        **_CONTEXT,
        "forward-ddns": FORWARD_DDNS,
        "reverse-ddns": REVERSE_DDNS,
        "tsig-keys": List(TSIG_KEY, may_be_empty=True),
        "control-socket": CONTROL_SOCKET,
        "hooks-libraries": List(HOOKS_LIBRARY, may_be_empty=True),
        "loggers": List(LOGGER),
    },
)

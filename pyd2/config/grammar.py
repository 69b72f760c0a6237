"""What may stand where in the configuration file: the maps of DhcpDdns as tables (contract, section 2.2).

Bison's messages name the tokens that were possible, if they are at most four; which those are follows from
the grammar's tables. So it matters to messages, too, whether a list may be empty: such a list expects ``]``
after an entry, the others expect ``","`` or ``]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class String:
    """A string."""

    blank: str | None = None
    """The fault of an empty string, when it is one."""
    filled: str | None = None
    """The fault of any other string, when it is one."""


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer of 64 bits."""

    valid: Callable[[int], bool] = lambda _: True
    fault: str = ""
    """The text when ``valid`` says no."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """A string of a set, in any case of letters; the element has it in capitals."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyMap:
    """A map of any content."""


@dataclass(frozen=True, slots=True)
class UserContext:
    """A map of any content, which a comment may join."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A string that becomes the member ``comment`` of the user-context."""


@dataclass(frozen=True, slots=True)
class Map:
    """A map with known keys."""

    name: str
    """As Kea's messages call it."""
    keys: dict[str, Value]
    """In the order of Kea's tokens."""
    may_be_empty: bool = False
    unknown_keys: str = "named"
    """When messages name an unknown key: ``named``, ``named when first`` or ``never``; otherwise it is an
    unexpected string."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other spellings of keys."""
    required: tuple[str, ...] = ()
    keywords: dict[str, str] = field(init=False)
    """The strings that are keywords in this map, with the keys they stand for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keywords", {key: key for key in self.keys} | self.aliases)


@dataclass(frozen=True, slots=True)
class List:
    """A list of maps."""

    entry: Map
    may_be_empty: bool = False


Value: TypeAlias = "String | Integer | Boolean | OneOf | AnyMap | UserContext | Comment | Map | List"

_CONTEXT: Final[dict[str, Value]] = {"user-context": UserContext(), "comment": Comment()}

PORT_FAULT: Final = "port must be greater than zero but less than 65536"
TIMEOUT_FAULT: Final = "dns-server-timeout must be greater than zero"
BLANK_DOMAIN_FAULT: Final = "Ddns domain name cannot be blank"
BLANK_SECRET_FAULT: Final = "TSIG key secret cannot be blank"  # noqa: S105  a message
PORTS: Final = range(1, 65536)

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
)

EXCLUSIVE: Final = {"secret": ("secret", "secret-file"), "secret-file": ("secret", "secret-file")}
"""Keys that stand for the same thing: only one of them may be in a map."""

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

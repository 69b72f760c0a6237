"""The kinds of values that a configuration file's grammar is made of.

The tables themselves belong to the profile of a Kea release (``pyd2.profiles``). Bison's messages name the
tokens that were possible, if they are at most four, and the tables decide which those are. So messages also
depend on whether a list may be empty: such a list expects ``]`` after an entry, the others ``","`` or ``]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_ALIASES: Final[dict[str, str]] = {}


class String(NamedTuple):
    """A string."""

    blank: str | None = None
    """The fault of an empty string, when it is one."""
    filled: str | None = None
    """The fault of any other string, when it is one."""


class Integer(NamedTuple):
    """An integer of 64 bits."""

    valid: Callable[[int], bool] = lambda _: True
    fault: str = ""
    """The text when ``valid`` says no."""


class Boolean:
    """``true`` or ``false``."""


class OneOf(NamedTuple):
    """A string of a set. A word in capitals stands for any case of letters; the element has it as here."""

    words: tuple[str, ...]


class AnyMap:
    """A map of any content."""


class UserContext:
    """A map of any content, to which a ``comment`` may be added."""


class Comment:
    """A string that becomes the member ``comment`` of the user-context."""


class Map:
    """A map with known keys."""

    def __init__(
        self,
        name: str,
        keys: dict[str, Value],
        *,
        may_be_empty: bool = False,
        unknown_keys: str = "named",
        aliases: dict[str, str] = _NO_ALIASES,
        exclusive: tuple[str, ...] = (),
        required: tuple[str, ...] = (),
    ) -> None:
        self.name: Final = name
        """As Kea's messages call it."""
        self.keys: Final = keys
        """In the order of Kea's tokens."""
        self.may_be_empty: Final = may_be_empty
        self.unknown_keys: Final = unknown_keys
        """When messages name an unknown key: ``named``, ``named when first`` or ``never``. Otherwise they
        call it an unexpected string."""
        self.exclusive: Final = exclusive
        """Keys that stand for the same thing: only one of them may be in the map."""
        self.required: Final = required
        self.keywords: Final = {key: key for key in keys} | aliases
        """The strings that are keywords in this map, with the keys they stand for: ``aliases`` are other
        spellings."""


class List(NamedTuple):
    """A list of maps."""

    entry: Map
    may_be_empty: bool = False


Value: TypeAlias = "String | Integer | Boolean | OneOf | AnyMap | UserContext | Comment | Map | List"

PORT_FAULT: Final = "port must be greater than zero but less than 65536"
TIMEOUT_FAULT: Final = "dns-server-timeout must be greater than zero"
BLANK_DOMAIN_FAULT: Final = "Ddns domain name cannot be blank"
BLANK_SECRET_FAULT: Final = "TSIG key secret cannot be blank"  # noqa: S105  a message
PORTS: Final = range(1, 65536)

"""The kinds of values that a configuration file's grammar is made of.

The tables themselves belong to the profile of a Kea release (``pyd2.profiles``). Bison's messages name the
tokens that were possible, if they are at most four, and the tables decide which those are. So messages also
depend on whether a list may be empty: such a list expects ``]`` after an entry, the others ``","`` or ``]``.
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
    """A string of a set. A word in capitals stands for any case of letters; the element has it as here."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyMap:
    """A map of any content."""


@dataclass(frozen=True, slots=True)
class UserContext:
    """A map of any content, to which a ``comment`` may be added."""


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
    """When messages name an unknown key: ``named``, ``named when first`` or ``never``. Otherwise they call it
    an unexpected string."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other spellings of keys."""
    exclusive: tuple[str, ...] = ()
    """Keys that stand for the same thing: only one of them may be in the map."""
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

PORT_FAULT: Final = "port must be greater than zero but less than 65536"
TIMEOUT_FAULT: Final = "dns-server-timeout must be greater than zero"
BLANK_DOMAIN_FAULT: Final = "Ddns domain name cannot be blank"
BLANK_SECRET_FAULT: Final = "TSIG key secret cannot be blank"  # noqa: S105  a message
PORTS: Final = range(1, 65536)

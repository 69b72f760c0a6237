r"""Which configured domain is responsible for a name (contract, section 4).

Kea compares texts: a domain matches a name that equals it, or that ends in it behind a dot, ignoring the
case of ASCII characters; the longest such domain wins. Escapes are not undone, so ``com.`` also matches
``a\.com.``, whose first label holds the dot. The domain ``*`` matches what no other does.

One difference (docs/differences.md, 19): a domain configured without its final dot matches as if it had one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyd2.config.model import Config, DdnsDomain

T = TypeVar("T")

WILDCARD = "*"


def fold(name: str) -> str:
    """Return a configured name with its ASCII letters (and no others) in lower case."""
    return name.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def with_final_dot(name: str) -> str:
    """Return a domain's name as it is matched: with its final dot, unless it is the wildcard."""
    return name if name == WILDCARD or name.endswith(".") else name + "."


def _rank(name: str) -> tuple[bool, bytes]:
    """Return which of two spellings of a name comes first, as a key to sort by."""
    return not name.endswith("."), name.encode("utf-8", "surrogateescape")


class Matcher(Generic[T]):
    """Finds the domain of a name: a dictionary look-up for each length that a configured name has.

    Only lengths whose suffix begins behind a dot are looked up, so a name costs at most as many look-ups as
    it has labels, however many domains there are.
    """

    __slots__ = ("_by_name", "_lengths", "_wildcard")

    def __init__(self, domains: Iterable[tuple[str, T]]) -> None:
        """Take (name as configured, what to return) pairs.

        Of names that differ in case only, the first in byte order wins, as in Kea; one that lacks its
        final dot comes after one that has it.
        """
        self._wildcard: T | None = None
        self._by_name: dict[str, T] = {}
        spelled: dict[str, str] = {}
        for name, domain in domains:
            if name == WILDCARD:
                self._wildcard = domain
                continue
            folded = fold(with_final_dot(name))
            if folded not in spelled or _rank(name) < _rank(spelled[folded]):
                spelled[folded] = name
                self._by_name[folded] = domain
        self._lengths = sorted({len(name) for name in self._by_name}, reverse=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are looked up."""
        return tuple(self._by_name)

    @property
    def domains(self) -> tuple[T, ...]:
        """All domains that can be found."""
        wildcard = () if self._wildcard is None else (self._wildcard,)
        return (*self._by_name.values(), *wildcard)

    def numbers(self, number: Callable[[T], int]) -> tuple[dict[str, int], int]:
        """Return the number of each domain by its name as it is looked up, and that of the wildcard or 0."""
        wildcard = 0 if self._wildcard is None else number(self._wildcard)
        return {name: number(domain) for name, domain in self._by_name.items()}, wildcard

    def __bool__(self) -> bool:
        return bool(self._by_name) or self._wildcard is not None

    def find(self, name: str) -> T | None:
        """Return the domain of a name (DNS text with its final dot), or None."""
        name = name.lower()
        size = len(name)
        for length in self._lengths:
            begin = size - length
            if begin > 0:
                if name[begin - 1] != ".":
                    continue
                found = self._by_name.get(name[begin:])
            elif begin == 0:
                found = self._by_name.get(name)
            else:
                continue
            if found is not None:
                return found
        return self._wildcard


class ReverseMatcher(Matcher[T]):
    """Finds the domain of an address's reverse name without making the name.

    A reverse name has one label for each octet or nibble, so a domain that can match one at all stands for
    the addresses that begin in a certain way: a look-up for each length of beginning that is configured.
    """

    __slots__ = ("_by_nibbles", "_by_octets", "_nibbles", "_octets")

    def __init__(self, domains: Iterable[tuple[str, T]]) -> None:
        super().__init__(domains)
        self._by_octets: dict[bytes, T] = {}
        self._by_nibbles: dict[str, T] = {}
        for name, domain in self._by_name.items():
            *labels, family, top = ["", *name.removesuffix(".").split(".")]
            labels = labels[1:]
            if (family, top) == ("in-addr", "arpa") and len(labels) <= 4 and _OCTETS.keys() >= set(labels):
                self._by_octets[bytes(_OCTETS[label] for label in reversed(labels))] = domain
            elif (family, top) == ("ip6", "arpa") and len(labels) <= 32 and set(labels) <= _NIBBLES:
                self._by_nibbles["".join(reversed(labels))] = domain
        if "arpa." in self._by_name:
            self._by_octets.setdefault(b"", self._by_name["arpa."])
            self._by_nibbles.setdefault("", self._by_name["arpa."])
        self._octets = sorted({len(octets) for octets in self._by_octets}, reverse=True)
        self._nibbles = sorted({len(nibbles) for nibbles in self._by_nibbles}, reverse=True)

    def address_numbers(self, number: Callable[[T], int]) -> tuple[dict[bytes, int], dict[str, int], int]:
        """Return the number of each domain by the octets and by the nibbles of addresses; the wildcard's."""
        return (
            {octets: number(domain) for octets, domain in self._by_octets.items()},
            {nibbles: number(domain) for nibbles, domain in self._by_nibbles.items()},
            self.numbers(number)[1],
        )

    def find_address(self, address: bytes) -> T | None:
        """Return what ``find`` returns for the reverse name of an address of 4 or 16 bytes."""
        if len(address) == 4:
            for count in self._octets:
                found = self._by_octets.get(address[:count])
                if found is not None:
                    return found
        else:
            digits = address.hex()
            for count in self._nibbles:
                found = self._by_nibbles.get(digits[:count])
                if found is not None:
                    return found
        return self._wildcard


class DomainMatchers(NamedTuple):
    """What finds the domains of a configuration by name. The engine has its own, of prepared domains."""

    forward: Matcher[DdnsDomain]
    reverse: Matcher[DdnsDomain]
    """By the reverse names of addresses."""


def matchers_of(config: Config) -> DomainMatchers:
    """Return the matchers of a configuration."""
    return DomainMatchers(
        Matcher([(domain.name, domain) for domain in config.forward_domains]),
        Matcher([(domain.name, domain) for domain in config.reverse_domains]),
    )


_OCTETS = {str(octet): octet for octet in range(256)}
_NIBBLES = frozenset("0123456789abcdef")

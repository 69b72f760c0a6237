"""How an old configuration is freed."""

from __future__ import annotations

import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.paths import Directories
from pyd2.data.element import Element, from_plain
from pyd2.disposal import AT_ONCE, MOST_WAITING, Disposal
from tests.kit.profile import RULES, parse_element

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """An event loop as far as the disposal uses it."""

    def __init__(self) -> None:
        self.planned: list[Callable[[], object]] = []

    def call_soon(self, call: Callable[[], object]) -> None:
        self.planned.append(call)

    def call_later(self, _seconds: float, call: Callable[[], object]) -> None:
        self.planned.append(call)

    def turn(self) -> bool:
        """Run what is planned; return whether there was something."""
        planned, self.planned = self.planned, []
        for call in planned:
            call()
        return bool(planned)


class Freed(str):
    """A text whose end can be seen."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def disposal(turns: Turns) -> Disposal:
    return Disposal(turns)  # type: ignore[arg-type]


def texts(count: int, freed: list[int]) -> Element:
    """Return a list of texts; the numbers of those that are freed are put down."""
    found = []
    for number in range(count):
        text = Freed(number)
        weakref.finalize(text, freed.append, number)
        found.append(Element(text))
    return Element({"outer": Element(found)})


def test_nothing_is_freed_in_one_go(disposal: Disposal, turns: Turns) -> None:
    freed: list[int] = []
    whole = texts(5 * AT_ONCE, freed)
    disposal.add(whole)
    del whole
    in_turns = [0]
    while turns.turn():
        in_turns.append(len(freed))
    assert max(after - before for before, after in pairwise(in_turns)) <= AT_ONCE
    assert in_turns[-1] == 5 * AT_ONCE


def test_what_another_needs_stays_as_it_is(disposal: Disposal, turns: Turns) -> None:
    """A hook library may have kept the configuration."""
    freed: list[int] = []
    whole = texts(3 * AT_ONCE, freed)
    disposal.add(whole)
    while turns.turn():
        pass
    assert not freed
    assert len(whole.map_value()["outer"].list_value()) == 3 * AT_ONCE


def test_a_configuration_is_freed_domain_by_domain(disposal: Disposal, turns: Turns) -> None:
    servers = [{"ip-address": "192.0.2.1"}]
    plain: Any = {"forward-ddns": {"ddns-domains": [
        {"name": f"z{number}.", "dns-servers": servers} for number in range(2 * AT_ONCE)
    ]}}  # fmt: skip
    config = parse_element(from_plain(plain), Directories.from_environment({}, RULES.paths))
    disposal.add(config, None)
    domains = len(config.forward_domains)
    del config
    count = 0
    while turns.turn():
        count += 1
    assert count >= 2 * domains // AT_ONCE  # each domain has a server


def test_more_may_come_at_any_time(disposal: Disposal, turns: Turns) -> None:
    freed: list[int] = []
    disposal.add(texts(AT_ONCE, freed))
    turns.turn()
    disposal.add(texts(AT_ONCE, freed), texts(1, freed))
    assert len(turns.planned) == 1
    while turns.turn():
        pass
    assert len(freed) == 2 * AT_ONCE + 1


def test_the_oldest_is_freed_first(disposal: Disposal, turns: Turns) -> None:
    first: list[int] = []
    second: list[int] = []
    disposal.add(texts(2 * AT_ONCE, first))
    disposal.add(texts(1, second))
    while turns.turn():
        assert len(first) == 2 * AT_ONCE or not second
    assert len(first) == 2 * AT_ONCE
    assert second == [0]


def test_more_than_the_loop_can_free_does_not_pile_up(disposal: Disposal, turns: Turns) -> None:
    """Between commands that come back to back the loop has one turn each."""
    freed: list[int] = []
    count = 3 * AT_ONCE
    for rounds in range(1, 4 * MOST_WAITING):
        disposal.add(texts(count, freed), texts(1, freed))
        waiting = rounds * (count + 1) - len(freed)
        assert waiting <= MOST_WAITING * count
        turns.turn()
    while turns.turn():
        pass
    assert len(freed) == rounds * (count + 1)

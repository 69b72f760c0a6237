"""Searches that only the web page makes: hosts, failures, and for a limited time."""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.history.search import History, SearchTimeoutError, parse_host_query, parse_query
from pyd2.history.store import Limits
from tests.history.support import ADD_FAILED, AT, CLIENT, DONE, GIVEN_UP, filled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def row(number: int, host: int, like: tuple[Any, ...] = DONE) -> tuple[Any, ...]:
    """Return an event of one of some hosts."""
    address = ip_address(0xC0000200 + host).packed
    return (AT + number, like[1], f"host-{host}.example.com.", address, CLIENT, *like[5:])


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """60 events of 20 hosts in several segments: host 7 has failed, and host 8 was given up."""
    like = {7: ADD_FAILED, 8: GIVEN_UP}
    rows = [row(number, number % 20, like.get(number % 20, DONE)) for number in range(60)]
    with closing(History(filled(tmp_path, rows, Limits(200, 1 << 30, 10_000)))) as history:
        assert len(history._segments) > 2
        yield history


def hosts(history: History, text: str, **options: Any) -> list[str]:
    found = history.find_hosts(parse_host_query(text), **options)
    return [event.name.partition(".")[0].removeprefix("host-") for event in found]


def test_each_host_comes_once_the_newest_first(history: History) -> None:
    newest = [str(number) for number in range(19, -1, -1)]
    assert hosts(history, "") == newest
    assert hosts(history, "host") == hosts(history, "HOST-*") == newest
    found, before = [], None
    while some := list(history.find_hosts(parse_host_query(""), limit=7, before=before)):
        found += [event.name for event in some]
        before = some[-1].id
    assert found == [f"host-{number}.example.com." for number in newest]


@pytest.mark.parametrize(("text", "found"), [
    ("host-1", ["19", "18", "17", "16", "15", "14", "13", "12", "11", "10", "1"]),
    ("host-1.", []), ("host-1.example.com.", ["1"]), ("host-1.ex", ["1"]), ("192.0.2.3", ["3"]),
    ("192.0.2.2/31", ["3", "2"]), (CLIENT.hex(), [str(number) for number in range(19, -1, -1)]), ("x", []),
    ("%", []),
])  # fmt: skip
def test_what_hosts_are_found_by(history: History, text: str, found: list[str]) -> None:
    assert hosts(history, text) == found


@pytest.mark.parametrize("text", ["192.0.2.0/33", "x/y"])
def test_what_cannot_be_looked_for(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the text is Python's
        parse_host_query(text)


@pytest.mark.parametrize(
    ("typed", "found"),
    [("büro", True), ("BüRO.example.com.", True), ("b\\195\\188ro*", True), ("b", False), ("bÜro", False),
     ("b\udcc3\udcbcro", True), ("\udcff*", False), (chr(0xD7FF), False), (chr(0x10FFFF), False)],
)  # fmt: skip
def test_a_name_with_other_octets_is_found_as_it_is_typed(tmp_path: Path, typed: str, found: bool) -> None:
    r"""The history has octets that are not ASCII's as ``\ddd``; a shell may give them one by one."""
    rows = [(*DONE[:2], "b\\195\\188ro.example.com.", *DONE[3:])]
    with closing(History(filled(tmp_path, rows))) as history:
        assert len(list(history.find(parse_query(typed)))) == found


def test_failures_are_those_that_did_not_end_well(history: History) -> None:
    def found(*what: str, **options: Any) -> list[str]:
        return [event.name.partition(".")[0] for event in history.find_failures(*what, **options)]

    assert found("", "", "") == ["host-8", "host-7"] * 3
    assert found("", "", "NXRRSET") == found("", "192.0.2.53 port:53", "") == ["host-7"] * 3
    assert found("example.com.", "", "expired") == ["host-8"] * 3
    assert found("2.0.192.in-addr.arpa.", "", "") == found("", "", "unknown") == []
    first = list(history.find_failures("", "", "", limit=2))
    assert found("", "", "", before=first[-1].id) == ["host-8", "host-7"] * 2


def test_a_search_ends_in_time(history: History) -> None:
    history.limit_time(-1.0)
    history._database.set_progress_handler(lambda: True, 1)
    with pytest.raises(SearchTimeoutError, match="too long"):
        hosts(history, "")
    with pytest.raises(SearchTimeoutError):
        history.span()

"""Batches of requests: their octets, their limits, their numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.queue.shared.batch import (
    MOST_OCTETS,
    MOST_REQUESTS,
    BatchError,
    BatchNumber,
    first_batch,
    join,
    read_number,
    split,
)

DATAGRAMS = st.lists(st.binary(max_size=400), max_size=20)


@given(DATAGRAMS)
def test_datagrams_come_back(datagrams: list[bytes]) -> None:
    assert split(join(datagrams)) == datagrams


def test_the_longest_datagram_comes_back() -> None:
    assert split(join([bytes(65535)])) == [bytes(65535)]


@given(DATAGRAMS, st.integers(1, 50))
def test_a_batch_that_was_cut_is_whole_or_refused(datagrams: list[bytes], cut: int) -> None:
    octets = join(datagrams)[:-cut]
    try:
        found = split(octets)
    except BatchError:
        return
    assert found == datagrams[: len(found)]
    assert join(found) == octets


@given(st.binary(max_size=100))
def test_whatever_the_octets_are_nothing_is_lost_of_them(octets: bytes) -> None:
    try:
        datagrams = split(octets)
    except BatchError:
        return
    assert join(datagrams) == octets


@given(st.lists(st.integers(0, 65535), max_size=600))
def test_a_batch_keeps_its_limits(lengths: list[int]) -> None:
    datagrams = [bytes(length) for length in lengths]
    batch = first_batch(datagrams)
    assert batch == datagrams[: len(batch)]
    assert len(batch) <= MOST_REQUESTS
    assert len(join(batch)) <= MOST_OCTETS
    assert bool(batch) == bool(datagrams)
    if len(batch) < min(len(datagrams), MOST_REQUESTS):
        assert len(join(datagrams[: len(batch) + 1])) > MOST_OCTETS


def test_many_small_requests_make_full_batches() -> None:
    assert len(first_batch([b"x"] * 2000)) == MOST_REQUESTS


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_number_comes_back(boot: int, count: int) -> None:
    assert read_number(str(BatchNumber(boot, count))) == (boot, count)


@pytest.mark.parametrize("text", [
    "", "1", "1.", ".1", "1.2.3", "-1.2", "1.x", "1. 2", "1.\u0661", "9" * 5000 + ".1",
])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BatchError, match="is no number of a batch"):
        read_number(text)


def test_numbers_rise_over_starts() -> None:
    assert BatchNumber(1, 99) < BatchNumber(2, 1) < BatchNumber(2, 2)

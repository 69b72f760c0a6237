"""Batches of requests: their octets, their limits, their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.packets import joined as in_c
from pyd2.packets.batch import DatagramBatch, to_batch
from pyd2.packets.wire import ffi
from pyd2.queue.ncrs import client_of
from pyd2.queue.shared import batch as module
from pyd2.queue.shared.batch import (
    MOST_OCTETS,
    MOST_REQUESTS,
    BatchError,
    BatchNumber,
    first_batch,
    first_of,
    join,
    joined,
    octets_of,
    read_number,
    split,
)
from tests.kit import ncr

if TYPE_CHECKING:
    from collections.abc import Iterator

DATAGRAMS = st.lists(st.binary(max_size=400), max_size=20)


@pytest.fixture(params=["compiled", "plain"], autouse=True, scope="module")
def layer(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is done in C is done in Python, too."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(module, "compiled", None)
        yield


def received(datagrams: list[bytes], stride: int) -> DatagramBatch:
    """Return datagrams as they are received; the memory is to be filled with others."""
    memory = ffi.new("uint8_t[]", stride * max(1, len(datagrams)))
    for place, datagram in enumerate(datagrams):
        ffi.memmove(memory + place * stride, datagram, len(datagram))
    return DatagramBatch(memory, stride, ffi.new("uint32_t[]", [*map(len, datagrams)]), len(datagrams))


@given(DATAGRAMS)
def test_what_was_received_stays_as_it_is(datagrams: list[bytes]) -> None:
    batch = received(datagrams, 400)
    kept = joined(batch)
    ffi.memmove(batch.buffer, bytes(400), 400)
    assert kept == datagrams
    assert join(kept) == join(datagrams) == join(to_batch(datagrams))
    assert octets_of(kept) == octets_of(datagrams) == sum(map(len, datagrams))
    assert len(kept) == len(datagrams)
    assert joined(kept) is kept


@given(DATAGRAMS, st.integers(0, 25), st.integers(0, 25))
def test_a_part_is_that_part(datagrams: list[bytes], begin: int, end: int) -> None:
    # What they are parts of is gone.
    parts = [split(join(datagrams))[begin:end], joined(datagrams)[begin:end]]
    found: list[Any] = [list(part) for part in parts]
    assert found == [datagrams[begin:end]] * 2
    assert [*joined(datagrams)] == [joined(datagrams)[place] for place in range(len(datagrams))] == datagrams


@given(st.lists(st.lists(st.integers(0, 3000), max_size=128), max_size=7))
def test_parts_make_a_batch(lengths: list[list[int]]) -> None:
    parts = [[bytes(length) for length in some] for some in lengths]
    assert first_of([*map(joined, parts)]) == first_batch([one for some in parts for one in some])


def test_c_finds_the_clients_that_python_finds() -> None:
    requests = [ncr.datagram(ncr.request("a.example.", "192.0.2.1", ncr.dhcid(b"%d" % number, "a.")))
                for number in range(300)]
    numbers = in_c.clients(join(requests), len(requests))
    assert numbers == [int.from_bytes(client_of(datagram)[-8:], "big") for datagram in requests]
    twice, none = requests[0].replace(b'"fqdn"', b'"dhcid"'), requests[0].replace(b'"dhcid"', b'"DHCID"')
    assert in_c.clients(join([twice, requests[1], none, b""]), 4) == [0, numbers[1], 0, 0]


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

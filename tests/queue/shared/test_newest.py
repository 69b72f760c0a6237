"""What comes late by one receiver, when another one has taken newer requests of the same clients."""

from __future__ import annotations

import pytest

from pyd2.queue.shared import batch as batch_module
from pyd2.queue.shared.batch import BatchNumber, RequestBatch, joined
from pyd2.queue.shared.newest import NewestRequests
from tests.kit import ncr


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(batch_module, "compiled", None)


def request(client: int, address: int = 1) -> bytes:
    return ncr.datagram(ncr.request("a.example.com.", f"192.0.2.{address}", ncr.dhcid(b"%d" % client, "a.")))


def batch(receiver: str, taken: float, *clients: int, spooled: bool = False) -> RequestBatch:
    return RequestBatch(receiver, BatchNumber(1, 1), taken, list(map(request, clients)), spooled)


def test_a_spooled_request_is_overtaken_by_a_newer_one_of_another_receiver() -> None:
    newest = NewestRequests()
    assert newest.overtaken(batch("b", 200.0, 1, 2)) == []
    assert newest.overtaken(batch("a", 100.0, 3, 1, 4, spooled=True)) == [1]
    assert newest.overtaken(batch("a", 100.0, 1)) == []  # it was handed over at once: a clock is wrong
    assert newest.overtaken(batch("a", 199.5, 2, spooled=True)) == []  # within the span of a batch
    assert newest.overtaken(batch("a", 300.0, 2, spooled=True)) == []


def test_a_receiver_does_not_overtake_itself() -> None:
    newest = NewestRequests()
    newest.overtaken(batch("a", 200.0, 1))
    assert newest.overtaken(batch("a", 100.0, 1, spooled=True)) == []  # its clock was set back


def test_the_clients_of_the_newest_requests_are_remembered() -> None:
    newest = NewestRequests(clients=10)
    for client in range(25):
        newest.overtaken(batch("b", 200.0 + client, client))
    overtaken = newest.overtaken(batch("a", 100.0, *range(25), spooled=True))
    assert overtaken == list(range(10, 25))


def written(datagram: bytes, old: bytes, new: bytes) -> bytes:
    assert old in datagram
    return ncr.datagram(datagram[2:].replace(old, new))


def test_a_client_is_known_again_however_its_dhcid_is_written() -> None:
    digits = ncr.dhcid(b"1", "a.").encode()
    usual = request(1)
    others = [
        written(usual, digits, digits.lower()),
        written(usual, b'"dhcid":"', b'"dhcid": "'),
        written(usual, b'"dhcid"', b'"dhci\\u0064"'),
    ]
    for datagram in (usual, *others):
        for later in (usual, *others):
            newest = NewestRequests()
            newest.overtaken(RequestBatch("b", BatchNumber(1, 1), 200.0, joined([request(2), datagram])))
            spooled = RequestBatch("a", BatchNumber(1, 1), 100.0, [request(3), later], spooled=True)
            assert newest.overtaken(spooled) == [1], (datagram, later)


@pytest.mark.parametrize("digits", [b"", b"00", b"0001", b"0" * 40, b"12345678901234567", b"x" * 20])
def test_a_dhcid_without_a_digest_is_known_again(digits: bytes) -> None:
    usual = ncr.dhcid(b"1", "a.").encode()
    newest = NewestRequests()
    datagram = written(request(1), usual, digits)
    newest.overtaken(RequestBatch("b", BatchNumber(1, 1), 200.0, [datagram]))
    assert newest.overtaken(RequestBatch("a", BatchNumber(1, 1), 100.0, [datagram, request(2)],
                                         spooled=True)) == [0]

"""What comes late by one receiver, when another one has taken newer requests of the same clients."""

from __future__ import annotations

from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.newest import NewestRequests
from tests.kit import ncr


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

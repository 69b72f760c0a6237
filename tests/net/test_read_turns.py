"""What is read from DNS servers in one turn of the loop."""

import asyncio
import socket
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import uvloop

from pyd2.net import read_turns
from pyd2.net.read_turns import LONG, MOST, PAUSE, PER_SOCKET, QUICK, SECONDS, SLOW, SMALLEST, Pace, ReadTurns

if TYPE_CHECKING:
    from collections.abc import Callable


def test_sockets_beyond_what_a_turn_may_cost_have_the_next_ones_in_their_order() -> None:
    count = 4 * MOST // PER_SOCKET
    read: list[int] = []

    async def scenario() -> list[int]:
        turns = ReadTurns(asyncio.get_running_loop())
        sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]

        def read_one(number: int) -> None:
            turns.left -= PER_SOCKET
            read.append(number)

        for number, sock in enumerate(sockets):
            turns.put_off(sock, partial(read_one, number))
            turns.put_off(sock, partial(read_one, -1))  # it waits already
        sockets[1].close()
        seen = [0]
        while len(read) < count - 1:
            await asyncio.sleep(0)
            turns.refill()  # gives no more to others while sockets wait
            seen.append(len(read))
        for sock in sockets:
            sock.close()
        return [after - before for before, after in pairwise(seen)]

    parts = uvloop.run(scenario())
    assert max(parts) <= MOST // PER_SOCKET
    assert read == [0, *range(2, count)]


def test_a_call_that_raises_does_not_stop_the_reading() -> None:
    """The loop hears of the error; the sockets behind that one are read all the same."""
    read: list[int] = []
    errors: list[object] = []

    def fail() -> None:
        raise RuntimeError("one reply too many")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        turns = ReadTurns(loop)
        sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
        calls: list[Callable[[], object]] = [fail, partial(read.append, 1), partial(read.append, 2)]
        for sock, call in zip(sockets, calls, strict=True):
            turns.put_off(sock, call)
        for _ in range(10):
            await asyncio.sleep(0)
        for sock in sockets:
            sock.close()

    uvloop.run(scenario())
    assert read == [1, 2]
    assert [str(error) for error in errors] == ["one reply too many"]


class Clocks:
    """Stands for the module ``time``; both clocks go on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 10.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.cpu


@pytest.fixture(name="clocks")
def _clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(read_turns, "time", clocks)
    return clocks


def new_turns(clocks: Clocks) -> ReadTurns:
    loop = asyncio.new_event_loop()
    turns = ReadTurns(loop)
    loop.close()
    turns.begin(clocks.now)
    turns.worked_until = clocks.now
    return turns


def test_a_turn_that_took_long_reads_no_more(clocks: Clocks) -> None:
    turns = new_turns(clocks)
    clocks.now += SECONDS * 1.1
    turns.worked_until = clocks.now
    assert turns.used_up()
    turns.begin(clocks.now)
    assert not turns.used_up()


def test_a_turn_is_over_when_the_loop_has_waited(clocks: Clocks) -> None:
    turns = new_turns(clocks)
    turns.worked_until = clocks.now + SECONDS
    clocks.now += SECONDS + 1.1 * PAUSE
    assert not turns.used_up()


def test_the_work_of_a_turn_follows_from_what_the_one_before_has_cost(clocks: Clocks) -> None:
    turns = new_turns(clocks)
    turns.share = 1.0
    shares = []
    for cost in (*[SLOW * 1.1] * 5, SLOW * 0.9, QUICK * 0.9):
        clocks.cpu += cost
        turns.begin(clocks.now)
        shares.append(turns.share)
    assert shares[:6] == [0.5, 0.25, 0.125, SMALLEST, SMALLEST, SMALLEST]
    assert SMALLEST < shares[6] < 2 * SMALLEST
    turns.refill()
    assert turns.left < MOST / 2
    for _ in range(100):
        turns.begin(clocks.now)
    turns.refill()
    assert turns.share == 1.0
    assert turns.left == MOST


def test_fewer_messages_come_at_a_time_where_they_take_long() -> None:
    pace = Pace(100)
    most = [pace.most]
    for count, each in ((32, 0.0), (64, 0.0), (100, LONG / 5.5), (5, LONG / 5.5), (5, LONG * 2),
                        *[(1, LONG / 90)] * 2, *[(1, LONG / 50.5)] * 5):
        pace.note(count, count * each)
        most.append(pace.most)
    assert most == [32, 64, 100, 5, 5, 1, 2, 4, 8, 16, 32, 50, 50]

"""What is read from DNS servers in one turn of the loop."""

import asyncio
import socket
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import uvloop

from pyd2.net.read_turns import MOST, PER_SOCKET, ReadTurns

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
            turns.begin()  # gives no more to others while sockets wait
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

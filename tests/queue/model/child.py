"""A server that forks processes with a queue each, between a listener and an engine that the test plays.

It runs under faults.c. Of what happens in the queue each process tells at once, over its socket: what was
reported before a kill stays readable.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import mmap
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyd2.queue.durable
import pyd2.queue.ncrs
import pyd2.queue.sqlite.store
import pyd2.queue.sqlite.writer  # noqa: F401  loaded before the fork
from pyd2.config.switches import QueueSwitches
from pyd2.counters import Counters
from pyd2.queue.durable import DurableQueue
from pyd2.queue.sqlite.stores import SqliteStores
from pyd2.update.output import Amendment
from tests.kit.profile import MESSAGES
from tests.queue.model import planted

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPATIENT = {
    "GROUP_SECONDS": 0.0005,
    "REMOVE_SECONDS": 0.001,
    "HOUSE_SECONDS": 0.02,
    "RETRY_SECONDS": (0.01,),
    "STALL_SECONDS": 0.25,
    "OPEN_SECONDS": 0.25,
    "CLOSE_SECONDS": 2.0,
    "_CHECKPOINT": 40,
    "_FREE_PAGES": 4,
}
"""Times and sizes of the queue, wherever in it they stand: the test need not wait as long as an operator,
and what happens now and then happens often."""


def _hurry() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("pyd2.queue"):
            for constant, value in IMPATIENT.items():
                if hasattr(module, constant):
                    setattr(module, constant, value)


class Process:
    """A queue, driven by lines of JSON."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: socket.socket, page: mmap.mmap) -> None:
        self._loop = loop
        self._channel = channel
        self._page = page
        self._input = b""
        self._queue = DurableQueue(loop, self._carry_out, Counters(), self, SqliteStores(loop, self),
                                   lambda datagrams, _: datagrams)
        self._numbers: dict[int, int] = {}
        """Of requests that were processed, by the test's own number."""
        channel.setblocking(True)
        loop.add_reader(channel, self._read)

    # What the queue calls.

    def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        reported = []
        for datagram, number in zip(datagrams, numbers or [0] * len(datagrams), strict=True):
            fields = json.loads(datagram[2 : 2 + int.from_bytes(datagram[:2], "big")])
            self._numbers[fields["lease-length"]] = number
            reported.append([number, fields])
        durable = self._queue.durable and bool(numbers)
        self._tell({"event": "out", "requests": reported, "durable": durable})

    def emit(self, message_id: str, *arguments: object) -> None:
        """Log a message."""
        if message_id in planted.UNHEARD:
            return
        text = MESSAGES[message_id].text
        for number, argument in enumerate(arguments, 1):
            text = text.replace(f"%{number}", str(argument), 1)
        severity = MESSAGES[message_id].severity.name
        self._tell({"event": "log", "id": message_id, "severity": severity, "text": text})

    def __getattr__(self, name: str) -> Any:
        if name == "on":
            return frozenset(MESSAGES)
        raise AttributeError(name)

    # The channel.

    def _tell(self, what: dict[str, Any]) -> None:
        what["at"] = struct.unpack_from("<Q", self._page, 0)[0]
        self._channel.sendall(json.dumps(what).encode() + b"\n")

    def _read(self) -> None:
        octets = self._channel.recv(1 << 20)
        if not octets:
            os._exit(3)
        *lines, self._input = (self._input + octets).split(b"\n")
        for line in lines:
            command = json.loads(line)
            reply = getattr(self, f"_do_{command.pop('do')}")(**command)
            self._tell({"event": "reply", **(reply or {})})
            if command.get("last"):
                os._exit(0)

    def _do_configure(self, kind: str, directory: str, most: int) -> dict[str, Any]:
        switches = QueueSwitches(kind, directory, most)
        try:
            self._queue.claim(switches)
        except Exception as error:  # reported to the model
            self._queue.unclaim()
            return {"refused": f"{type(error).__name__}: {error}"}
        self._queue.configure(switches)
        return self._do_look()

    def _do_take(self, datagrams: Sequence[str]) -> dict[str, Any]:
        self._queue.accept([datagram.encode("latin-1") for datagram in datagrams])
        return self._do_look()

    def _do_done(self, which: Sequence[int], dead: Sequence[int]) -> None:
        numbers = [self._numbers.pop(one) for one in which]
        self._tell({"event": "ended", "which": which, "dead": dead})
        both = zip(which, numbers, strict=True)
        dead_letters = {number: "it was refused" for one, number in both if one in dead}
        self._queue.done([number for number in numbers if number], dead_letters)

    def _do_amend(self, changes: Sequence[tuple[int, bool, bool]]) -> None:
        self._queue.amend([Amendment(self._numbers[one], *ways) for one, *ways in changes])

    def _do_look(self) -> dict[str, Any]:
        status = self._queue.status(time.time())
        return {"busy": self._queue.busy, "durable": self._queue.durable, "status": status}

    def _do_stop(self, last: bool) -> None:
        self._queue.close()


def _run(channel: socket.socket, page_path: str) -> None:
    layer = ctypes.CDLL(None)
    if layer.faults_use(os.fsencode(page_path)) != 0:
        raise OSError(f"the page {page_path} cannot be used")
    with Path(page_path).open("r+b") as file:
        page = mmap.mmap(file.fileno(), 64)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    process = Process(loop, channel, page)
    channel.sendall(json.dumps({"event": "reply", "pid": os.getpid(), "at": 0}).encode() + b"\n")
    loop.run_forever()
    del process


def main() -> None:
    """Fork a process for each line with a page's path; its end of a new socket pair goes to the test."""
    control = socket.socket(fileno=int(sys.argv[1]))
    planted.plant(sys.argv[2])
    _hurry()
    lines = control.makefile("rb")
    for line in lines:
        command = json.loads(line)
        if "reap" in command:
            _, status = os.waitpid(command["reap"], 0)
            control.sendall(b"%d\n" % status)
            continue
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            control.close()
            ours.close()
            try:
                _run(theirs, command["page"])
            except BaseException as error:
                sys.stderr.write(f"the model's process: {error!r}\n")
                raise
            finally:
                os._exit(4)
        theirs.close()
        socket.send_fds(control, [b"+"], [ours.fileno()])
        ours.close()


if __name__ == "__main__":
    main()

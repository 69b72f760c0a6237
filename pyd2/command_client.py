"""Commands to Kea's servers from a client's side: one over a UNIX socket, and what an answer says."""

from __future__ import annotations

import socket
import time
from math import inf
from typing import Any, Final, NamedTuple

import orjson

SUCCESS: Final = 0
EMPTY: Final = 3
"""The ``result`` of a command that has found nothing."""


class CommandAnswer(NamedTuple):
    """The answer to a command."""

    result: int
    text: str
    arguments: dict[str, Any]


def ask_unix(path: str, command: bytes, timeout: float, longest: int, in_all: float = inf) -> bytes:
    """Return the answer; ``timeout`` is seconds without progress, ``in_all`` those until the whole answer.

    Raises OSError without an answer, ValueError for one of more than ``longest`` octets.
    """
    answer = bytearray()
    ends = time.monotonic() + in_all
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        client.connect(path)
        client.sendall(command)
        while part := client.recv(1 << 16):
            answer += part
            if len(answer) > longest:
                raise ValueError(f"longer than {longest} octets")
            if time.monotonic() > ends:
                raise TimeoutError(f"it takes longer than {in_all:g} seconds")
    return bytes(answer)


def read_command_answer(raw: bytes) -> CommandAnswer:
    """Return what an answer says. Over HTTP it is in a list. Raises ValueError."""
    # Kea's texts are octets, and a hostname may hold any.
    value = orjson.loads(raw.decode("utf-8", "replace"))
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"a list of {len(value)} answers")
        value = value[0]
    if not isinstance(value, dict) or type(value.get("result")) is not int:
        raise ValueError("not an answer of Kea")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no map")  # noqa: TRY004  a value from outside is wrong
    return CommandAnswer(value["result"], str(value.get("text", "")), arguments)

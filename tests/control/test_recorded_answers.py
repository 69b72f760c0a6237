"""The answers and log lines that the real server gave, as far as they don't depend on a running daemon.

tests/conformance runs all recorded cases against the whole daemon; here the registry's part is checked alone.
"""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.control.fakes import Channel
from tests.kit.profile import MESSAGES

DATA = Path(__file__).parent.parent / "conformance" / "data" / "commands"
CASES = {path.stem: json.loads(path.read_text()) for path in sorted(DATA.glob("*.json"))}

# What these ask for is known only to a running daemon.
OF_THE_DAEMON = frozenset({
    "build-report", "config-get", "config-hash-get", "config-reload", "status-get", "statistic-get-all",
    "version-get",
})  # fmt: skip


def decidable(step: dict[str, Any]) -> bool:
    """Tell if a step's answer depends on its request alone."""
    if "chunks" not in step or "@" in step["response_text"] or "timed out" in step["response_text"]:
        return False
    asked = {part[-1].split("'")[1] for part in step["log"] if part[2] == "COMMAND_RECEIVED"}
    if asked & OF_THE_DAEMON:
        return False
    request = "".join(step["chunks"])
    if asked & {"config-set", "config-test"}:
        return step["response"]["result"] == 1 and '"DhcpDdns": {' not in request
    if asked & {"config-write"}:
        return bool(step["response"]["result"] == 1)
    return not (asked & {"statistic-get"} and "ncr-received" in request)


# Up to the first step of a case that changes the daemon, so that every step meets a fresh one.
STEPS = [
    pytest.param(step, id=f"{name}-{number}")
    for name, case in CASES.items()
    for number, step in enumerate(takewhile(decidable, case["steps"]))
]


def test_enough_of_them() -> None:
    assert len(STEPS) > 30


@pytest.mark.parametrize("step", STEPS)
def test_recorded_answers(step: dict[str, Any]) -> None:
    channel = Channel()
    answer = channel.exchange(*(chunk.encode() for chunk in step["chunks"]))
    assert answer.decode() == step["response_text"]
    recorded = [
        (message_id, text)
        for _, logger, message_id, text in step["log"]
        # The socket is not there to see its client leave.
        if logger == "kea-dhcp-ddns.commands" and message_id != "COMMAND_SOCKET_CLOSED_BY_FOREIGN_HOST"
    ]
    written = [
        (message_id, text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
        for message_id, text in channel.log.lines
        if MESSAGES[message_id].logger == "kea-dhcp-ddns.commands"
    ]
    assert written == recorded

"""A start or a reload that a library refuses, in every manner and in both servers: the whole log.

At the start the logs are equal. After a reload the real server works by what was refused, or without any
library when one failed to load; pyd2 puts the libraries of before in force again
(docs/differences.md, 18 and "Hooks").
The lines that this brings are those of ``_RESTORED``, ``_ANSWERED`` and ``_UNLOADED``, and no others.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.kit import kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease

from .conftest import SOURCES, Compile

if TYPE_CHECKING:
    from pathlib import Path

REFUSALS = [{"configured": how} for how in ("refuse", "drop", "throw", "throw-int", "post-throw")]
FAILURES = [{"load": how} for how in ("error", "throw", "throw-int")]
POSTED = {"load": "post-throw"}
ACCEPTED = {"configured": "error"}
MANNERS = [*REFUSALS, *FAILURES, POSTED, ACCEPTED]
WAYS = ("SIGHUP", "config-set", "config-reload")

SAYS = "INFO kea-dhcp-ddns.probe-hooks PROBE_SAYS A says"
HOOKS = "INFO kea-dhcp-ddns.hooks"
_UNLOADED = [
    f"{SAYS} unload", f"{HOOKS} HOOKS_LIBRARY_CLOSED hooks library @DIR@/probe.so successfully closed",
]
_RESTORED = [
    f"{SAYS} load", f"{HOOKS} HOOKS_LIBRARY_LOADED hooks library @DIR@/probe.so successfully loaded",
    f"{SAYS} context_create 1 '' 0 status 0", f"{SAYS} d2_srv_configured 1 'A' 1 status 0",
    f"{SAYS} context_destroy 1 'AA' 2 status 0",
]
_ANSWERED = [
    f"{SAYS} context_create 1 '' 0 status 0", f"{SAYS} command_processed 1 'A' 1 status 0",
    f"{SAYS} context_destroy 1 'AA' 2 status 0",
]


class Made(NamedTuple):
    """What a run left: its end, its log, the answer to the command."""

    status: int
    lines: list[str]
    complaints: list[str]
    """Of its stderr, where what does not start says why."""
    answer: tuple[int, str] | None = None


@pytest.fixture
def probe_library(compile_library: Compile) -> Path:
    return compile_library(SOURCES / "probe.cc")


@pytest.fixture
def servers(d2_binary: str) -> tuple[str, str]:
    return kea.chosen().program("kea-dhcp-ddns"), d2_binary


def write(directory: Path, port: int, library: Path, manner: dict[str, str]) -> dict[str, Any]:
    """Write the configuration with the library."""
    if not (directory / "probe.so").exists():  # a server that runs has it mapped
        shutil.copy(library, directory / "probe.so")
    entry = {"library": str(directory / "probe.so"), "parameters": {"name": "A", **manner}}
    made: dict[str, Any] = config(port, {"hooks-libraries": [entry]})
    (directory / "d2.json").write_text(json.dumps(made))
    return made


def lines_of(text: str, directory: Path, port: int) -> list[str]:
    def plain(message: str) -> str:
        message = re.sub(r"0x[0-9a-f]+", "ADDRESS", re.sub(r"\d+\.\d{3} ms", "TIME", message))
        return re.sub(rf"\b{port}\b", "PORT", message)

    return [f"{severity} {logger} {message_id} {plain(message)}"
            for severity, logger, message_id, message in log_entries(text, str(directory))]


@pytest.mark.parametrize("manner", MANNERS, ids=str)
def test_at_the_start(servers: tuple[str, str], probe_library: Path, manner: dict[str, str]) -> None:
    outcomes = []
    for binary in servers:
        with private_directory() as directory, PortLease() as lease:
            port = lease.take()
            write(directory, port, probe_library, manner)
            d2 = D2(binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
            if manner == ACCEPTED:
                d2.wait_for_commands()
                status = d2.stop()
            else:
                status = d2.process.wait_for_exit()
            lines = lines_of(d2.process.stdout(), directory, port)
            outcomes.append(Made(status, lines, lines_of(d2.process.stderr(), directory, port)))
    assert outcomes[1] == outcomes[0]
    assert (outcomes[1].status == 0) is (manner == ACCEPTED)


def reload(binary: str, library: Path, manner: dict[str, str], way: str) -> Made:
    """Make a server reload; return its log from then on."""
    with private_directory() as directory, PortLease() as lease:
        port = lease.take()
        write(directory, port, library, {})
        d2 = D2(binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
        d2.wait_for_commands()
        d2.wait_for_listener(port)
        before = len(d2.process.stdout())
        wanted = write(directory, port, library, manner)
        answer = None
        if way == "SIGHUP":
            d2.process.send_signal(signal.SIGHUP)
            end = "DCTL_CONFIG_COMPLETE" if manner == ACCEPTED else "DCTL_CFG_FILE_RELOAD_ERROR"
            d2.wait_for_log(end, start=before)
        else:
            given = d2.command(way, wanted if way == "config-set" else None)
            answer = given["result"], given["text"].replace(str(directory), "@DIR@")
        status = d2.stop()
        lines = lines_of(d2.process.stdout()[before:], directory, port)
        return Made(status, lines, lines_of(d2.process.stderr(), directory, port), answer)


def restored(lines: list[str], manner: dict[str, str], way: str) -> list[str]:
    """Return the lines of the real server with those that pyd2's better behaviour brings."""
    if manner == ACCEPTED:
        return lines
    if manner in FAILURES:
        at = next(index for index, line in enumerate(lines) if "DHCP_DDNS_CONFIG_FAIL" in line) + 1
        answered = [] if way == "SIGHUP" else _ANSWERED
        return [*lines[:at], *_RESTORED, *answered, *lines[at:], *_UNLOADED]
    at = next(index for index, line in enumerate(lines) if "context_destroy" in line) + 1
    return [*lines[:at], *_UNLOADED, *_RESTORED, *lines[at:]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("manner", MANNERS, ids=str)
def test_by_a_reload(servers: tuple[str, str], probe_library: Path, manner: dict[str, str], way: str) -> None:
    real, ours = (reload(binary, probe_library, manner, way) for binary in servers)
    assert ours.lines == restored(real.lines, manner, way)
    assert ours._replace(lines=[]) == real._replace(lines=[])
    assert (ours.answer is not None and ours.answer[0] == 0) is (manner == ACCEPTED and way != "SIGHUP")

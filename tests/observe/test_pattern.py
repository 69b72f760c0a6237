"""Patterns, compared with the real server's log files."""

import os
import random
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.messages import Severity
from pyd2.observe.pattern import DEFAULT_PATTERN, DEFAULT_SYSLOG_PATTERN, Layout
from tests.kit.profile import PROFILE
from tests.observe import kea

WRITTEN = [
    DEFAULT_PATTERN, DEFAULT_SYSLOG_PATTERN, "%m%n", "%d %D%n", "%%|100%|%5%m%n",
    "%-8p|%8p|%.2p|%.-2p|%8.2p|%-8.2p|%--7p|%5-p|%n", "%-05p|%05p|%100m%n", "%.3m|%.-3m|%.m|%.xm|%.%m|%m%n",
    "%c{1}|%c{2}|%c{3}|%c{0}|%c{-1}|%c{x}|%c{ 1}|%c{1x}|%c{}|%c%n", "%c{a}b}%n", "%c{|%n", "%p{3}|%m{2}|%n",
    "%F|%L|%l|%M|%b%n", "[%x]|[%X]|[%X{foo}]|%n", "%h|%H|%E{TZ}|%E{NOT_SET_AT_ALL}|%E%n",
    "%D{}|%d{%s}|%D{%H", "%D{%q}|%D{%Q}|%D{%S.%q}|%D{%%q}|%D{%%%q}|%D{%Y %q %q}|%D{%q%q}|%D{q}%n",
    "%D{%Z %z}|%d{%Z %z}|%d{%H}|%D{%H}%n", "%D{%a %b %j %U %e %k %l %G %V %h %c %x %X %% %P %p %r %R %T}%n",
    "%D{%E}|%D{%L}|%D{%f}|%D{%N}|%D{%%}|%D{%-d %_H %-q}%n", "%20D|%-30D|%.5D|%.-4D|%30D{%q}%n",
    "%z|%k|%-%|%n", "%3|%n", "no newline %p", "trailing %", "%", "%5", "%-", "%.", "%.3", "%m%",
    "\\n\t%m%n",
    "%5n|%q|%Q|%s|%n", "%.-p|%.--2p|%.0p|%0p|%-p|%1.1p|%n", "%i|%t|%T|%12i|%.3i|%n", "é%mü%n",
]  # fmt: skip
"""What users write, and every corner that the pattern's grammar has."""


def invented(count: int) -> list[str]:
    """Return patterns put together at random, the same in each run."""
    chance = random.Random(2063)
    pieces = [
        *"%%%%%%%%", *"bcdDhiLlmnptTxX", *"zqk", *"-.0123", *"{}", "{1}", "{2}", "{%H:%M}", "{%q}", " ",
    ]  # fmt: skip
    patterns = ("".join(chance.choices(pieces, k=chance.randint(1, 12))) for _ in range(2 * count))
    # A date format that ends with a lone "%" makes the real server lose the line, for all outputs.
    return [pattern for pattern in patterns if not re.search(r"[dD]\{[^}]*%\}", pattern)][:count]


PATTERNS = WRITTEN + invented(250)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the real server wrote a log file with each of PATTERNS."""
    directory = tmp_path_factory.mktemp("kea")
    outputs = [
        {"output": f"{number}.log", "maxsize": 0, "pattern": pattern}
        for number, pattern in enumerate(PATTERNS)
    ]
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
              "output-options": [kea.reference_output(), *outputs]}  # fmt: skip
    kea.run(directory, [logger], {"TZ": "AEST-10AEDT"})
    return directory


@pytest.fixture
def as_kea(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The messages of the real server; this process then passes for it."""
    messages = kea.read_reference(recorded)
    assert len(messages) > 20
    monkeypatch.setenv("TZ", "AEST-10AEDT")
    time.tzset()
    monkeypatch.setattr(os, "getpid", lambda: int(messages[0]["i"]))
    thread = SimpleNamespace(ident=int(messages[0]["t"]), native_id=int(messages[0]["T"]))
    monkeypatch.setattr(threading, "main_thread", lambda: thread)
    return messages


def render(layout: Layout, message: dict[str, str]) -> str:
    microseconds = int(message["s"]) * 1000000 + int(message["Q"].replace(".", ""))
    now = (microseconds + 0.5) / 1000000
    return layout.writer(message["c"], Severity[message["p"]])(message["m"], now)


@pytest.mark.peers
@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_same_file_as_kea(number: int, recorded: Path, as_kea: list[dict[str, str]]) -> None:
    layout = Layout(PATTERNS[number], 0.0, PROFILE.log.source)
    written = (recorded / f"{number}.log").read_text(encoding="latin-1")
    assert "".join(render(layout, message) for message in as_kea) == written, PATTERNS[number]


def test_time_since_start() -> None:
    line = Layout("%r|%5r", 1000.0).writer("kea-dhcp-ddns", Severity.INFO)
    assert line("", 1000.0) == "0|    0"
    assert line("", 1001.5) == "1500| 1500"


def test_clock_that_goes_back() -> None:
    line = Layout("%d{%H:%M:%S.%q}", 0.0).writer("kea-dhcp-ddns", Severity.INFO)
    assert [line("", now) for now in (61.5, 60.25, 61.5)] == ["00:01:01.500", "00:01:00.250", "00:01:01.500"]


def test_width_counts_bytes() -> None:
    line = Layout("%.3m|%.-3m|%4m|%-4m|", 0.0).writer("kea-dhcp-ddns", Severity.INFO)
    assert line("é", 0.0) == "é|é|  é|é  |"
    cut = line("éé", 0.0).encode("utf-8", "surrogateescape")
    assert cut == b"\xa9\xc3\xa9|\xc3\xa9\xc3|" + "éé|éé|".encode()


def test_lone_percent_in_a_date() -> None:
    line = Layout("%d{%H%}|%m", 0.0).writer("kea-dhcp-ddns", Severity.INFO)
    assert line("text", 0.0) == "00%|text"


def test_a_huge_width_costs_no_memory() -> None:
    line = Layout("%99999999999999999999p", 0.0).writer("kea-dhcp-ddns", Severity.INFO)
    assert len(line("", 0.0)) < 1 << 20


@given(st.text(alphabet="%{}-.0159bcdDmnpqQz \\", max_size=40), st.sampled_from(list(Severity)[:-1]))
def test_any_pattern_compiles(pattern: str, severity: Severity) -> None:
    line = Layout(pattern, 0.0).writer("kea-dhcp-ddns.dctl", severity)
    assert line("text", 1.5) == line("text", 1.5)
    if "%" not in pattern:
        assert line("text", 1.5) == pattern


@given(st.text(), st.floats(0, 4e9))
def test_the_message_is_never_interpreted(message: str, now: float) -> None:
    line = Layout("%p %m%n", 0.0).writer("kea-dhcp-ddns", Severity.WARN)
    assert line(message, now) == f"WARN {message}\n"

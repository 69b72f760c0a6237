"""The commands that begin and end a capture: what they take and answer, and what they leave."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.captures import START, STOP, Captures
from pyd2.config.paths import Directories
from pyd2.control.registry import CommandRegistry
from pyd2.data.element import from_plain
from tests.control.fakes import Lines
from tests.kit import ncr
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyd2.capture.writer import Capture

HOST = ncr.datagram(ncr.request("host.example.com.", "192.0.2.10", ncr.dhcid(b"1", "host.example.com.")))


class Rig:
    """The commands, and the service that they act on."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.log = Lines()
        self.registry = CommandRegistry(self.log)
        self.registry.register_list()
        self.attached: list[tuple[bool, bool, bool]] = []
        self.current: Capture | None = None
        self.captures = Captures(self.registry, self, self.log, Directories("/hooks", str(logs), "/sockets"))

    def capture(self, capture: Capture | None, *, requests: bool = False, updates: bool = False) -> None:
        self.current = capture
        self.attached.append((capture is not None, requests, updates))

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        answer = self.registry.process(from_plain({"command": name, "arguments": named}))
        assert answer is not None
        found = answer.plain()
        assert isinstance(found, dict)
        return found

    def ids(self) -> list[str]:
        return [message_id for message_id in self.log.ids() if message_id.startswith("PYD2_")]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    rig.captures.allow(allowed=True)
    yield rig
    rig.captures.end("the test is over")


def test_the_commands_are_there_only_where_they_are_allowed(rig: Rig) -> None:
    listed = rig.command("list-commands")["arguments"]
    assert {START, STOP} <= set(listed)
    rig.captures.allow(allowed=True)
    rig.captures.allow(allowed=False)
    assert not {START, STOP} & set(rig.command("list-commands")["arguments"])
    assert rig.command(START, file="x")["result"] == 2


@pytest.mark.parametrize(
    ("what", "attached"),
    [
        ("requests", (True, True, False)),
        ("updates", (True, False, True)),
        ("both", (True, True, True)),
    ],
)
def test_a_capture_from_begin_to_end(rig: Rig, what: str, attached: tuple[bool, ...]) -> None:
    answer = rig.command(START, file="d2.capture", what=what)
    path = rig.logs / "d2.capture"
    named = "requests and updates" if what == "both" else what
    assert answer == {"result": 0, "text": f"capturing {named}", "arguments": {"file": str(path)}}
    assert rig.attached == [attached]
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    assert rig.current is not None
    rig.current.note_requests([HOST])
    again = rig.command(START, file="other")
    assert again["text"] == f"a capture into {path} is under way: end it with {STOP}"
    answer = rig.command(STOP)
    assert answer == {
        "result": 0,
        "text": "ended: command pyd2-capture-stop",
        "arguments": {"file": str(path), "lines": 1, "bytes": path.stat().st_size, "lost": 0},
    }
    assert rig.attached == [attached, (False, False, False)]
    assert rig.ids() == ["PYD2_CAPTURE_STARTED", "PYD2_CAPTURE_ENDED"]
    assert rig.command(STOP)["arguments"] == answer["arguments"]  # what the last one was
    assert rig.command(START, file="other")["result"] == 0


def test_one_that_has_ended_by_itself(rig: Rig) -> None:
    rig.command(START, file="d2.capture", max_bytes=1)
    assert rig.current is not None
    capture = rig.current
    capture.note_requests([HOST])
    wait_until(lambda: capture.ended, "its end")
    assert rig.attached[-1] == (False, False, False)
    assert rig.command(STOP)["text"] == "ended: the file has reached max-bytes"


def test_a_configuration_that_does_not_allow_it_ends_it(rig: Rig) -> None:
    rig.command(START, file="d2.capture")
    rig.captures.allow(allowed=False)
    assert rig.current is None
    assert "the configuration no longer allows it" in rig.log.lines[-1][1]


def test_losses_are_a_warning(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.capture.writer.MOST_WAITING", -1)
    rig.command(START, file="d2.capture")
    assert rig.current is not None
    rig.current.note_requests([HOST, HOST])
    assert rig.command(STOP)["arguments"]["lost"] == 2
    assert rig.ids()[-1] == "PYD2_CAPTURE_LOST"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "missing parameter 'file': the name of a new file in the directory of the logs"),
        ({"file": "x", "sekonds": 5}, "unknown parameter 'sekonds'"),
        ({"file": "x", "what": "all"}, "parameter 'what' is 'all': expected requests, updates or both"),
        ({"file": "x", "seconds": 3601}, "parameter 'seconds' is 3601: expected 1 to 3600"),
        ({"file": "x", "max-bytes": 0}, "parameter 'max-bytes' is 0: expected 1 to 1073741824"),
        ({"file": "/etc/x"}, "invalid path specified: '/etc', supported path is 'LOGS'"),
        ({"file": "../x"}, "invalid path specified: '..', supported path is 'LOGS'"),
        ({"file": ""}, "path: '' has no filename"),
        ({"file": "taken"}, "LOGS/taken exists: name a new file"),
        ({"file": "link"}, "LOGS/link exists: name a new file"),
        ({"file": "a\0b"}, "LOGS/a"),
        ({"file": "x" * 300}, "cannot be made: File name too long"),
    ],
)
def test_what_is_refused(rig: Rig, arguments: dict[str, Any], text: str) -> None:
    (rig.logs / "taken").write_text("before")
    (rig.logs / "link").symlink_to("/nonexistent/place")
    answer = rig.registry.process(from_plain({"command": START, "arguments": arguments}))
    assert answer is not None
    found: Any = answer.plain()
    assert found["result"] == 1
    assert text.replace("LOGS", str(rig.logs)) in found["text"]
    assert rig.attached == []
    assert (rig.logs / "taken").read_text() == "before"


@pytest.mark.parametrize(
    "arguments", [[], "x", {"file": 5}, {"file": "x", "seconds": "5"}, {"file": "x", "what": 1}]
)
def test_wrong_types_are_refused(rig: Rig, arguments: Any) -> None:
    answer = rig.registry.process(from_plain({"command": START, "arguments": arguments}))
    assert answer is not None
    found: Any = answer.plain()
    assert found["result"] == 1
    assert rig.attached == []


def test_there_is_nothing_to_end(rig: Rig) -> None:
    assert rig.command(STOP) == {"result": 1, "text": "no capture is under way"}

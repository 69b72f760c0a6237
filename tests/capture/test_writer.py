"""The capture thread: what it writes, when it ends, and what it does when the disk fails."""

from __future__ import annotations

import json
import os
import resource
import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.capture import writer
from pyd2.capture.writer import Capture, Limits, Summary
from tests.faults import disks
from tests.kit import ncr
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOST = ncr.datagram(ncr.request("host.example.com.", "192.0.2.10", ncr.dhcid(b"1", "host.example.com.")))
SERVER = "192.0.2.53:53"


class Rig:
    """A capture into a file."""

    def __init__(
        self, path: Path, seconds: float = 60.0, octets: int = 1 << 20, *, wait: bool = False
    ) -> None:
        self.path = path
        self.summaries: list[Summary] = []
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        self.capture = Capture(file, Limits(seconds, octets), self.summaries.append)
        if not wait:
            self.capture.start()

    def lines(self) -> list[dict[str, Any]]:
        """End it; return what was written."""
        self.capture.end("asked to")
        assert self.capture.ended
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture"


def test_requests_come_with_their_time(path: Path) -> None:
    rig = Rig(path)
    before = time.time()
    rig.capture.note_requests([HOST, b"\x00\x02{}", b"rubbish"])
    found = rig.lines()
    assert [line.get("request") for line in found] == [json.loads(HOST[2:]), None, None]
    assert b64decode(found[1]["datagram"]) == b"\x00\x02{}"
    assert b64decode(found[2]["datagram"]) == b"rubbish"
    assert all(before - 1e-5 <= line["at"] <= time.time() for line in found)
    assert rig.summaries == [Summary(3, path.stat().st_size, 0, "asked to")]
    assert rig.capture.summary == rig.summaries[0]


def test_an_update_has_its_reply(path: Path) -> None:
    rig = Rig(path, wait=True)
    capture = rig.capture
    now = time.time()
    capture.note_update(now, SERVER, 3, b"\x00\x01first")
    capture.note_update(now, SERVER, 3, b"\x00\x02second")
    capture.note_update(now, SERVER, 4, b"\x00\x01third")
    capture.note_update(now, SERVER, 3, b"\x00\x01first")  # it waits for the kernel, and is seen again
    capture.note_replies(SERVER, 3, [b"\x00\x02r2", b"\x00\x09foreign"])
    capture.note_replies("192.0.2.54:53", 3, [b"\x00\x01foreign"])
    capture.note_replies(SERVER, 3, [b"\x00\x01r1", b"\x00\x01again"])
    capture.note_update(now + 1, SERVER, 3, b"\x00\x01later, with the same ID")
    capture.start()
    found = [(b64decode(line["update"])[2:], b64decode(line.get("reply", ""))[2:]) for line in rig.lines()]
    assert found == [
        (b"second", b"r2"),
        (b"first", b"r1"),
        (b"third", b""),
        (b"later, with the same ID", b""),
    ]


def test_a_message_of_the_same_id_replaces_the_one_before(path: Path) -> None:
    rig = Rig(path)
    rig.capture.note_update(time.time(), SERVER, 3, b"\x00\x01first")
    rig.capture.note_update(time.time(), SERVER, 3, b"\x00\x01second")
    rig.capture.note_replies(SERVER, 3, [b"\x00\x01reply"])
    first, second = rig.lines()
    assert b64decode(first["update"]) == b"\x00\x01first"
    assert "reply" not in first
    assert b64decode(second["reply"]) == b"\x00\x01reply"
    assert second["server"] == SERVER
    assert second["ms"] >= 0


def test_updates_without_a_reply_are_written_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_OPEN", 2)
    rig = Rig(path)
    rig.capture.note_update(time.time() - 61, SERVER, 0, b"\x00\x01old")
    wait_until(lambda: path.read_bytes().count(b"\n") == 1, "the old one is written")
    for number in range(2, 6):
        rig.capture.note_update(time.time(), SERVER, 0, b"\x00%c" % number)
    wait_until(lambda: path.read_bytes().count(b"\n") == 3, "those beyond the limit are written")
    assert len(rig.lines()) == 5


def test_it_ends_when_its_time_is_up(path: Path) -> None:
    rig = Rig(path, seconds=0.01)
    wait_until(lambda: rig.capture.ended, "its end")
    assert rig.summaries == [Summary(0, 0, 0, "its time is up")]
    rig.capture.note_requests([HOST])  # too late, and harmless
    assert rig.lines() == []


def test_it_ends_when_the_file_is_full(path: Path) -> None:
    rig = Rig(path, octets=1000, wait=True)
    rig.capture.note_requests([HOST] * 20)
    rig.capture.note_update(time.time(), SERVER, 0, b"\x00\x01")
    rig.capture.start()
    wait_until(lambda: rig.capture.ended, "its end")
    (summary,) = rig.summaries
    assert summary.reason == "the file has reached max-bytes"
    assert 0 < summary.octets == path.stat().st_size <= 1000
    assert summary.lines == len(rig.lines()) < 20


def test_what_the_disk_cannot_take_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 3 * len(HOST))
    rig = Rig(path, wait=True)
    rig.capture.note_requests([HOST] * 10)
    rig.capture.start()
    assert len(rig.lines()) == 4
    assert rig.summaries[0].lost == 6


def test_a_disk_that_fails_ends_it() -> None:
    summaries: list[Summary] = []
    capture = Capture(os.open("/dev/full", os.O_WRONLY), Limits(60, 1 << 20), summaries.append)
    capture.start()
    capture.note_requests([HOST])
    wait_until(lambda: capture.ended, "its end")
    assert summaries[0].reason == "the file cannot be written: No space left on device"


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with disks.small_disk(place, 8192) as mounted:
        rig = Rig(place / "capture", wait=True)
        rig.capture.note_requests([HOST] * 100)
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        try:
            rig.capture.start()
            wait_until(lambda: rig.capture.ended, "its end")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        (summary,) = rig.summaries
        assert summary.reason.startswith("the file cannot be written: ")
        assert len(rig.lines()) == summary.lines > 10
        assert rig.path.stat().st_size == summary.octets <= 8192


def test_a_fault_of_ours_ends_it_and_nothing_else(path: Path) -> None:
    rig = Rig(path)
    rig.capture._waiting.append(None)  # type: ignore[arg-type]
    wait_until(lambda: rig.capture.ended, "its end")
    assert "an internal error: Traceback" in rig.summaries[0].reason

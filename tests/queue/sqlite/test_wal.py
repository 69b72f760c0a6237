"""A WAL with a damaged frame: SQLite leaves out all commits behind it, and says nothing."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.queue.interface import StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER, wal
from pyd2.queue.sqlite.store import Store
from pyd2.tools.cli import main
from tests.queue.played import Daemon, in_file, names, play
from tests.queue.sqlite.test_store import copied, entries

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER, FRAME = 32, 24
PAGE = 8192


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A queue as a kill has left it: 40 commits of a request each in the WAL."""
    made, queue = tmp_path / "made", tmp_path / "queue"
    made.mkdir()
    queue.mkdir()
    store = Store(str(made))
    for number in range(1, 41):
        store.write(entries(number))
    copied(str(made), queue)
    store.close()
    return queue


def wal_of(queue: Path) -> Path:
    return Path(f"{queue / DATABASE}-wal")


def flip(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 4
    path.write_bytes(octets)


def frame_with(path: Path, text: bytes) -> int:
    """Return where the first frame begins that has a text."""
    at = path.read_bytes().index(text)
    return (at - HEADER) // (FRAME + PAGE) * (FRAME + PAGE) + HEADER


def test_a_whole_wal_is_whole(killed: Path) -> None:
    steps = []
    assert wal.examine(wal_of(killed), lambda: steps.append(1)) == ""
    assert len(steps) >= 40
    before = wal_of(killed).read_bytes()
    wal.mend(wal_of(killed))
    assert wal_of(killed).read_bytes() == before[: len(wal_of(killed).read_bytes())]


@pytest.mark.parametrize("where", ["page", "page number", "salt", "checksum"])
def test_commits_behind_a_damaged_frame_go_on(killed: Path, where: str) -> None:
    """94 of 100 requests were gone, without a message."""
    frame = frame_with(wal_of(killed), b"7" + b"." * 299)
    flip(wal_of(killed), frame + {"page": FRAME + 100, "page number": 3, "salt": 9, "checksum": 18}[where])
    with pytest.raises(StoreError) as raised:
        wal.examine(wal_of(killed), lambda: None)
    assert raised.value.damaged
    verdict = str(raised.value)
    found = re.search(r": frame (\d+) is damaged or missing, and SQLite leaves out all that foll", verdict)
    assert found is not None
    assert 6 <= int(found[1]) <= 20

    async def scene(daemon: Daemon) -> None:
        daemon.use(killed)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert verdict in text
        assert f"{killed / FOLDER}.aside-1" in text
        await daemon.until(lambda: len(daemon.begun) >= 39)

    play(scene)
    assert len(in_file(killed)) >= 39
    assert wal_of(killed / "x").name in {path.name for path in (killed / f"{FOLDER}.aside-1").iterdir()}


def test_a_last_commit_that_is_damaged_may_never_have_been_acknowledged(killed: Path) -> None:
    octets = wal_of(killed).read_bytes()
    last = len(octets) - (len(octets) - HEADER) % (FRAME + PAGE) - PAGE
    flip(wal_of(killed), last + 50)

    async def scene(daemon: Daemon) -> None:
        daemon.use(killed)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        (text,) = daemon.log.texts("PYD2_QUEUE_TORN")
        assert f"{wal_of(killed)}: frame " in text
        await daemon.until(lambda: len(daemon.begun) == 39)

    play(scene)


@pytest.mark.parametrize("way", ["cut", "zeros"])
def test_an_end_that_was_not_written_is_no_fault(killed: Path, way: str) -> None:
    """A kill within a commit: its last frames are missing, among them the one that commits."""
    octets = wal_of(killed).read_bytes()
    last = HEADER + ((len(octets) - HEADER) // (FRAME + PAGE) - 1) * (FRAME + PAGE)
    wal_of(killed).write_bytes(octets[:last] + (b"" if way == "cut" else bytes(len(octets) - last)))
    assert wal.examine(wal_of(killed), lambda: None) == ""


@pytest.mark.parametrize("at", [0, 5, 10, 17, 25])
def test_a_damaged_header_costs_nothing(killed: Path, at: int) -> None:
    """SQLite leaves out the whole WAL then."""
    flip(wal_of(killed), at)

    async def scene(daemon: Daemon) -> None:
        daemon.use(killed)
        await daemon.until_logged("PYD2_QUEUE_SET_ASIDE")
        await daemon.until(lambda: len(daemon.begun) == 40)

    play(scene)


@pytest.mark.parametrize("where", ["page", "salt", "checksum", "missing"])
def test_the_last_commit_goes_on_where_a_kill_has_left_the_index(tmp_path: Path, where: str) -> None:
    """A commit whose salt was flipped looked like what an earlier cycle has left."""
    made, queue = tmp_path / "made", tmp_path / "queue"
    made.mkdir()
    store = Store(str(made), own=True)
    for number in range(1, 4):
        store.write(entries(number))
    shutil.copytree(made, queue)
    store.close()
    size = wal_of(queue).stat().st_size
    last = size - FRAME - PAGE
    if where == "missing":
        os.truncate(wal_of(queue), last)
    else:
        flip(wal_of(queue), last + {"page": FRAME + PAGE - 100, "salt": 9, "checksum": 18}[where])

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        await daemon.until_logged("PYD2_QUEUE_SET_ASIDE")
        await daemon.until(lambda: len(daemon.begun) >= (2 if where in ("page", "missing") else 3))

    play(scene)


@pytest.mark.parametrize("action", [["count"], ["remove", "--all"]])
def test_what_the_tool_does_after_a_kill_does_not_look_like_a_loss(tmp_path: Path, action: list[str]) -> None:
    made, queue = tmp_path / "made", tmp_path / "queue"
    made.mkdir()
    store = Store(str(made), own=True)
    store.write(entries(1, 2))
    shutil.copytree(made, queue)
    store.close()
    assert main(["queue", action[0], str(queue), *action[1:]]) == 0
    assert wal_of(queue).exists() is (action == ["count"])
    with Store(str(queue), own=True) as store:
        assert len(store.read()) == (2 if action == ["count"] else 0)


@pytest.mark.parametrize("action", ["requeue", "remove", "move", "move to it"])
def test_the_tool_does_not_open_what_sqlite_would_not_read_to_its_end(
    killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    """All behind the damaged frame was gone then, without a word, and the daemon could not tell either."""
    other = tmp_path / "other"
    other.mkdir()
    Store(str(other)).close()
    flip(wal_of(killed), frame_with(wal_of(killed), b"7" + b"." * 299) + FRAME + 100)
    before = wal_of(killed).read_bytes()
    it, the_other = str(killed), str(other)
    arguments = {"requeue": [it, "--all"], "remove": [it, "--all"], "move": [it, the_other],
                 "move to it": [the_other, it]}[action]
    assert main(["queue", action.partition(" ")[0], *arguments]) == 1
    said = capsys.readouterr().err
    assert "SQLite leaves out all that follows" in said
    assert "Start the daemon" in said
    assert wal_of(killed).read_bytes() == before


def test_the_tool_shows_all_that_can_be_read_of_a_file_that_was_set_aside(
    killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It left out what SQLite leaves out: whoever compared could not know what the file holds."""
    flip(wal_of(killed), frame_with(wal_of(killed), b"7" + b"." * 299) + FRAME + 100)
    aside = killed / f"{FOLDER}.aside-1"
    (killed / FOLDER).rename(aside)
    assert main(["queue", "count", str(aside)]) == 0
    printed = capsys.readouterr()
    assert "SQLite leaves out all that follows; what can be read follows" in printed.err
    assert int(printed.out.split()[0]) >= 39


@pytest.mark.parametrize("octets", [b"", b"x" * 31, struct.pack(">8I", 0x377F0682, *[0] * 7), bytes(99999)])
def test_what_is_no_wal_is_left_to_sqlite(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "wal"
    assert wal.examine(path, lambda: None) == ""
    path.write_bytes(octets)
    assert wal.examine(path, lambda: None) == ""


@pytest.mark.parametrize("left", [None, 0, HEADER + 10 * (FRAME + PAGE)])
def test_a_wal_that_is_missing_or_cut_after_a_kill_is_reported(tmp_path: Path, left: int | None) -> None:
    """Its requests were gone, without a word."""
    there = tmp_path / "copy"
    queue = tmp_path / "queue"

    async def before(daemon: Daemon) -> None:
        daemon.use(queue)
        for number in range(20):
            daemon.queue.accept(names(number))
            await daemon.until_begun(*names(number))
        shutil.copytree(queue, there)  # what a kill leaves

    async def after(daemon: Daemon) -> None:
        daemon.use(there)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert (f"{wal_of(there)}: frame " if left else f"{wal_of(there)} was removed after") in text

    async def clean(daemon: Daemon) -> None:
        daemon.use(queue)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(before)
    if left is None:
        wal_of(there).unlink()
    else:
        os.truncate(wal_of(there), left)
    play(after)
    play(clean)


def test_nothing_wrong_goes_on_whatever_octet_is_damaged(killed: Path, tmp_path: Path) -> None:
    """What is missing is reported: one row, or when a page's number is damaged the rows of another page."""
    chance = random.Random(7)
    right = {entry.datagram for entry in entries(*range(1, 41))}
    size = wal_of(killed).stat().st_size
    for turn in range(25):
        queue = tmp_path / f"turn{turn}"
        queue.mkdir()
        copied(str(killed), queue)
        flip(wal_of(queue), chance.randrange(HEADER, size))

        async def scene(daemon: Daemon) -> None:
            daemon.use(queue)  # noqa: B023
            await daemon.until_logged("PYD2_QUEUE_OPENED")
            await daemon.until(lambda: not daemon.queue.busy)
            assert set(daemon.begun) <= right
            reported = {"PYD2_QUEUE_SET_ASIDE", "PYD2_QUEUE_TORN"} & set(daemon.log.ids)
            assert len(daemon.begun) == 40 or reported
            assert len(daemon.begun) >= 40 - PAGE // 350

        play(scene)


def test_a_database_goes_on_after_a_mend(killed: Path, tmp_path: Path) -> None:
    run: Callable[..., None] = play

    async def scene(daemon: Daemon) -> None:
        daemon.use(killed)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))

    flip(wal_of(killed), frame_with(wal_of(killed), b"20" + b"." * 298) + FRAME + 500)
    run(scene)
    assert b"request 1" in in_file(killed)

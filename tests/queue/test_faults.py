"""Faults of the disk: no request waits for it in vain, and the file catches up."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.queue import lifecycle
from pyd2.queue.interface import DeadLetter, Entries, Held, InUseError, StoreError
from pyd2.queue.ncrs import REASON
from pyd2.queue.sqlite import DATABASE
from pyd2.queue.sqlite.database import VERSION
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.store import Change, Store
from pyd2.queue.sqlite.writer import Writer
from tests.kit import ncr
from tests.queue.played import TIMEOUT, Daemon, fill, gated, in_file, names, play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyd2.queue.interface import Entry, Identity


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", (0.02,))


def test_a_directory_that_cannot_be_used_costs_no_request(tmp_path: Path) -> None:
    """It appears later; then all that waits is written."""
    directory = tmp_path / "absent" / "queue"

    async def scene(daemon: Daemon) -> None:
        daemon.use(directory)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        assert daemon.log.ids == ["PYD2_QUEUE_FAILED"]
        status = daemon.queue.status(0)
        assert status is not None
        assert str(status["state"]).startswith("memory only: ")
        daemon.queue.accept(names(3))
        assert list(daemon.begun) == names(1, 2, 3)
        daemon.end(*names(1))
        directory.parent.mkdir()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(directory) == names(2, 3)
        daemon.queue.accept(names(4))
        assert b"request 4" not in daemon.begun
        await daemon.until_begun(*names(4))
        assert daemon.log.ids == ["PYD2_QUEUE_FAILED", "PYD2_QUEUE_RESUMED"]

    play(scene)


class _Sick:
    """Makes a store's commits fail while it is sick; ``before`` is called first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = 0
        self.before: Callable[[], None] = lambda: None
        healthy = Store._change

        def change(store: Store, rows: list[Change]) -> None:
            if self.code and any(row.octets for row in rows):
                self.before()
                error = sqlite3.OperationalError("sick")
                error.sqlite_errorcode = self.code
                with store._db.failing():
                    raise error
            healthy(store, rows)

        monkeypatch.setattr(Store, "_change", change)


def test_a_full_disk_costs_no_request_and_what_is_done_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = _Sick(monkeypatch)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2, 3))
        await daemon.until_begun(*names(1, 2, 3))
        sick.code = sqlite3.SQLITE_FULL
        daemon.end(*names(1))
        daemon.queue.accept(names(4))
        await daemon.until_begun(*names(4))
        await daemon.until(lambda: in_file(tmp_path) == names(2, 3))
        daemon.end(*names(2))
        daemon.queue.accept(names(5))
        await daemon.until(lambda: in_file(tmp_path) == names(3))
        sick.code = 0
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(tmp_path) == names(3, 4, 5)
        (text,) = daemon.log.texts("PYD2_QUEUE_FAILED")
        failure = f"{tmp_path / DATABASE}: sick (free some space there)."
        assert f"the durable queue does not work: {failure}" in text

    play(scene)


def test_what_ends_and_comes_while_the_file_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = _Sick(monkeypatch)
    gate, waiting = threading.Event(), threading.Event()
    reconcile = Store.reconcile

    def slow(store: Store, entries: Sequence[Entry], dead: Sequence[DeadLetter]) -> None:
        waiting.set()
        assert gate.wait(TIMEOUT)
        reconcile(store, entries, dead)

    monkeypatch.setattr(Store, "reconcile", slow)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        sick.code = sqlite3.SQLITE_IOERR
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        sick.code = 0
        await daemon.until(waiting.is_set)
        daemon.end(*names(1))
        daemon.queue.accept(names(3, 4))
        assert list(daemon.begun) == names(2, 3, 4)
        daemon.end(*names(3))
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until(lambda: in_file(tmp_path) == names(2, 4))

    play(scene)


def test_a_stop_while_requests_are_handed_over_writes_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that all were lost: those that were handed over last were written twice, which is refused."""
    sick = _Sick(monkeypatch)
    gate, waiting = threading.Event(), threading.Event()
    reconcile, tell, restored = Store.reconcile, Writer._tell, lifecycle.Lifecycle.restored
    came = names(*range(3, 6000))

    def slow(store: Store, entries: Sequence[Entry], dead: Sequence[DeadLetter]) -> None:
        waiting.set()
        assert gate.wait(TIMEOUT)
        reconcile(store, entries, dead)

    def tell_and_wait(writer: Writer, method: Callable[..., None], *arguments: object) -> None:
        tell(writer, method, *arguments)
        end = time.monotonic() + TIMEOUT
        while method.__name__ == "stopped" and not writer.closing and time.monotonic() < end:
            time.sleep(0.001)

    async def scene(daemon: Daemon) -> None:
        def stopped(life: lifecycle.Lifecycle, identity: Identity) -> None:
            restored(life, identity)
            assert not life.mirrored  # there is more to hand over
            daemon.queue.close()

        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        sick.code = sqlite3.SQLITE_IOERR
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        sick.code = 0
        monkeypatch.setattr(Store, "reconcile", slow)
        monkeypatch.setattr(Writer, "_tell", tell_and_wait)
        monkeypatch.setattr(lifecycle.Lifecycle, "restored", stopped)
        await daemon.until(waiting.is_set)
        daemon.queue.accept(came)
        gate.set()
        await daemon.until(lambda: daemon.queue.status(0) is None)
        assert daemon.log.ids[-1] == "PYD2_QUEUE_KEPT"

    play(scene)
    assert in_file(tmp_path) == names(1, 2) + came


def test_a_disk_that_does_not_answer_costs_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gated(monkeypatch, "write")
    gate.set()
    monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.05)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        gate.clear()
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(2))
        assert "the disk has not answered for 0.05 seconds" in daemon.log.texts("PYD2_QUEUE_FAILED")[0]
        daemon.queue.accept(names(3))
        daemon.end(*names(1))
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until(lambda: in_file(tmp_path) == names(2, 3))

    play(scene)


@pytest.mark.parametrize("what", ["the directory", "the file", "another file in its place"])
def test_a_file_that_is_gone_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """SQLite would go on writing to a file without a name; a second daemon would not see the lock."""
    monkeypatch.setattr("pyd2.queue.sqlite.writer.HOUSE_SECONDS", 0.01)
    folder = tmp_path / "queue"

    async def scene(daemon: Daemon) -> None:
        daemon.use(folder)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        if what == "the directory":
            shutil.rmtree(folder)
        else:
            (folder / DATABASE).unlink()
        if what == "another file in its place":
            Store(str(folder)).close()
        daemon.end(*names(1))
        daemon.queue.accept(names(3))
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until(lambda: in_file(folder) == names(2, 3))
        assert daemon.log.ids.count("PYD2_QUEUE_FAILED") == 1
        assert str(folder / DATABASE) in daemon.log.texts("PYD2_QUEUE_FAILED")[0]
        with pytest.raises(InUseError):
            DirectoryLock(str(folder))

    play(scene)


def test_a_damaged_file_is_set_aside_and_what_can_be_read_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, *names(1, 2, 3))
    path = tmp_path / DATABASE
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"request 2") + 1] ^= 1
    path.write_bytes(octets)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_begun(*names(1, 3))
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert f"it was renamed to {path.parent}.aside-1" in text
        assert "2 requests could be read" in text
        assert in_file(tmp_path) == names(1, 3)
        daemon.queue.accept(names(4))
        await daemon.until_begun(*names(4))
        assert in_file(tmp_path) == names(1, 3, 4)

    play(scene)


def test_a_file_that_gets_damaged_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sick = _Sick(monkeypatch)

    def damage() -> None:
        sick.code = 0
        for name in (DATABASE, f"{DATABASE}-wal"):
            (tmp_path / name).write_bytes(b"damaged " * 4096)

    sick.before = damage

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        sick.code = sqlite3.SQLITE_CORRUPT
        daemon.queue.accept(names(3))
        await daemon.until_begun(*names(3))
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(tmp_path) == names(1, 2, 3)
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED", "PYD2_QUEUE_FAILED", "PYD2_QUEUE_SET_ASIDE",
                                  "PYD2_QUEUE_RESUMED"]  # fmt: skip

    play(scene)


def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    fill(tmp_path, *names(1))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / DATABASE).read_bytes()

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(2))
        (text,) = daemon.log.texts("PYD2_QUEUE_FAILED")
        assert f"has version {VERSION + 1}, and this pyd2 knows {VERSION}" in text
        assert (tmp_path / DATABASE).read_bytes() == before
        (tmp_path / DATABASE).rename(tmp_path / "moved")
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(tmp_path) == names(2)
        assert daemon.log.ids == ["PYD2_QUEUE_FAILED", "PYD2_QUEUE_SET_ASIDE", "PYD2_QUEUE_RESUMED"]

    play(scene)


def test_a_file_that_could_not_be_read_at_the_start_goes_on_when_it_can(tmp_path: Path) -> None:
    """But for requests of clients that had a newer one meanwhile."""
    host1, host2 = (ncr.request(f"host{n}.example.com.", "192.0.2.1", ncr.dhcid(b"client", f"{n}"))
                    for n in (1, 2))
    old1, old2, newer1 = map(ncr.datagram, (host1, host2, {**host1, "lease-length": 99}))
    fill(tmp_path, old1, old2)
    (tmp_path / DATABASE).rename(tmp_path / "hidden")
    (tmp_path / DATABASE).symlink_to(DATABASE)  # to itself: not to be opened, and replaced in one step

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept([newer1])
        await daemon.until_begun(newer1)
        daemon.end(newer1)
        (tmp_path / "hidden").replace(tmp_path / DATABASE)
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(tmp_path) == [old2]
        assert list(daemon.begun) == [old2]
        (text,) = daemon.log.texts("PYD2_QUEUE_LATE")
        assert f"{tmp_path / DATABASE} could be read only now: 1 of its requests are processed, and" in text

    play(scene)
    with closing(Store(str(tmp_path))) as store:
        (dead_letter,) = store.read_dead()
    assert (dead_letter.datagram, dead_letter.reason) == (old1, REASON)


def test_leaving_while_the_file_does_not_work_is_said(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path / "absent" / "queue")
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        daemon.queue.close()
        assert len(daemon.log.texts("PYD2_QUEUE_LOST")) == 1

    play(scene)


def test_a_damaged_dead_letter_is_reported_at_the_start_and_the_others_stay(tmp_path: Path) -> None:
    """It stayed in the file without a message, until a command asked for the dead letters and got none."""
    fill(tmp_path, *names(1))
    store = Store(str(tmp_path))
    store.write([], [], [DeadLetter(0, 1.0, 2.0, "REFUSED", datagram) for datagram in names(7, 8)])
    store.close()
    database = tmp_path / DATABASE
    database.write_bytes(database.read_bytes().replace(b"request 7", b"REQUEST 7"))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_begun(*names(1))
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert "dead letter 1 is damaged" in text

    play(scene)
    store = Store(str(tmp_path), read_only=True)
    assert [dead_letter.datagram for dead_letter in store.read_dead()] == names(8)
    store.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_stop_behind_an_answer_to_the_file_keeps_what_came_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """The thread had asked what the file is to hold, and a request came before it had read the answer.

    The file got what the answer said, and the message that all is kept counted the request, too. ``fails``:
    what the thread does with the answer fails; then all is tried once more.
    """
    sick = _Sick(monkeypatch)
    left = 2 if fails else 1
    ask = Writer._ask

    def fail() -> None:
        nonlocal left
        left -= 1
        if not left:
            sick.code = 0

    def ask_and_wait(writer: Writer, method: Callable[[int], object], argument: int) -> object:
        answer = ask(writer, method, argument)
        end = time.monotonic() + TIMEOUT
        while method.__name__ == "ready" and not writer.closing and time.monotonic() < end:
            time.sleep(0.001)
        return answer

    async def scene(daemon: Daemon) -> None:
        ready = daemon.queue._lifecycle.ready
        answered = threading.Event()

        def answer(after: int) -> object:
            answered.set()
            return ready(after)

        answer.__name__ = "ready"
        monkeypatch.setattr(daemon.queue._lifecycle, "ready", answer)
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        monkeypatch.setattr(Writer, "_ask", ask_and_wait)
        sick.code, sick.before = sqlite3.SQLITE_IOERR, fail
        daemon.queue.accept(names(1))
        await daemon.until(answered.is_set, "the thread to ask")
        daemon.queue.accept(names(2))
        daemon.queue.close()
        assert daemon.log.texts("PYD2_QUEUE_KEPT")[0].startswith("stopping with 2 requests")

    play(scene)
    assert in_file(tmp_path) == names(1, 2)


def test_a_stop_tries_once_more_what_goes_behind_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try wrote all but that, and said that the file holds all."""
    commit, failures = Writer._commit, [StoreError("sick")]

    def fail_once(writer: Writer, store: Store, changes: Any) -> None:
        if failures:
            raise failures.pop()
        commit(writer, store, changes)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        life = daemon.queue._lifecycle
        assert life.store is not None
        assert life._known is not None
        monkeypatch.setattr(Writer, "_commit", fail_once)
        held = Held(Entries([7], [1.0], names(1)), [], True)
        assert life.store.close(TIMEOUT, (life._known, held), names(2))
        assert not failures

    play(scene)
    assert in_file(tmp_path) == names(1, 2)


def test_a_stop_says_that_dead_letters_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sick = _Sick(monkeypatch)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        sick.code = sqlite3.SQLITE_IOERR
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(2))
        daemon.queue.done([daemon.begun[b"request 1"]], {daemon.begun[b"request 1"]: "REFUSED"})
        daemon.queue.close()
        assert ": 2 requests are lost" in daemon.log.texts("PYD2_QUEUE_LOST")[0]

    play(scene)


def test_a_stop_says_that_a_file_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to write, the last look was up to a second old: the message named a file that was gone."""
    monkeypatch.setattr("pyd2.queue.sqlite.writer.HOUSE_SECONDS", 3600.0)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        (tmp_path / DATABASE).unlink()
        daemon.queue.close()
        assert ": 2 requests are lost" in daemon.log.texts("PYD2_QUEUE_LOST")[0]

    play(scene)

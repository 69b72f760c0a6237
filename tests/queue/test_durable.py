"""The durable queue between a listener and an engine that are played: what may begin, and what comes back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.ncr import decode
from pyd2.queue.interface import DeadLetter, InUseError
from pyd2.queue.sqlite import DATABASE
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.store import Store
from pyd2.update.output import Amendment
from tests.kit import ncr
from tests.queue.played import Daemon, fill, in_file, names, play

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def test_without_it_requests_pass_at_once() -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(None)
        daemon.queue.accept(names(1, 2))
        assert list(daemon.begun.items()) == [(b"request 1", 0), (b"request 2", 0)]
        assert daemon.queue.status(0.0) is None
        assert not daemon.log.ids

    play(scene)


def test_a_request_begins_when_it_is_on_the_disk(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        def watch(datagram: bytes) -> None:
            assert datagram in in_file(tmp_path)

        daemon.watch = watch
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2))
        assert not daemon.begun
        await daemon.until_begun(*names(1, 2))
        daemon.queue.accept(names(3))
        assert b"request 3" not in daemon.begun
        await daemon.until_begun(*names(3))
        assert list(daemon.begun) == names(1, 2, 3)
        assert not daemon.queue.busy
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(scene)


def test_what_is_done_is_removed(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2, 3))
        await daemon.until_begun(*names(1, 2, 3))
        daemon.end(*names(2))
        await daemon.until(lambda: in_file(tmp_path) == names(1, 3))
        status = daemon.queue.status(1e12)
        assert status is not None
        assert (status["state"], status["entries"]) == ("in use", 2)
        daemon.end(*names(1, 3))
        await daemon.until(lambda: in_file(tmp_path) == [])

    play(scene)


def test_a_start_goes_on_in_the_old_order(tmp_path: Path) -> None:
    fill(tmp_path, *names(*range(1000)))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1000))
        await daemon.until_begun(*names(*range(1001)))
        assert list(daemon.begun) == names(*range(1001))
        assert daemon.log.texts("PYD2_QUEUE_OPENED")[0].endswith("is in use and holds 1000 requests")
        daemon.end(*names(*range(990)))

    play(scene)
    assert in_file(tmp_path) == names(*range(990, 1001))


def test_the_end_writes_what_was_taken_and_says_how_much_is_left(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept(names(1, 2))
        daemon.queue.close()
        (text,) = daemon.log.texts("PYD2_QUEUE_KEPT")
        assert text.startswith("stopping with 2 requests that are not processed; they are in "
                               f"{tmp_path / DATABASE}")

    play(scene)
    assert in_file(tmp_path) == names(1, 2)
    DirectoryLock(str(tmp_path)).release()


def test_more_than_the_limit_is_counted_and_logged_once(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path, max_entries=10)
        daemon.queue.accept(names(*range(8)))
        daemon.queue.accept(names(*range(8, 13)))
        daemon.queue.accept(names(13))
        await daemon.until_begun(*names(*range(10)))
        assert daemon.counters.queue_full.value == 4
        # The engine, which counts all others, never sees these.
        assert (daemon.counters.tally.received, daemon.counters.tally.lost) == (4, 4)
        assert daemon.log.ids.count("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL") == 1
        daemon.end(*names(0))
        assert "DHCP_DDNS_QUEUE_MGR_RESUMING" not in daemon.log.ids
        daemon.end(*names(1))
        assert daemon.log.ids.count("DHCP_DDNS_QUEUE_MGR_RESUMING") == 1
        daemon.queue.accept(names(14))
        await daemon.until_begun(*names(14))

    play(scene)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    lock = DirectoryLock(str(tmp_path))

    async def scene(daemon: Daemon) -> None:
        with pytest.raises(InUseError, match=f"is in use by process {os.getpid()}"):
            daemon.queue.claim(QueueSwitches("durable", str(tmp_path)))

    play(scene)
    lock.release()


def test_a_claim_is_taken_back(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.queue.claim(QueueSwitches("durable", str(tmp_path)))
        daemon.queue.unclaim()
        DirectoryLock(str(tmp_path)).release()

    play(scene)


# Reconfigurations.


def test_from_memory_to_disk_and_back(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(None)
        daemon.queue.accept(names(1))
        daemon.use(tmp_path)
        daemon.queue.accept(names(2, 3))
        await daemon.until_begun(*names(2, 3))
        daemon.use(None)
        daemon.queue.accept(names(4))
        assert list(daemon.begun) == names(1, 2, 3, 4)
        assert in_file(tmp_path) == names(2, 3)
        daemon.end(*names(1, 2, 4))
        await daemon.until(lambda: in_file(tmp_path) == names(3))
        daemon.use(tmp_path)
        daemon.queue.accept(names(5))
        await daemon.until_begun(*names(5))
        assert in_file(tmp_path) == names(3, 5)
        daemon.use(None)
        daemon.end(*names(3, 5))
        daemon.use(tmp_path)
        daemon.queue.accept(names(6))
        await daemon.until_begun(*names(6))
        assert in_file(tmp_path) == names(6)

    play(scene)


def test_to_memory_while_requests_wait_for_the_disk(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept(names(1, 2))
        daemon.use(None)
        daemon.queue.accept(names(3))
        assert list(daemon.begun) == names(1, 2, 3)
        daemon.end(*names(1, 2))
        await daemon.until_logged("PYD2_QUEUE_CLOSED")
        assert daemon.queue.status(0) is None
        assert "PYD2_QUEUE_RETIRED" in daemon.log.ids
        assert daemon.log.texts("PYD2_QUEUE_CLOSED")[0].startswith(f"durable queue {tmp_path / DATABASE} ")

    play(scene)


def test_what_fails_for_good_becomes_a_dead_letter(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept(names(1, 2, 3))
        await daemon.until(lambda: len(daemon.begun) == 3)
        daemon.queue.done([1, 2], {2: "REFUSED"})
        await daemon.until(lambda: len(in_file(tmp_path)) == 1)
        # The thread counts them behind its commit.
        await daemon.until(lambda: (daemon.queue.status(0.0) or {}).get("dead-letters") == 1)

    play(scene)
    store = Store(str(tmp_path))
    (dead_letter,) = store.read_dead()
    store.close()
    assert (dead_letter.reason, dead_letter.datagram) == ("REFUSED", b"request 2")


def test_a_dead_letter_is_kept_while_the_queue_has_no_place_for_its_request(tmp_path: Path) -> None:
    """Tried again, it was lost: it went, and its request was turned away."""
    with Store(str(tmp_path)) as store:
        store.write([], [], [DeadLetter(0, 1.0, 2.0, "REFUSED", datagram) for datagram in names(7, 8)])

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path, max_entries=3)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        dead = [DeadLetter(number, 1.0, 2.0, "REFUSED", datagram)
                for number, datagram in enumerate(names(7, 8), 1)]
        assert daemon.queue.remove_dead(dead, again=True) == "its limit allows 1 more requests, not 2"
        assert daemon.counters.tally.lost == 0
        assert daemon.queue.remove_dead(dead[:1], again=True) == ""
        await daemon.until_begun(*names(1, 2, 7))

    play(scene)
    with Store(str(tmp_path)) as store:
        assert [entry.datagram for entry in store.read()] == names(1, 2, 7)
        assert [dead.datagram for dead in store.read_dead()] == names(8)


def test_a_request_goes_on_with_what_is_left_of_it(tmp_path: Path) -> None:
    """Its forward change is made; a restart must not make it again, for newer ones may have followed."""
    name = "host.example.com."
    octets = ncr.datagram(ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name)))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.queue.accept([octets, *names(2)])
        await daemon.until(lambda: len(daemon.begun) == 2)
        changes = [Amendment(1, forward=False, reverse=True), Amendment(99, forward=True, reverse=False)]
        daemon.queue.amend(changes)
        daemon.end(*names(2))
        await daemon.until(lambda: len(in_file(tmp_path)) == 1)

    play(scene)
    (left,) = in_file(tmp_path)
    assert decode(left).text() == decode(octets).without_forward().text()


def test_many_that_waited_for_the_file_begin_in_parts_and_in_their_order(tmp_path: Path) -> None:
    """All at once they would hold the update thread."""
    fill(tmp_path, *names(*range(10)))
    late: list[bytes] = []

    async def scene(daemon: Daemon) -> None:
        parts: list[int] = []
        begin = daemon.queue._begin

        def counted(datagrams: Sequence[bytes]) -> None:
            parts.append(len(datagrams))
            begin(datagrams)
            if len(parts) == 2:
                late.extend(names(*range(5010, 5020)))
                daemon.queue.accept(late)

        daemon.queue._begin = counted  # type: ignore[method-assign]
        daemon.use(tmp_path)
        daemon.queue.accept(names(*range(10, 5010)))
        await daemon.until_begun(*names(*range(5020)))
        assert list(daemon.begun) == names(*range(5020))
        assert parts == [1024, 1024, 1024, 1024, 914]

    play(scene)
    assert in_file(tmp_path) == names(*range(5020))


@pytest.mark.parametrize("failing", [1, 2, 5])
def test_a_fault_in_one_part_leaves_the_others_to_begin(tmp_path: Path, failing: int) -> None:
    faults: list[str] = []

    async def scene(daemon: Daemon) -> None:
        parts: list[Sequence[bytes]] = []
        begin = daemon.queue._begin

        def fail_once(datagrams: Sequence[bytes]) -> None:
            parts.append(datagrams)
            if len(parts) == failing:
                raise RuntimeError("internal error")
            begin(datagrams)

        daemon.loop.set_exception_handler(lambda _, fault: faults.append(str(fault["exception"])))
        daemon.queue._begin = fail_once  # type: ignore[method-assign]
        daemon.use(tmp_path)
        daemon.queue.accept(names(*range(5000)))
        await daemon.until(lambda: len(parts) == 5, "all parts")
        daemon.queue.accept(names(5000))
        del parts[failing - 1]
        expected = [name for part in parts for name in part]
        assert expected[-1:] == names(5000)
        await daemon.until_begun(*expected)
        assert list(daemon.begun) == expected
        assert not daemon.queue.busy

    play(scene)
    assert faults == ["internal error"]


def test_a_stop_while_they_begin_in_parts_writes_all(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(*range(5000)))
        await daemon.until(lambda: daemon.log.ids == ["PYD2_QUEUE_OPENED"])
        daemon.queue.close()
        assert daemon.log.texts("PYD2_QUEUE_KEPT")[0].startswith("stopping with 5000 requests")

    play(scene)
    assert in_file(tmp_path) == names(*range(5000))

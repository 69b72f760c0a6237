"""A durable queue that hands requests to another part than the engine: what goes to the disk, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.sqlite.store import Store
from tests.queue.played import Daemon, fill, gated, in_file, names, play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

    from pyd2.data.element import Plain


class PlayedPart:
    """See NextPart."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.got: list[bytes] = []
        """All that it got, in order."""
        self.waiting: list[bytes] = []
        """What is not on the disk."""
        self.numbers: dict[bytes, int] = {}
        self.max_entries = 0
        daemon.queue.hand_to(self)

    @property
    def in_memory(self) -> int:
        return len(self.waiting)

    def take(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        self.got += datagrams
        if numbers:
            assert not self.waiting
            self.numbers |= zip(datagrams, numbers, strict=True)
        else:
            self.waiting += datagrams

    def keep(self) -> None:
        if self.waiting:
            numbers = self.daemon.queue.keep(self.waiting, 1000.0)
            self.numbers |= zip(self.waiting, numbers, strict=True)
            self.waiting = []

    def configure(self, max_entries: int) -> None:
        self.max_entries = max_entries

    def end(self, *datagrams: bytes) -> None:
        self.daemon.queue.done([self.numbers.pop(datagram) for datagram in datagrams], {})

    def status(self, wall: float) -> Mapping[str, Plain]:
        return {"wall": int(wall)}


async def in_use(daemon: Daemon, directory: Path, max_entries: int = 10000) -> PlayedPart:
    part = PlayedPart(daemon)
    daemon.use(directory, max_entries)
    await daemon.until_logged("PYD2_QUEUE_OPENED")
    return part


def test_requests_pass_at_once_and_go_to_the_disk_if_the_part_wants_it(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path)
        await daemon.until(lambda: daemon.queue.is_empty, "an empty disk")
        daemon.queue.accept(names(1, 2))
        assert (part.got, part.numbers) == (names(1, 2), {})
        part.keep()
        assert not daemon.queue.is_empty
        assert daemon.queue.taken(part.numbers[b"request 2"]) == 1000.0
        await daemon.until(lambda: daemon.queue.safe >= part.numbers[b"request 2"], "the disk")
        assert in_file(tmp_path) == names(1, 2)
        daemon.queue.accept(names(3))
        assert part.waiting == names(3)
        part.end(*names(1, 2))
        await daemon.until(lambda: daemon.queue.is_empty, "the disk to be empty")
        assert in_file(tmp_path) == []
        assert daemon.queue.status(1e12)["entries"] == 0  # type: ignore[index]

    play(scene)


def test_the_disk_is_not_empty_while_a_removal_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path)
        daemon.queue.accept(names(1))
        part.keep()
        await daemon.until(lambda: daemon.queue.safe, "the disk")
        gate = gated(monkeypatch, "write")
        part.end(*names(1))
        writer = daemon.queue._lifecycle.store
        await daemon.until(lambda: writer._committing, "the commit to begin")  # type: ignore[union-attr]
        assert not daemon.queue.is_empty
        gate.set()
        await daemon.until(lambda: daemon.queue.is_empty, "the disk to be empty")

    play(scene)


def test_when_all_has_ended_the_disk_is_emptied_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.queue.sqlite.writer.REMOVE_SECONDS", 3600.0)
    monkeypatch.setattr("pyd2.queue.sqlite.writer.GROUP_SECONDS", 3600.0)

    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path)
        for number in range(3):
            daemon.queue.accept(names(number))
            part.keep()
            await daemon.until(lambda number=number: daemon.queue.safe > number, "the disk")  # type: ignore[misc]
            part.end(*names(number))
            await daemon.until(lambda: daemon.queue.is_empty, "the disk to be empty")

    play(scene)


def test_what_is_ended_before_it_is_written_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path)
        gate = gated(monkeypatch, "write")
        daemon.queue.accept(names(1, 2, 3))
        part.keep()
        part.end(*names(1, 2))
        gate.set()
        await daemon.until(lambda: daemon.queue.safe == 3, "the disk")
        part.end(*names(3))
        await daemon.until(lambda: daemon.queue.is_empty, "the disk to be empty")
        assert in_file(tmp_path) == []

    play(scene)


def test_behind_what_the_file_held_nothing_passes(tmp_path: Path) -> None:
    fill(tmp_path, *names(*range(500)))

    async def scene(daemon: Daemon) -> None:
        part = PlayedPart(daemon)
        daemon.use(tmp_path)
        daemon.queue.accept(names(500))
        await daemon.until(lambda: part.got, "the first ones")
        daemon.queue.accept(names(501))
        await daemon.until(lambda: len(part.got) == 502, "all of them")
        assert part.got == names(*range(502))
        daemon.queue.accept(names(502))
        assert part.waiting[-1:] == names(502)

    play(scene)
    assert in_file(tmp_path) == names(*range(503))


def test_what_is_in_memory_counts_for_the_limit_and_is_kept_at_the_end(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path, max_entries=4)
        assert part.max_entries == 4
        daemon.queue.accept(names(1, 2, 3))
        daemon.queue.accept(names(4, 5, 6))
        assert part.waiting == names(1, 2, 3, 4)
        assert daemon.counters.queue_full.value == 2
        part.waiting = names(3, 4)  # the others have been acknowledged
        daemon.queue.done((), {})
        assert "DHCP_DDNS_QUEUE_MGR_RESUMING" in daemon.log.ids

    play(scene)
    assert in_file(tmp_path) == names(3, 4)


def test_without_the_disk_requests_have_numbers_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.queue.lifecycle.RETRY_SECONDS", (0.05,))

    async def scene(daemon: Daemon) -> None:
        part = await in_use(daemon, tmp_path)
        daemon.queue.accept(names(1))
        with monkeypatch.context() as patch:
            def fail(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(Store, "write", fail)
            part.keep()
            await daemon.until_logged("PYD2_QUEUE_FAILED")
            assert daemon.queue.safe >= part.numbers[b"request 1"]
            assert not daemon.queue.is_empty
            daemon.queue.accept(names(2))
            assert part.got == names(1, 2)
            assert part.waiting == []
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until(lambda: in_file(tmp_path) == names(1, 2), "the disk")

    play(scene)

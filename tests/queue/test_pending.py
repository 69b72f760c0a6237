"""What waits is handed to a store in parts: it has all of it at the end, whatever has happened between."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyd2.queue import pending
from pyd2.queue.interface import DeadLetter, Entries, Entry
from pyd2.queue.pending import BLOCK_BITS, Pending

PICKS = st.lists(st.integers(0, 10**6), max_size=12)


class MirrorMachine(RuleBasedStateMachine):
    """Requests come, change and end while a store learns what it is to hold; blocks have 4 numbers.

    The store is played: it refuses what it has already, and the removal of what it has not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(pending, "BLOCK_BITS", 2)
        self.pending = Pending()
        self.model: dict[int, bytes] = {}
        self.store: dict[int, bytes] = {}
        self.step = "none"
        self.after = 0

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(first=st.lists(st.integers(1, 30), unique=True))
    def begin(self, first: list[int]) -> None:
        """Some numbers are missing, as in a file that was worked off in part."""
        self.pending.expect_file()
        numbers = sorted(first)
        if numbers:
            datagrams = [b"%d" % number for number in numbers]
            self.pending.add_found(Entries(numbers, [1.0] * len(numbers), datagrams))
            self.model = dict(zip(numbers, datagrams, strict=True))
        self.pending.all_found()

    def picked(self, picks: list[int]) -> list[int]:
        numbers = list(self.model)
        return sorted({numbers[pick % len(numbers)] for pick in picks}) if numbers else []

    @rule(count=st.integers(1, 6))
    def come(self, count: int) -> None:
        entries = self.pending.number([b"new"] * count, 2.0)
        self.model |= dict(zip(entries.numbers, entries.datagrams, strict=True))

    @rule(picks=PICKS)
    def end(self, picks: list[int]) -> None:
        numbers = self.picked(picks)
        self.pending.forget(numbers)
        for number in numbers:
            del self.model[number]
        if self.step == "mirrored":
            self.dropped(numbers)
        else:
            self.pending.note(numbers)

    @rule(picks=PICKS, text=st.binary(max_size=3))
    def change(self, picks: list[int], text: bytes) -> None:
        for number in self.picked(picks):
            entry = self.pending.get(number)
            assert entry is not None
            self.pending.change(entry._replace(datagram=text))
            self.model[number] = text
            if self.step == "mirrored":
                if number in self.store:  # else it is to be appended
                    self.store[number] = text
            else:
                self.pending.note(amended=[number])

    def appended(self, entries: Entries) -> None:
        assert not set(entries.numbers) & set(self.store), "the store learns of it twice"
        assert entries.numbers == sorted(entries.numbers)
        self.store |= dict(zip(entries.numbers, entries.datagrams, strict=True))

    def dropped(self, numbers: list[int]) -> None:
        for number in numbers:
            if self.step != "mirrored" or number in self.store:
                del self.store[number]

    @precondition(lambda self: self.step == "mirrored")
    @rule()
    def fails(self) -> None:
        self.pending.forget_handed_over()
        self.step = "none"

    @precondition(lambda self: self.step == "none")
    @rule()
    def asks(self) -> None:
        self.store, self.after, self.step = {}, 0, "asks"
        self.gets_a_part()

    @precondition(lambda self: self.step == "asks")
    @rule()
    def gets_another_part(self) -> None:
        self.gets_a_part()

    def gets_a_part(self) -> None:
        held = self.pending.hold(self.after)
        assert len(held.entries) <= 4
        self.appended(held.entries)
        self.after = held.entries.numbers[-1] if held.entries else self.after
        if held.complete:
            self.step = "restored"

    @precondition(lambda self: self.step == "restored")
    @rule()
    def gets_more(self) -> None:
        entries, amended, complete = self.pending.more()
        assert len(entries) <= 4
        self.appended(entries)
        for entry in amended:
            self.store[entry.number] = entry.datagram
        if complete:
            self.dropped(self.pending.ended()[0])
            assert self.store == self.model
            self.step = "mirrored"

    @invariant()
    def they_are_what_they_should_be(self) -> None:
        assert len(self.pending) == len(self.model)
        assert {number: entry.datagram for number in self.model if (entry := self.pending.get(number))} == \
            self.model


TestMirror = MirrorMachine.TestCase
TestMirror.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_no_step_looks_at_the_whole_backlog() -> None:
    """A step that did held the update thread for some 10 ms with 300,000 requests."""
    waiting = Pending()
    for _ in range(300_000 // 100):
        waiting.number([b"request"] * 100, 1.0)
    assert max(map(len, waiting._blocks.values())) == 1 << BLOCK_BITS
    assert len(waiting._blocks) < 200
    parts, after, complete = [], 0, False
    while not complete:
        entries, _, complete = waiting.hold(after)
        parts.append(len(entries))
        after = entries.numbers[-1]
    assert sum(parts) == 300_000
    assert max(parts) == 1 << BLOCK_BITS
    waiting.number([b"request"] * 10_000, 1.0)
    parts = []
    complete = False
    while not complete:
        entries, _, complete = waiting.more()
        parts.append(len(entries))
    assert sum(parts) == 10_000
    assert max(parts) <= 1 << BLOCK_BITS


@pytest.mark.parametrize("reported", [0, 3])
def test_dead_letters_that_are_too_many_are_not_counted_as_reported(
    reported: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MOST_DEAD", 4)
    waiting = Pending()
    dead_letters = [DeadLetter(number, 1.0, 2.0, "why", b"x") for number in range(6)]
    waiting.bury(dead_letters[:reported])
    assert len(waiting.hold(0).dead) == reported
    waiting.bury(dead_letters[reported:])
    _, dead = waiting.ended()
    assert [dead_letter.number for dead_letter in dead] == list(range(max(2, reported), 6))


def test_very_many_requests_by_the_column_leave_other_threads_their_turn() -> None:
    """When a disk came back behind which 300,000 waited, no zone had an update for a fifth of a second."""
    entries = [Entry(number, 1.0, b"request") for number in range(300_000)]
    made: list[Entries] = []
    begun = threading.Event()

    def make() -> None:
        begun.set()
        made.append(Entries.of(entries))

    thread = threading.Thread(target=make)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    turns = 0
    try:
        thread.start()
        begun.wait()
        while not made:
            turns += 1
            time.sleep(0)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert len(made[0]) == len(entries)
    assert turns > 20


def test_requests_by_the_column_are_what_they_are_one_by_one() -> None:
    one_by_one = [Entry(number, number / 2, b"%d" % number) for number in range(1, 6)]
    entries = Entries.of(one_by_one)
    assert (list(entries), entries[2], list(entries[1:3])) == (one_by_one, one_by_one[2], one_by_one[1:3])
    assert list(Entries.of([])) == []
    entries.extend(Entries.of([Entry(9, 1.0, b"9")]))
    assert list(entries) == [*one_by_one, Entry(9, 1.0, b"9")]


def test_pending_requests_stay_in_their_order() -> None:
    pending = Pending()
    pending._add(Entries.of([Entry(1, 1.0, b"a"), Entry(2, 2.0, b"b"), Entry(3, 3.0, b"c")]))
    pending.forget([1, 99])
    pending.change(Entry(3, 3.0, b"less"))
    assert list(pending.hold(0).entries) == [Entry(2, 2.0, b"b"), Entry(3, 3.0, b"less")]
    assert (len(pending), pending.oldest(), pending.get(1), pending.get(2)) == (2, 2.0, None, (2, 2.0, b"b"))

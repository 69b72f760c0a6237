"""The fuzzers find faults: each of these is planted in pyd2's code, found, made small and shown again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.values import get_uint32
from pyd2.control.commands import Commands
from pyd2.dns.names import reverse_name_wire
from pyd2.dns.reply import Reply, parse_reply
from pyd2.dns.tsig import HmacContext
from pyd2.errors import ReplyError
from pyd2.hooks.gss import keytab
from pyd2.ncr import NameChangeRequest, decode
from pyd2.update.drive.driver import Driver
from pyd2.update.drive.replies import Replies
from tests.fuzz import world
from tests.fuzz.ncr_target import NcrTarget
from tests.fuzz.runner import Input, Report, Target, family, minimise, run_target, table
from tests.fuzz.targets import SHORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.data.element import Element
    from pyd2.update.model.transaction import Transaction

    Plant = Callable[[pytest.MonkeyPatch], None]


def _decoder_forgets_a_byte(patch: pytest.MonkeyPatch) -> None:
    def plant(datagram: bytes, *interfaces: Any) -> NameChangeRequest:
        if b"\x7f" in datagram:
            raise KeyError(0x7F)
        return decode(datagram, *interfaces)

    patch.setattr("pyd2.ncr.decode", plant)


def _update_cannot_be_built(patch: pytest.MonkeyPatch) -> None:
    def plant(address: bytes) -> bytes:
        if len(address) == 16:
            raise IndexError(len(address))
        return reverse_name_wire(address)

    patch.setattr("pyd2.packets.plain.reverse_name_wire", plant)


def _transaction_is_lost(patch: pytest.MonkeyPatch) -> None:
    answered = Replies.answered

    def plant(self: Replies, transaction: Transaction, rcode: int, now: float, wall: float) -> None:
        if rcode != 9:
            answered(self, transaction, rcode, now, wall)

    patch.setattr(Replies, "answered", plant)


def _transaction_ends_twice(patch: pytest.MonkeyPatch) -> None:
    fail = Driver.fail

    def plant(
        self: Driver, transaction: Transaction, event: str, reason: str, now: float, wall: float, *,
        may_pass: bool = False,
    ) -> None:
        fail(self, transaction, event, reason, now, wall, may_pass=may_pass)
        if not transaction.ncr.reverse_change:
            self._log.emit(transaction.kind.failed, transaction.ncr.request_id, transaction.outcome(event))

    patch.setattr(Driver, "fail", plant)


def _reader_of_replies_overruns(patch: pytest.MonkeyPatch) -> None:
    def plant(datagram: bytes) -> Reply:
        try:
            return parse_reply(datagram)
        except ReplyError as error:
            if "RDLENGTH mismatch" in str(error):
                raise IndexError("index out of range") from None
            raise

    patch.setattr("pyd2.dns.reply.parse_reply", plant)


def _forged_replies_pass(patch: pytest.MonkeyPatch) -> None:
    verify = HmacContext.verify

    def plant(self: HmacContext, reply: bytes, tsig: Any, wall: int) -> None:
        try:
            verify(self, reply, tsig, wall)
        except ReplyError as error:
            if "BADSIG" not in str(error) or not tsig.mac:
                raise

    patch.setattr(HmacContext, "verify", plant)


def _command_fails_behind_its_answer(patch: pytest.MonkeyPatch) -> None:
    statistic_get = Commands.statistic_get

    def plant(self: Commands, arguments: Element | None) -> Element:
        name = arguments.get("name") if arguments is not None else None
        if name is not None and name.type_name != "string":
            raise AttributeError(f"a {name.type_name} is no name")
        return statistic_get(self, arguments)

    patch.setattr(Commands, "statistic_get", plant)


def _configuration_raises_another_error(patch: pytest.MonkeyPatch) -> None:
    def plant(parent: Element, name: str) -> int:
        number = get_uint32(parent, name)
        if number == 65535:
            raise OverflowError(number)
        return number

    patch.setattr("pyd2.config.parse.get_uint32", plant)


def _reader_of_keytabs_overruns(patch: pytest.MonkeyPatch) -> None:
    principal = keytab._principal

    def plant(entry: bytes) -> str:
        if len(entry) < 20:
            raise IndexError(entry)
        return principal(entry)

    patch.setattr(keytab, "_principal", plant)


PLANTS: list[tuple[str, Plant, str]] = [
    ("ncr", _decoder_forgets_a_byte, "KeyError"),
    ("ncr", _update_cannot_be_built, "IndexError"),
    ("ncr", _transaction_is_lost, "AssertionError"),
    ("reply", _transaction_is_lost, "AssertionError"),
    ("reply", _transaction_ends_twice, "AssertionError"),
    ("reply", _reader_of_replies_overruns, "IndexError"),
    ("reply", _forged_replies_pass, "a forged reply was accepted"),
    ("command", _command_fails_behind_its_answer, "AttributeError"),
    ("config", _configuration_raises_another_error, "OverflowError"),
    ("ticket", _reader_of_keytabs_overruns, "IndexError"),
]


@pytest.mark.parametrize(("name", "plant", "what"), PLANTS)
def test_a_planted_fault_is_found(
    name: str, plant: Plant, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "LAYER", "plain")  # faults are planted in Python
    plant(monkeypatch)
    target = SHORT[name]()
    number, report = 0, Report(name)
    while not report.findings and number < 20000:
        report = run_target(target, 500, 1, first=number)
        number += 500
    finding = report.findings[0]
    assert what in finding.what
    assert "(only after" not in finding.what
    # What is shown is enough to see it again: the small input, and the number of the whole one.
    for data in (finding.data, target.make(random.Random(f"1/{name}/{finding.number}"))):
        assert what in fault(target, data)
    assert sum(map(len, finding.data)) <= finding.original
    assert len(str(finding)) < 10000
    monkeypatch.undo()
    assert fault(target, finding.data) == "none"
    target.close()


def fault(target: Target, data: Input) -> str:
    """Return the error that an input leads to, ``none`` if it leads to none."""
    target.reset()
    try:
        list(target.run(data))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def test_what_is_printed_of_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "LAYER", "plain")
    _decoder_forgets_a_byte(monkeypatch)
    report = run_target(NcrTarget(), 20000, 7)
    finding = report.findings[0]
    assert len(report.findings) == report.faults == 5  # enough is enough
    assert b"\x7f" in finding.data
    text = str(finding)
    assert "\n  7f\n" in text
    assert "in plant" in text
    assert text.endswith(f"--target ncr --seed 7 --first {finding.number} --count 1")


class Slow:
    """A target for which the input x takes half a second of a clock that is not real."""

    name = "slow"
    used = 0.0

    def make(self, rng: random.Random) -> Input:
        return (rng.choice([b"x", b"y"]),)

    def run(self, data: Input) -> Iterator[str]:
        self.used += 0.5 if data == (b"x",) else 0.001
        yield "accepted"

    def reset(self) -> None: ...

    def close(self) -> None: ...


def test_a_slow_input_is_a_finding() -> None:
    target = Slow()
    report = run_target(target, 100, 1, cpu=lambda: target.used)
    assert report.inputs == 100  # slow ones do not end the run
    assert [finding.what for finding in report.findings] == ["needs 0.500 s of CPU"] * 3
    assert {finding.data for finding in report.findings} == {(b"x",)}
    assert report.slow > 20
    assert report.slowest == pytest.approx(0.5)


def test_a_run_can_be_limited_by_its_time() -> None:
    assert run_target(Slow(), 100, 1, seconds=0).inputs == 0


def test_minimise() -> None:
    data = (b"left", b"aaaaXbbbbYcccc", b"right")
    assert minimise(data, lambda parts: any(b"X" in part and b"Y" in part for part in parts)) == (b"XY",)
    assert minimise(data, lambda parts: parts == data) == data


def test_families_leave_out_what_is_special() -> None:
    texts = [f"d2.json:{line}.{line}-9: Invalid character: {line}" for line in (1, 22)]
    assert len(set(map(family, texts))) == 1
    assert family("Extra data in <wire>:0:12") == family("Extra data in <wire>:7:1")
    assert family("unknown command 'a'") == family("unknown command 'b c'")
    assert len(family("x" * 100000)) <= 72


def test_table() -> None:
    report = Report("ncr", faults=1, slow=3)
    for outcome in ["accepted", "bad thing 1", "bad thing 2", "accepted: but odd"]:
        report.count(outcome)
    lines = table([report]).splitlines()
    assert lines[1].split()[:6] == ["ncr", "4", "2", "2", "1", "3"]
    assert lines[4] == "         2  bad thing N"

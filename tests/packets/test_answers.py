"""C says of an answer to a question what Python says, or leaves it to Python; usual ones it judges itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.question import Found, encode_question, what_is_found
from pyd2.packets.compiled import CompiledKey
from pyd2.packets.wire import ffi, lib
from tests.packets import answers
from tests.packets.answers import (
    DHCID,
    GLUE,
    KEY,
    NAMES,
    NS,
    OTHER,
    SOA,
    WALL,
    Answer,
    body,
    dhcid_record,
    signed,
)

if TYPE_CHECKING:
    import random

NAME = NAMES[0]
COMPILED = CompiledKey(KEY.name, "HMAC-SHA256", KEY.secret, 0)
EVENTS = {
    lib.WIRE_TRY_FREE: Found.FREE, lib.WIRE_TRY_WITHOUT: Found.WITHOUT, lib.WIRE_TRY_OURS: Found.OURS,
    lib.WIRE_TRY_OTHERWISE: Found.OTHERWISE,
}


def by_python(answer: Answer, wall: int = WALL) -> Found:
    context = None
    if answer.mac:
        context = KEY.create_context()
        context._request_mac = answer.mac
    return what_is_found(answer.datagram, answer.name, DHCID, context, wall)


def by_c(answer: Answer, wall: int = WALL) -> Found | None:
    """Return what C says; None: it leaves that to Python. The datagram stands at the end of its memory."""
    key = COMPILED.prepared if answer.mac else ffi.NULL
    octets = ffi.new("uint8_t[]", answer.datagram) if answer.datagram else ffi.NULL
    said = lib.wire_answer_read(
        octets, len(answer.datagram), key, answer.mac, len(answer.mac), wall, answer.name, len(answer.name),
        DHCID, len(DHCID),
    )
    assert said in EVENTS or said == lib.WIRE_TRY_JUDGE
    return EVENTS.get(said)


@given(rng=st.randoms(use_true_random=False))
def test_c_never_says_anything_else(rng: random.Random) -> None:
    answer = answers.make(rng)
    assert by_c(answer) in (None, by_python(answer)), answer


def test_of_many_answers_c_judges_most_that_are_in_order() -> None:
    import random

    in_order = itself = 0
    for seed in range(3000):
        answer = answers.make(random.Random(seed))
        wanted, found = by_python(answer), by_c(answer)
        assert found in (None, wanted), answer
        in_order += wanted is not Found.UNKNOWN
        itself += found is not None
    assert 1000 < in_order < 2500
    assert itself > 0.7 * in_order


USUAL = [
    (body(NAME.upper(), 3, [], [SOA]), Found.FREE),
    (body(NAME, 3), Found.FREE),
    (body(NAME, 0, [], [SOA]), Found.WITHOUT),
    (body(NAME, 0, [dhcid_record()], [NS, NS], [*GLUE]), Found.OURS),
    (body(NAME, 0, [dhcid_record()]), Found.OURS),
    (body(NAME, 0, [dhcid_record(OTHER)], [NS]), Found.OTHERWISE),
    (body(NAME, 0, [dhcid_record(DHCID[:-1])]), Found.OTHERWISE),
    (body(NAME, 0, [dhcid_record(DHCID + b"\0")]), Found.OTHERWISE),
]


@pytest.mark.parametrize(("unsigned", "found"), USUAL)
def test_usual_answers_are_judged_in_c(unsigned: bytes, found: Found) -> None:
    for answer in (Answer(unsigned, NAME, b""), signed(unsigned, NAME)):
        assert (by_c(answer), by_python(answer)) == (found, found)


@pytest.mark.parametrize(("unsigned", "found"), USUAL)
def test_an_answer_that_is_cut_says_nothing(unsigned: bytes, found: Found) -> None:
    """At any octet: unless all that says something is there before it."""
    for answer in (Answer(unsigned, NAME, b""), signed(unsigned, NAME)):
        for size in range(len(answer.datagram)):
            cut = Answer(answer.datagram[:size], NAME, answer.mac)
            assert by_c(cut) in (None, by_python(cut))
            if answer.mac or size < 12 + len(NAME) + 4:
                assert by_c(cut) is None


@pytest.mark.parametrize(("unsigned", "found"), USUAL)
def test_no_octet_of_a_signed_answer_may_change(unsigned: bytes, found: Found) -> None:
    answer = signed(unsigned, NAME)
    for at in range(2, len(answer.datagram)):
        for bit in (1, 0x20, 0x80):
            octets = bytearray(answer.datagram)
            octets[at] ^= bit
            changed = Answer(bytes(octets), NAME, answer.mac)
            # The names of the TSIG record are signed in lower case; nothing else may differ.
            assert by_c(changed) in (None, by_python(changed))
            assert by_c(changed) is None or (bit == 0x20 and chr(octets[at]).isalpha())


@pytest.mark.parametrize(("skew", "good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_the_clocks_may_differ_by_the_fudge(skew: int, good: bool) -> None:
    answer = signed(body(NAME, 3, [], [SOA]), NAME)
    assert (by_c(answer, WALL + skew) is Found.FREE) == good
    assert (by_python(answer, WALL + skew) is Found.FREE) == good


def test_the_question_in_c_is_python_s() -> None:
    buffer = ffi.new("uint8_t[]", 300)
    for name in NAMES:
        wanted = encode_question(name)
        size = lib.wire_question_write(name, len(name), buffer, len(wanted))
        assert ffi.buffer(buffer, size)[:] == wanted
        for less in range(len(wanted)):
            assert lib.wire_question_write(name, len(name), buffer, less) == lib.WIRE_NO_SPACE

"""Replies: Kea's verdict on each kind of malformed message, and nothing but ReplyError on any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyd2.dns.reply import parse_reply, read_name, read_reply
from pyd2.dns.tsig import HmacKey, TsigRecord
from pyd2.errors import ReplyError
from tests.dns.awkward import ACCEPTED, ANY, MALFORMED, message, mutated, record, tsig

if TYPE_CHECKING:
    import random


@pytest.mark.parametrize(("reason", "wire"), MALFORMED)
def test_malformed_reply_has_keas_reason(reason: str, wire: bytes) -> None:
    with pytest.raises(ReplyError) as caught:
        read_reply(wire, None, 0)
    assert str(caught.value) == reason


@pytest.mark.parametrize(("rcode", "wire"), ACCEPTED)
def test_well_formed_reply_gives_its_rcode(rcode: int, wire: bytes) -> None:
    assert read_reply(wire, None, 0) == rcode


def test_the_record_that_signs_is_found() -> None:
    wire = message((3, record(250, tsig(b"M" * 10, b"o"), ANY, owner=b"\x01K\xc0\x0c")))
    assert parse_reply(wire).tsig == TsigRecord(
        length=44, name=b"\x01K\x07example\x03com\0", algorithm=b"\x01a\0", time_signed=0, fudge=300,
        mac=b"M" * 10, original_id=0, error=0, other=b"o",
    )


def test_a_compressed_name_may_be_compressed_again() -> None:
    wire = b"\x01c\0" + b"\x01b\xc0\x00" + b"\x01a\xc0\x03" + b"rest"
    assert read_name(wire, 7) == (b"\x01a\x01b\x01c\0", 11)


def chain(pointers: int) -> bytes:
    """Return a name and then pointers, each to the one before."""
    later = [(0xC001 + 2 * number).to_bytes(2, "big") for number in range(1, pointers)]
    return b"\x01c\0" + b"\xc0\x00" + b"".join(later)


def test_a_name_has_at_most_one_pointer_for_each_label() -> None:
    longest = chain(127)
    assert read_name(longest, len(longest) - 2) == (b"\x01c\0", len(longest))
    longer = chain(128)
    with pytest.raises(ReplyError, match="more than 127 compression pointers"):
        read_name(longer, len(longer) - 2)


PIECES = st.one_of(
    st.sampled_from([b"\0", b"\x01a", b"\x02bc", b"\x3f" + b"d" * 63, b"\x40", b"\x01e" * 60]),
    st.integers(0xC000, 0xC050).map(lambda pointer: pointer.to_bytes(2, "big")),
)


def outcome(wire: bytes, at: int, tails: dict[int, tuple[bytes, int]] | None) -> tuple[bytes, int] | str:
    try:
        return read_name(wire, at, tails)
    except ReplyError as error:
        return str(error)


@given(st.lists(PIECES, max_size=40).map(b"".join))
@example(chain(140))
@example(b"\x3f" + b"d" * 63 + b"\0" + b"".join(b"\x3f" + b"d" * 63 + (0xC000 | to).to_bytes(2, "big")
                                              for to in (0, 65, 131, 197)))
def test_what_pointers_led_to_before_changes_no_name(wire: bytes) -> None:
    tails: dict[int, tuple[bytes, int]] = {}
    for at in range(len(wire)):
        assert outcome(wire, at, tails) == outcome(wire, at, None)


def check(wire: bytes) -> None:
    """A reply gives a response code or a reason, with a signature expected or not."""
    for context in (None, HmacKey("k", "hmac-md5", b"s").create_context()):
        try:
            rcode = read_reply(wire, context, 0)
        except ReplyError as error:
            reason = str(error)
        else:
            reason = ""
            assert 0 <= rcode <= 0xFFF
        assert reason or context is None


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_datagram_has_a_verdict(wire: bytes) -> None:
    check(wire)


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_mutation_has_a_verdict(chance: random.Random) -> None:
    check(mutated(chance, 1)[0])

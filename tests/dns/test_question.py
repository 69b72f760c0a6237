"""Questions for DHCIDs, and what is made of the answers."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import parse_name
from pyd2.dns.question import Found, _usual_answer, encode_question, read_answer, what_is_found
from pyd2.dns.tsig import HmacKey, TsigRecord
from pyd2.errors import ReplyError

NAME = parse_name("Host.example.com.")
WALL = 1_900_000_000


def reply(*records: str, rcode: int = 0, name: str = "host.example.com.", flags: int = 0) -> bytes:
    question = dns.message.make_query(name, "DHCID")
    answer = dns.message.make_response(question)
    answer.flags |= flags
    answer.set_rcode(dns.rcode.Rcode(rcode))
    for record in records:
        owner, ttl, rrclass, rrtype, data = record.split(" ", 4)
        answer.answer.append(dns.rrset.from_text(owner, int(ttl), rrclass, rrtype, data))
    return answer.to_wire()


def test_the_question() -> None:
    message = dns.message.from_wire(encode_question(NAME))
    assert message.question[0].to_text() == "Host.example.com. IN DHCID"
    assert (message.id, message.flags, message.answer) == (0, 0, [])


def test_whose_a_name_is() -> None:
    assert read_answer(reply(rcode=3), NAME, None, WALL).name_is_free
    assert read_answer(reply(), NAME, None, WALL) == (0, ())
    one = read_answer(reply("HOST.example.com. 300 IN DHCID AAEB"), NAME, None, WALL)
    assert one == (0, (b"\0\1\1",))
    other = read_answer(reply("x.example.com. 300 IN DHCID AAEB"), NAME, None, WALL)
    assert other.dhcids == ()
    aside = reply("host.example.com. 300 IN A 192.0.2.1", "host.example.com. 300 IN DHCID AAEC")
    assert read_answer(aside, NAME, None, WALL).dhcids == (b"\0\1\2",)


DHCID = b"\0\1\1"


@pytest.mark.parametrize(("datagram", "found"), [
    (reply(rcode=3), Found.FREE),
    (reply(), Found.WITHOUT),
    (reply("host.example.com. 300 IN DHCID AAEB"), Found.OURS),
    (reply("host.example.com. 300 IN DHCID AAEC"), Found.OTHERWISE),
    (reply("host.example.com. 300 IN DHCID AAEB", "host.example.com. 300 IN DHCID AAEC"), Found.OTHERWISE),
    (reply(rcode=2), Found.UNKNOWN),
    (reply(rcode=5), Found.UNKNOWN),
    (reply(flags=dns.flags.TC), Found.UNKNOWN),
    (reply(name="other.example.com."), Found.UNKNOWN),
    (b"", Found.UNKNOWN),
])
def test_what_a_client_finds(datagram: bytes, found: Found) -> None:
    assert what_is_found(datagram, NAME, DHCID, None, WALL) is found


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(0, 255), st.integers(0, 255))
def test_the_quick_reading_says_what_the_careful_one_does(
    tail: bytes, count: int, flags: int, octet: int
) -> None:
    """Where it says anything of what is in order; the careful one walks all records."""
    head = bytes((0, 0, 0x80 | flags & 5, octet & 15, 0, 1, 0, count)) + bytes(4)
    datagram = head + NAME.upper() + b"\0\x31\0\1" + b"\xc0\x0c\0\x31\0\1" + bytes(4) + tail
    quick = _usual_answer(datagram, NAME)
    try:
        careful = read_answer(datagram, NAME, Trusting(), WALL)
    except ReplyError:
        return
    assert quick in (None, careful)


class Trusting:
    """A context that believes every reply."""

    length = 0

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        raise NotImplementedError

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Believe it."""


@pytest.mark.parametrize("datagram", [
    reply(name="other.example.com."),
    reply(flags=dns.flags.TC),
    reply()[:2] + bytes([reply()[2] & 0x7F]) + reply()[3:],
    reply()[:2] + b"\xa8" + reply()[3:],
    reply()[:-1],
    b"\0" * 11,
])
def test_what_is_no_answer_to_it(datagram: bytes) -> None:
    with pytest.raises(ReplyError):
        read_answer(datagram, NAME, None, WALL)


def test_an_answer_must_be_signed_with_the_key_of_the_question() -> None:
    key = HmacKey("k.test", "HMAC-SHA256", b"secret-secret-secret")
    context = key.create_context()
    context.sign(encode_question(NAME), 7, WALL)
    with pytest.raises(ReplyError, match="TSIG verification failed: FORMERR"):
        read_answer(reply(rcode=3), NAME, context, WALL)

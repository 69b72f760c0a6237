"""TKEY messages, against dnspython."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TKEY
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import parse_name
from pyd2.dns.tkey import encode_request, parse_tkey_reply
from pyd2.errors import ReplyError

_ALGORITHM = dns.name.from_text("gss-tsig.")
_TOKENS = st.binary(max_size=600)
_NAMES = st.integers(0, 2**32 - 1).map(lambda number: f"{number}.sig-ns.example.org.")


def reply(name: str, token: bytes, error: int = 0, query_id: int = 7) -> dns.message.Message:
    """Return a server's answer."""
    query = dns.message.make_query(name, "TKEY", "ANY", id=query_id)
    answer = dns.message.make_response(query)
    make: Any = dns.rdtypes.ANY.TKEY.TKEY
    data = make(
        dns.rdataclass.ANY, dns.rdatatype.TKEY, _ALGORITHM, 1, 2, 3, error, token, b""
    )
    answer.answer.append(dns.rrset.from_rdata(name, 0, data))
    return answer


@given(st.integers(0, 65535), _NAMES, st.integers(0, 2**33), st.integers(0, 2**33), _TOKENS)
def test_dnspython_reads_a_request(
    query_id: int, name: str, inception: int, expire: int, token: bytes,
) -> None:
    message = dns.message.from_wire(encode_request(query_id, parse_name(name), inception, expire, token))
    assert (message.id, message.flags, message.opcode()) == (query_id, 0, 0)
    question = message.question[0]
    assert (question.name.to_text(), question.rdtype, question.rdclass) == (name, 249, 255)
    record = message.additional[0]
    assert (record.name.to_text(), record.rdtype, record.rdclass, record.ttl) == (name, 249, 255, 0)
    data = record[0]
    assert (data.algorithm, data.mode, data.error, data.key) == (_ALGORITHM, 3, 0, token)
    assert (data.inception, data.expiration) == (inception % 2**32, expire % 2**32)


@given(_NAMES, _TOKENS, st.integers(0, 65535))
def test_a_reply_of_dnspython_is_read(name: str, token: bytes, error: int) -> None:
    found = parse_tkey_reply(reply(name, token, error).to_wire())
    assert found[:-1] == (True, 0, 0, 1, 249, 255, 0, True, error, token)
    assert found.tsig is None


@given(st.binary(max_size=200))
def test_octets_of_any_kind_are_read_or_refused(octets: bytes) -> None:
    try:
        found = parse_tkey_reply(octets)
    except ReplyError:
        return
    assert 0 <= found.answers <= 65535


@given(_NAMES, _TOKENS, st.data())
def test_a_reply_cut_short_is_refused(name: str, token: bytes, data: st.DataObject) -> None:
    wire = reply(name, token).to_wire()
    with pytest.raises(ReplyError):
        parse_tkey_reply(wire[: data.draw(st.integers(0, len(wire) - 1))])


def test_an_answer_without_data_or_of_another_type_has_no_token() -> None:
    head = bytes.fromhex("0001 8000 0000 0001 0000 0000")
    empty = parse_tkey_reply(head + parse_name("a.") + bytes.fromhex("00f9 00ff 00000000 0000"))
    assert (empty.answer_type, empty.has_data, empty.token) == (249, False, b"")
    other = parse_tkey_reply(head + parse_name("a.") + bytes.fromhex("0001 0001 00000001 0004 01020304"))
    assert (other.answer_type, other.answer_class, other.answer_ttl, other.has_data) == (1, 1, 1, True)
    assert other.token == b""
    none = parse_tkey_reply(bytes.fromhex("0001 8005 0000 0000 0000 0000"))
    assert (none.rcode, none.answers, none.answer_type, none.has_data) == (5, 0, 0, False)

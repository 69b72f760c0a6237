"""Names: dnspython as the judge, and what the differential test beside the real server cannot reach."""

from __future__ import annotations

import ipaddress

import dns.exception
import dns.name
import dns.reversename
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.dns.names import (
    MAX_NAME,
    ROOT,
    CompressionTable,
    lower,
    name_text,
    parse_name,
    plain_name_wire,
    reverse_name,
    reverse_name_wire,
)
from pyd2.errors import DomainNameError

names = st.lists(st.binary(min_size=1, max_size=63), max_size=8).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + ROOT
).filter(lambda wire: len(wire) <= MAX_NAME)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda address: address.packed)


@settings(deadline=None)
@given(names)
def test_text_and_wire_turn_into_each_other(wire: bytes) -> None:
    text = name_text(wire)
    assert parse_name(text) == wire
    assert text.isascii()
    assert text.isprintable()
    assert dns.name.from_text(text).to_wire() == wire


@settings(deadline=None)
@given(names)
def test_dnspython_reads_the_text_alike(wire: bytes) -> None:
    theirs = dns.name.from_wire(wire, 0)[0].to_text()
    assert parse_name(theirs) == wire


@settings(deadline=None)
@given(st.text(alphabet="aB.\\0129-é", max_size=12))
def test_any_text_is_a_name_for_both_or_for_none(text: str) -> None:
    try:
        ours = parse_name(text)
    except DomainNameError:
        ours = None
    try:
        # As bytes: in a str dnspython would turn what is not ASCII into an IDNA label.
        theirs = dns.name.from_text(text.encode()).to_wire() if text else None
    except dns.exception.DNSException:
        theirs = None
    assert ours == theirs


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_a_name_or_the_reason_why_not(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    try:
        wire = parse_name(encoded)
    except DomainNameError:
        return
    assert parse_name(name_text(wire)) == wire


@pytest.mark.parametrize(("text", "reason"), [
    ("", "incomplete textual name in <empty>"),
    ("a\\", "incomplete textual name in a\\"),
    ("a\\06", "incomplete textual name in a\\06"),
    ("..", "non terminating empty label in .."),
    ("a..b", "duplicate period in a..b"),
    ("x" * 64, f"label is too long in {'x' * 64}"),
    ("x" * 63 + "\\120", f"label is too long in {'x' * 63}\\120"),
    ("\\[x", "invalid label type in \\[x"),
    ("a\\25x", "mixture of escaped digit and non-digit in a\\25x"),
    ("a\\256", "escaped decimal is too large in a\\256"),
    (".".join(["x" * 50] * 5), f"name is too long for termination in {'.'.join(['x' * 50] * 5)}"),
    ("x." * 128, "name.cc:190 (ndata.size() < Name::MAX_WIRE) failed"),
])
def test_reasons_are_keas(text: str, reason: str) -> None:
    with pytest.raises(DomainNameError) as caught:
        parse_name(text)
    assert str(caught.value) == reason


def test_octets_that_are_no_utf8_are_kept() -> None:
    assert parse_name("a\udcff.") == b"\x02a\xff\0"
    assert name_text(b"\x02a\xff\0") == "a\\255."


def test_names_are_lowered_without_touching_lengths() -> None:
    # 63 is the largest length there is; 65 would be an upper case A.
    label = b"\x3f" + b"Z" * 63
    assert lower(label + b"\x01A\0") == b"\x3f" + b"z" * 63 + b"\x01a\0"


def test_plain_names_need_no_check() -> None:
    assert plain_name_wire(b"Host.example") == b"\x04Host\x07example\0"


@settings(deadline=None)
@given(addresses)
def test_reverse_names_are_those_of_the_rfcs(address: bytes) -> None:
    text = reverse_name(address)
    theirs = dns.reversename.from_address(str(ipaddress.ip_address(address)))
    # dnspython gives IPv4-mapped addresses the name of the IPv4 address.
    if not (len(address) == 16 and ipaddress.IPv6Address(address).ipv4_mapped):
        assert dns.name.from_text(text) == theirs
    assert parse_name(text) == reverse_name_wire(address)


def test_nibbles_are_upper_case() -> None:
    text = reverse_name(bytes.fromhex("20010db8000000000000000000000abc"))
    assert text == "C.B.A." + "0." * 21 + "8.B.D.0.1.0.0.2.ip6.arpa."


def expanded(message: bytes, at: int) -> bytes:
    """Return the name at an offset of a message, by dnspython."""
    name = dns.name.from_wire(message, at)[0].to_wire()
    assert name is not None
    return name


@settings(deadline=None)
@given(st.lists(names, min_size=1, max_size=5), st.integers(0, 40), st.data())
def test_compressed_names_expand_to_themselves(pool: list[bytes], offset: int, data: st.DataObject) -> None:
    message = bytes(offset) + pool[0]
    table = CompressionTable(pool[0], offset)
    for name in pool[1:]:
        # Longer names that end like an earlier one, if they still are names.
        related = name[:-1] + data.draw(st.sampled_from(pool)).swapcase()
        fitting = related if len(related) <= MAX_NAME else name
        at = len(message)
        written = table.compress(fitting)
        message += written
        assert len(written) <= len(fitting)
        assert expanded(message, at).lower() == fitting.lower()
        table.add(fitting, at)


def test_a_copy_grows_on_its_own() -> None:
    table = CompressionTable(b"\x03com\0", 12)
    copy = table.copy()
    copy.add(b"\x01a\x03com\0", 17)
    assert table.compress(b"\x01a\x03com\0") == b"\x01a\xc0\x0c"
    assert copy.compress(b"\x01a\x03com\0") == b"\xc0\x11"


def test_no_pointer_leads_beyond_its_14_bits() -> None:
    table = CompressionTable(b"\x01a\x01b\0", 0x3FFE)
    assert table.compress(b"\x01a\x01b\0") == b"\xff\xfe"
    assert table.compress(b"\x01b\0") == b"\x01b\0"

"""NameChangeRequests: the recorded ones, and whatever else may arrive.

tests/dns/test_against_kea.py compares verdicts with a running server.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyd2 import ncr
from pyd2.config.addresses import SystemInterfaces
from pyd2.dns.names import name_text, parse_name
from pyd2.errors import NcrError
from pyd2.ncr import ChangeType, ConflictResolutionMode, NameChangeRequest, decode

CASES = Path(__file__).parent / "conformance" / "data" / "ncr"
PREFIX = "application received an invalid DNS update request: "
USUAL: dict[str, Any] = {
    "change-type": 0,
    "forward-change": True,
    "reverse-change": False,
    "fqdn": "Host.example.com.",
    "ip-address": "2001:DB8::0:A",
    "dhcid": "000101c4DAB1",
    "lease-expires-on": "20300102030405",
    "lease-length": 3600,
    "conflict-resolution-mode": "check-exists-with-dhcid",
}


def datagram(fields: dict[str, Any] | bytes, separators: tuple[str, str] = (",", ":")) -> bytes:
    text = fields if isinstance(fields, bytes) else json.dumps(fields, separators=separators).encode()
    return len(text).to_bytes(2, "big") + text


def values(request: NameChangeRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in NameChangeRequest.__slots__}


def rejection(wire: bytes) -> str:
    with pytest.raises(NcrError) as caught:
        decode(wire)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_request_has_the_recorded_verdict(path: Path) -> None:
    case = json.loads(path.read_text())
    wire = bytes.fromhex(case["datagram_hex"])
    texts = [entry[3] for entry in case["result"]["log"] if entry[2] == "DHCP_DDNS_INVALID_NCR"]
    if case["result"]["accepted"]:
        assert not texts
        request = decode(wire, SystemInterfaces())
        # What the server logged of an accepted request.
        shown = [entry[3] for entry in case["result"]["log"] if "Type: " in entry[3]]
        assert all(request.text() in text for text in shown)
    else:
        assert [PREFIX + rejection(wire)] == texts


def test_recorded_requests_are_there() -> None:
    verdicts = [json.loads(path.read_text())["result"]["accepted"] for path in CASES.glob("*.json")]
    assert verdicts.count(True) >= 30
    assert verdicts.count(False) >= 50


def test_all_fields_are_decoded() -> None:
    request = decode(datagram(USUAL))
    assert values(request) == {
        "change_type": ChangeType.ADD,
        "forward_change": True,
        "reverse_change": False,
        "fqdn": "Host.example.com.",
        "fqdn_wire": b"\x04Host\x07example\x03com\0",
        "address": bytes.fromhex("20010db800000000000000000000000a"),
        "address_text": "2001:db8::a",
        "dhcid": bytes.fromhex("000101c4dab1"),
        "lease_expires_on": "20300102030405",
        "lease_length": 3600,
        "conflict_resolution_mode": ConflictResolutionMode.CHECK_EXISTS_WITH_DHCID,
        "number": 0,
        "read_at": 0.0,
    }
    assert request.request_id == "000101C4DAB1"


def test_text_has_a_line_for_each_field() -> None:
    assert decode(datagram({**USUAL, "change-type": 1})).text() == (
        "Type: 1 (CHG_REMOVE)\n"
        "Forward Change: yes\n"
        "Reverse Change: no\n"
        "FQDN: [Host.example.com.]\n"
        "IP Address: [2001:db8::a]\n"
        "DHCID: [000101C4DAB1]\n"
        "Lease Expires On: 20300102030405\n"
        "Lease Length: 3600\n"
        "Conflict Resolution Mode: check-exists-with-dhcid\n"
    )


def outcome(make: Any) -> Any:
    try:
        return values(make())
    except NcrError as error:
        return str(error)


@pytest.mark.parametrize(("wire", "text"), [
    (b"", "InputBuffer::peekUint16 read beyond end of buffer"),
    (b"\0", "InputBuffer::peekUint16 read beyond end of buffer"),
    (b"\0\0", "Malformed NameChangeRequest JSON: nothing read"),
    (b"\0\2{", "InputBuffer::peekVector read beyond end of buffer"),
    (b"\xff\xff" + b" " * 5000, "InputBuffer::peekVector read beyond end of buffer"),
    (b"\x10\x00" + b" " * 5000, "InputBuffer::peekVector read beyond end of buffer"),
    (datagram(b"[]"), "mapValue() called on non-map Element in (<string>:1:2)"),
    (datagram(b"{}"), "NameChangeRequest value missing for: change-type"),
    (datagram(b'{"a":[' + b"1," * (ncr.MOST_VALUES - 2) + b"1]}"), (
        f"Malformed NameChangeRequest JSON: request holds more than {ncr.MOST_VALUES} values")),
    (datagram(b'{"a":[' + b"1," * (ncr.MOST_VALUES - 3) + b"1]}"), (
        "NameChangeRequest value missing for: change-type")),
    (datagram(b'{"a":' + b"[]," * ncr.MOST_VALUES), (
        f"Malformed NameChangeRequest JSON: request holds more than {ncr.MOST_VALUES} values")),
    (datagram(b'{"a":"' + b"," * ncr.MOST_VALUES + b'\\"' + b"," * ncr.MOST_VALUES + b'"}'), (
        "NameChangeRequest value missing for: change-type")),
    # Kea's JSON reader does not survive this number.
    (datagram(b'{"change-type": 1-2}'), (
        "Malformed NameChangeRequest JSON: Unexpected content found while parsing character string.")),
])
def test_what_is_no_request_is_refused(wire: bytes, text: str) -> None:
    assert rejection(wire) == f"fromFormat: buffer read error: {text}"


PIECES = [*(bytes([octet]) for octet in b'",[]{}:1-.a \n'), b'\\"', b"\\\\", b'"a":', b"tx"]


def milliseconds(wire: bytes) -> float:
    """Return the least CPU time of three that reading a datagram took."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        with suppress(NcrError):
            decode(wire)
        took.append(1000 * (time.thread_time() - began))
    return min(took)


@example(b'{"a":"', [b'\\"', b","], b"")  # quotes that may all begin a string without an end
@example(b'{"a":"', [b'\\"'], b'\n","b":tx}')
@given(
    st.lists(st.sampled_from(PIECES), max_size=4).map(b"".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3),
    st.lists(st.sampled_from(PIECES), max_size=4).map(b"".join),
)
def test_no_datagram_takes_long_to_read(begin: bytes, repeated: list[bytes], end: bytes) -> None:
    """One of 4 KB once held the update thread for 0.1 s; the worst that are left take about a millisecond."""
    part = b"".join(repeated)
    text = begin + part * ((ncr.MAX_DATAGRAM - 2 - len(begin) - len(end)) // len(part)) + end
    assert milliseconds(datagram(text)) < 20


def test_a_text_ends_at_a_nul() -> None:
    wire = datagram(json.dumps({**USUAL, "fqdn": "a\0b..c"}).encode())
    assert rejection(wire) == "fromFormat: buffer read error: Invalid FQDN value: a"


def test_the_length_decides_what_is_read() -> None:
    assert decode(datagram(USUAL) + b"garbage").lease_length == 3600


def test_the_longest_request_that_fits_is_decoded() -> None:
    free = ncr.MAX_DATAGRAM - len(datagram({**USUAL, "dhcid": ""}))
    assert len(decode(datagram({**USUAL, "dhcid": "ab" * (free // 2)})).dhcid) == free // 2
    longer = datagram({**USUAL, "dhcid": "ab" * (free // 2 + 1)})
    assert rejection(longer).endswith("InputBuffer::peekVector read beyond end of buffer")


@pytest.mark.parametrize(("given_time", "shown"), [
    ("20301231235960", "20310101000000"), ("20300630235960", "20300701000000"), ("99991231235960",
    "99991231235960"),
])
def test_a_leap_second_is_the_next_minutes_first(given_time: str, shown: str) -> None:
    assert decode(datagram({**USUAL, "lease-expires-on": given_time})).lease_expires_on == shown


@pytest.mark.parametrize(("address", "shown"), [
    ("fe80::1%lo", "fe80::1%lo"), ("fe80::1%1", "fe80::1%lo"), ("fe80::1%nonesuch", "fe80::1"),
    ("fe80::1%4294967295", "fe80::1%4294967295"), ("2001:db8::1%7x", "2001:db8::1%7"), ("ff02::1%lo",
    "ff02::1%lo"),
    ("fe80::1%18446744073709551617", "fe80::1%4294967295"), ("ff12::1%lo", "ff12::1%lo"),
    ("2001:db8::1%lo", "2001:db8::1"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("192.0.2.1", "192.0.2.1"),
])
def test_an_address_is_shown_in_its_canonical_form(address: str, shown: str) -> None:
    assert decode(datagram({**USUAL, "ip-address": address}), SystemInterfaces()).address_text == shown


def test_without_interfaces_a_name_means_nothing() -> None:
    assert decode(datagram({**USUAL, "ip-address": "fe80::1%lo"})).address_text == "fe80::1"
    assert decode(datagram({**USUAL, "ip-address": "fe80::1%1"})).address_text == "fe80::1%1"


@settings(deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=4))
def test_any_datagram_has_a_verdict(text: bytes, tail: bytes) -> None:
    for wire in (text, datagram(text) + tail):
        assert isinstance(outcome(lambda wire=wire: decode(wire)), str)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_mutation_has_a_verdict(data: st.DataObject) -> None:
    text = json.dumps(USUAL).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text = text[:at] + data.draw(st.binary(max_size=3)) + text[at + cut :]
    found = outcome(lambda: decode(datagram(text)))
    if isinstance(found, dict):
        assert parse_name(found["fqdn"]) == found["fqdn_wire"]
        assert name_text(found["fqdn_wire"]) == found["fqdn"]
    else:
        assert found.startswith("fromFormat: buffer read error: ")

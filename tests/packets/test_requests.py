"""The compiled decoder reads what DHCP servers write and declines the rest; both layers read the same."""

from __future__ import annotations

import random
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import MAX_NAME
from pyd2.errors import NcrError
from pyd2.ncr import MAX_DATAGRAM, ConflictResolutionMode
from pyd2.packets.compiled import SLOW_READS, slowness
from pyd2.packets.wire import ffi, lib
from tests.fuzz import corpora
from tests.fuzz.ncr_target import NcrTarget
from tests.packets.layers import COMPILED, PLAIN, outcome
from tests.update.support import datagram, request

if TYPE_CHECKING:
    from pyd2.ncr import NameChangeRequest
    from pyd2.packets.layer import Request


# What C has to read: the JSON that the DHCP servers write, their fields in their order, with or without a
# blank after a colon or comma, and no value that needs a closer look (an escape, 29 February, a leap second).
LABEL = rb"[!#%&'*+,\-/0-9:<=>?A-Z\[\]^_`a-z{|}~]{1,63}+"
DATE = (
    rb"(?:19[7-9][0-9]|[2-9][0-9]{3})"
    rb"(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
    rb"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
)
USUAL_FORM = re.compile(
    rb'\{"change-type": ?([01]), ?"forward-change": ?(?:(true)|false), ?"reverse-change": ?(?:(true)|false)'
    rb', ?"fqdn": ?"(' + LABEL + rb"(?:\." + LABEL + rb')*+)\.?"'
    rb', ?"ip-address": ?"([0-9A-Fa-f:.]+)", ?"dhcid": ?"((?:[0-9A-Fa-f]{2})++)"'
    rb', ?"lease-expires-on": ?"(' + DATE + rb')", ?"lease-length": ?(0|[1-9][0-9]{0,8})'
    rb', ?"conflict-resolution-mode": ?"([a-z-]+)"\}'
)
MODES = {str(mode) for mode in ConflictResolutionMode}


def fields(found: NameChangeRequest | str) -> object:
    if isinstance(found, str):
        return found
    return [(name, type(getattr(found, name)), getattr(found, name)) for name in found.__slots__]


def takes(data: bytes) -> bool:
    """Whether C reads a datagram by itself."""
    return bool(lib.wire_request_read(ffi.new("wire_request *"), data, len(data)) == 0)


def must_take(data: bytes) -> bool:
    """Whether C has to read a datagram by itself."""
    length = int.from_bytes(data[:2], "big")
    if not 0 < length <= min(len(data), MAX_DATAGRAM) - 2:
        return False
    found = USUAL_FORM.fullmatch(data, 2, 2 + length)
    if found is None:
        return False
    _, forward, reverse, fqdn, address, _, _, _, mode = found.groups()
    try:
        socket.inet_pton(socket.AF_INET6 if b":" in address else socket.AF_INET, address.decode())
    except OSError:
        return False
    return mode.decode() in MODES and len(fqdn) + 2 <= MAX_NAME and bool(forward or reverse)


def check_request(data: bytes) -> bool:
    assert fields(outcome(COMPILED.decode, data)) == fields(outcome(PLAIN.decode, data)), data
    taken = takes(data)
    assert taken == must_take(data), data
    return taken


def with_length(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def usual(**changes: Any) -> bytes:
    return datagram(request(**changes))


USUAL = usual()
BLANKS = with_length(USUAL[2:].replace(b":", b": ").replace(b",", b", "))
IPV6 = usual(ip_address="2001:db8::10")


def test_usual_requests_are_read_in_c() -> None:
    assert all(map(check_request, (USUAL, BLANKS, IPV6)))


def test_recorded_requests() -> None:
    taken = sum(map(check_request, corpora.datagrams()))
    assert 50 < taken < len(corpora.datagrams())


def test_mutated_requests() -> None:
    target = NcrTarget()
    taken = 0
    for number in range(3000):
        taken += sum(map(check_request, target.make(random.Random(number))[1:]))
    assert taken > 500


@pytest.mark.parametrize("data", [USUAL, BLANKS, IPV6], ids=["usual", "blanks", "IPv6"])
def test_a_request_with_any_octet_changed_or_missing(data: bytes) -> None:
    octets = b'\0\t "\\,:{}[]01289-/aAfFgGzZ.*@`\x7f\x80\xff'
    for at in range(len(data)):
        assert not takes(data[:at]), "a request that is cut"
        check_request(data[:at])
        check_request(with_length(data[2:at] + data[at + 1 :]))
        for octet in octets:
            check_request(data[:at] + bytes((octet,)) + data[at + 1 :])
            check_request(with_length(data[2:at] + bytes((octet,)) + data[at:]))


@pytest.mark.parametrize("size", range(-2, 3))
def test_the_length_in_front(size: int) -> None:
    length = len(USUAL) - 2 + size
    data = length.to_bytes(2, "big") + USUAL[2:]
    taken = [check_request(data + more) for more in (b"", b"\0", b"\0" * 5000)]
    assert taken == [size == 0] * 3


@pytest.mark.parametrize("size", [2050, 2049, 2048, 2047, 1, 0])
def test_dhcids_up_to_the_end_of_the_buffer(size: int) -> None:
    check_request(usual(dhcid="ab" * size))


def test_every_octet_in_a_label() -> None:
    for octet in range(256):
        check_request(with_length(USUAL[2:].replace(b"host.", b"h%bst." % bytes((octet,)))))


@pytest.mark.parametrize("fqdn", [
    "", ".", "..", "a", "a.", "a..", ".a", "a..b", "a" * 63, "a" * 64, "a" * 63 + ".", "a" * 64 + ".b",
    *(".".join(["a" * 49] * 5 + ["b" * size]) + dot for size in range(1, 7) for dot in ("", ".")),
    *(".".join(["a"] * count) for count in (125, 126, 127, 128, 129)),
])
def test_names_at_their_limits(fqdn: str) -> None:
    check_request(usual(fqdn=fqdn))


@given(st.text(alphabet="aB1.-_*", max_size=270))
def test_names(fqdn: str) -> None:
    check_request(usual(fqdn=fqdn))


@pytest.mark.parametrize("address", [
    "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.", "1.2.3.4.5", "1..2.3",
    "::", "::1",
    "2001:DB8::A", "2001:0db8:0000:0000:0000:0000:0000:0001", "1:2:3:4:5:6:7:8:9", ":::",
    "1::2::3", "12345::",
    "::ffff:1.2.3.4", "0000:0000:0000:0000:0000:ffff:255.255.255.255", "::1.2.3.256", "fe80::1%lo", "abc",
    "a.b",
    "0" * 45, "0" * 46, "0" * 300, "::" + "0" * 44, "",
])
def test_addresses(address: str) -> None:
    check_request(usual(ip_address=address))


@given(st.ip_addresses(v=6).map(str) | st.ip_addresses(v=6).map(lambda a: a.exploded.upper()))
def test_ipv6_addresses(address: str) -> None:
    assert check_request(usual(ip_address=address))


def test_every_day_of_the_calendar() -> None:
    taken = 0
    for year in ("1999", "2000", "2023", "2024"):
        for month in range(14):
            for day in range(33):
                taken += check_request(usual(lease_expires_on=f"{year}{month:02}{day:02}120000"))
    assert taken == 4 * 365


@pytest.mark.parametrize("year", [0, 999, 1899, 1969, 1970, 1999, 2000, 2099, 2100, 9999])
def test_years(year: int) -> None:
    assert check_request(usual(lease_expires_on=f"{year:04}0228235959")) == (year >= 1970)


@pytest.mark.parametrize("at", [8, 10, 12])
def test_times_of_the_day(at: int) -> None:
    for value in range(100):
        time = "20300101000000"
        check_request(usual(lease_expires_on=f"{time[:at]}{value:02}{time[at + 2:]}"))


@pytest.mark.parametrize("length", [0, 1, 999_999_999, 1_000_000_000, 2**31, 2**32 - 1, 2**32, -1, 10**30])
def test_lease_lengths(length: int) -> None:
    assert check_request(usual(lease_length=length)) == (0 <= length < 1_000_000_000)


@pytest.mark.parametrize("length", [b"00", b"01", b"1.0", b"1e3", b"+1", b"-0", b"0x1", b"", b"1 "])
def test_odd_numbers(length: bytes) -> None:
    assert not check_request(with_length(USUAL[2:].replace(b":3600,", b":%b," % length)))


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_directions(forward: bool, reverse: bool) -> None:
    assert check_request(usual(forward_change=forward, reverse_change=reverse)) == (forward or reverse)


@pytest.mark.parametrize("change_type", range(3))
@pytest.mark.parametrize("mode", [*sorted(MODES), "no-check", ""])
def test_modes(change_type: int, mode: str) -> None:
    assert check_request(usual(change_type=change_type, conflict_resolution_mode=mode)) == (
        change_type < 2 and mode in MODES
    )


def test_few_of_those_that_python_reads_are_read_at_a_time() -> None:
    """A whole batch of them held the update thread for many milliseconds."""
    other = with_length(USUAL[2:].replace(b":", b":  "))
    assert not takes(other)
    batch = [USUAL, *[other] * 40, USUAL, *[USUAL] * 200, other]
    numbers = list(range(1, len(batch) + 1))
    read: list[Request | NcrError] = []
    parts = []
    while len(read) < len(batch):
        parts.append(len(found := COMPILED.read_requests(batch[len(read) :], None, numbers[len(read) :])))
        read += found
    some = -(-SLOW_READS // slowness(other))
    assert parts[0] == 1 + some
    assert set(parts[1:3]) == {some}
    assert [one.number for one in read if not isinstance(one, NcrError)] == numbers


@pytest.mark.parametrize(("text", "least", "most"), [
    (b"1," * 126 + b"1", 16, SLOW_READS), (b"[" * 1900, 16, SLOW_READS), (b'{"a":' * 700, 16, SLOW_READS),
    (b"", 2, 2), (b'"' + b"ab" * 1900 + b'"', 8, SLOW_READS), (b"1," * 2000, 2, 2),
    (b'"' + b"," * 200 + b'"' + b",[]" * 120, 16, SLOW_READS),
])
def test_the_longer_reading_takes_the_fewer_are_read(text: bytes, least: int, most: int) -> None:
    """A request is refused in no time if its commas, those in strings left out, are too many."""
    assert least <= slowness(with_length(b'{"a":[' + text + b"]}")) <= most


def test_what_is_behind_a_request_does_not_make_it_quick_to_read() -> None:
    nested = with_length(b"[" * 90)
    assert slowness(nested + b"," * 1000) == slowness(nested)

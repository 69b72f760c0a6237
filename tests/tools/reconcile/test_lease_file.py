"""Lease files as Kea writes them: which rows count, which are skipped, and what is appended meanwhile."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER, Row, lease_of
from pyd2.tools.reconcile.lease_file import COLUMNS, Memfile, RowReader, shown_faults
from pyd2.tools.requests import Identifier, dhcid
from tests.tools.reconcile.made import HEADER4, HEADER6, address, mac, row4, row6

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *lines: str, header: str = HEADER4) -> None:
    path.write_text("\n".join([header, *lines, ""]))


def held(memfile: Memfile) -> dict[bytes, str]:
    return {row.address: row.hostname for row in memfile.read()}


def test_the_headers_are_those_of_kea() -> None:
    assert [",".join(COLUMNS[family]) for family in (4, 6)] == [HEADER4, HEADER6]


def test_the_last_row_of_an_address_counts(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    write(file, row4("192.0.2.1", 1, "a.example."), row4("192.0.2.2", 2, "b.example."),
          row4("192.0.2.1", 3, "c.example."), row4("192.0.2.2", 2, "b.example.", lifetime=0))
    assert held(Memfile(str(file), 4)) == {address("192.0.2.1"): "c.example."}


def test_the_files_are_read_that_kea_reads(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    memfile = Memfile(str(file), 4)
    write(file, row4("192.0.2.1", 1, "newest."))
    write(tmp_path / "leases.csv.1", row4("192.0.2.1", 1, "one."), row4("192.0.2.2", 1, "one."))
    write(tmp_path / "leases.csv.2", row4("192.0.2.2", 1, "two."), row4("192.0.2.3", 1, "two."))
    write(tmp_path / "leases.csv.output", row4("192.0.2.9", 1, "unfinished."))
    assert held(memfile) == {address("192.0.2.1"): "newest.", address("192.0.2.2"): "one.",
                             address("192.0.2.3"): "two."}
    write(tmp_path / "leases.csv.completed", row4("192.0.2.4", 1, "whole."))
    assert held(memfile) == {address("192.0.2.1"): "newest.", address("192.0.2.4"): "whole."}


def test_what_is_appended_counts(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    write(file, row4("192.0.2.1", 1, "a."))
    memfile = Memfile(str(file), 4)
    memfile.read()
    with file.open("a") as appended:
        appended.write(row4("192.0.2.2", 2, "b.") + "\n" + row4("192.0.2.1", 1, "a.", lifetime=0) + "\n"
                       + row4("192.0.2.3", 3, "c."))
    second = memfile.at(address("192.0.2.2"))
    assert second is not None
    assert second.hostname == "b."
    assert memfile.at(address("192.0.2.1")) is None
    assert memfile.at(address("192.0.2.3")) is None, "the line is not at its end yet"
    with file.open("a") as appended:
        appended.write("\n")
    assert memfile.at(address("192.0.2.3")) is not None
    assert memfile.faults == []


def test_a_cleanup_while_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    write(file, row4("192.0.2.1", 1, "a."))
    memfile = Memfile(str(file), 4)
    memfile.read()
    file.rename(tmp_path / "leases.csv.2")
    write(file, row4("192.0.2.2", 2, "b."))
    assert memfile.at(address("192.0.2.1")) is not None
    assert memfile.at(address("192.0.2.2")) is not None


def test_older_and_newer_files(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    write(file, *(",".join(row4("192.0.2.1", 1, "a.").split(",")[:9]),),
          header=",".join(HEADER4.split(",")[:9]))
    assert list(held(Memfile(str(file), 4))) == [address("192.0.2.1")]
    write(file, row4("192.0.2.1", 1, "a.") + ",more", header=HEADER4 + ",of_kea_9")
    assert list(held(Memfile(str(file), 4))) == [address("192.0.2.1")]


def test_prefixes_have_no_names(tmp_path: Path) -> None:
    file = tmp_path / "leases.csv"
    write(file, row6("2001:db8::1", 1, "a."), row6("2001:db8:1::", 1, "a.", kind=2), header=HEADER6)
    assert list(held(Memfile(str(file), 6))) == [address("2001:db8::1")]


@pytest.mark.parametrize(("header", "line", "fault"), [
    (HEADER4, "192.0.2.1,,", "it has 3 columns instead of 12"),
    (HEADER4, row4("192.0.2.300", 1, "a."), "not an IPv4 address: 192.0.2.300"),
    (HEADER4, row4("192.0.2.1", 1, "a.").replace(mac(1), ""), "neither a client identifier nor a hardware"),
    (HEADER4, row4("192.0.2.1", 1, "a.").replace(mac(1), "x"), "not octets in hex: x"),
    (HEADER4, row4("192.0.2.1", 1, "a.", flags="1,2"), "fqdn_rev is neither 0 nor 1: 2"),
    (HEADER4, row4("192.0.2.1", 1, "a.", lifetime=FOREVER + 1), "valid_lifetime is not a number from 0 to"),
    (HEADER6, row6("2001:db8::1", 1, "a.").replace("00:03:00:01", "").replace(f":{mac(1)}", "00"), "not a"),
])
def test_what_kea_skips_is_skipped_and_shown(tmp_path: Path, header: str, line: str, fault: str) -> None:
    file = tmp_path / "leases.csv"
    good = row4("192.0.2.7", 7, "b.") if header == HEADER4 else row6("2001:db8::7", 7, "b.")
    write(file, line, good, header=header)
    memfile = Memfile(str(file), 4 if header == HEADER4 else 6)
    assert len(held(memfile)) == 1
    (shown,) = memfile.faults
    assert shown.startswith(f"{file}:2: ")
    assert fault in shown


def test_many_faults_are_counted() -> None:
    assert list(shown_faults([str(number) for number in range(25)]))[-1] == "and 5 more"


@pytest.mark.parametrize(("text", "reason"), [
    ("address,hwaddr,mac\n", "leases.csv:1: the header has the column 'mac' instead of 'client_id'"),
    ("address,hwaddr\n", "leases.csv:1: the header has 2 columns, at least 9 are needed"),
])
def test_another_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "leases.csv").write_text(text)
    with pytest.raises(ReconcileError, match=reason):
        Memfile(str(tmp_path / "leases.csv"), 4).read()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match="there is no such lease file"):
        Memfile(str(tmp_path / "leases.csv"), 4).read()


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){1,3}\.?", fullmatch=True)


def escaped(text: str) -> str:
    """Return a text as Kea writes it: byte by byte, and with its escapes."""
    return "".join(chr(octet) if 0x20 <= octet <= 0x7E and octet not in b",&" else f"&#x{octet:02x}"
                   for octet in text.encode("latin-1"))


@given(
    host=st.ip_addresses(v=4), hardware=st.binary(min_size=1, max_size=20), client=st.binary(max_size=40),
    lifetime=st.integers(1, FOREVER), since=st.integers(0, 2**40), subnet=st.integers(0, 2**32 - 1),
    forward=st.booleans(), reverse=st.booleans(), hostname=st.text(st.characters(max_codepoint=255)),
    state=st.integers(0, 4),
)
def test_each_row_is_read_as_it_was_written(*, host: object, hardware: bytes, client: bytes, lifetime: int,
                                            since: int, subnet: int, forward: bool, reverse: bool,
                                            hostname: str, state: int) -> None:
    line = (f"{host},{hardware.hex(':')},{client.hex(':')},{lifetime},{since + lifetime},{subnet},"
            f"{forward:d},{reverse:d},{escaped(hostname)},{state},&#x7b &#x7d,0")
    row = RowReader(4, HEADER4).row(line)
    kind = Identifier.CLIENT_ID if client else Identifier.HARDWARE_ADDRESS
    read = hostname.encode("latin-1").decode("ascii", "surrogateescape")
    identifier = client or b"\x01" + hardware
    assert row == Row(address(str(host)), kind, identifier, lifetime, since + lifetime, subnet, forward,
                      reverse, read, state)
    assert isinstance(row, Row)
    assert row.since == since
    assert row.held(since) == (state == 0)
    assert row.held(since + lifetime) == (state == 0 and lifetime == FOREVER)


@given(name=NAMES, hardware=st.binary(min_size=1, max_size=20), client=st.binary(min_size=2, max_size=40))
def test_dhcids_are_those_of_requests(name: str, hardware: bytes, client: bytes) -> None:
    """Beside the other code that makes them; with an RFC 4361 identifier the DUID in it counts."""
    def made(kind: Identifier, identifier: bytes) -> str:
        row = Row(bytes(4), kind, identifier, 1, 1, 1, True, True, name.upper(), 0)
        return lease_of(row).dhcid.hex().upper()

    assert made(Identifier.HARDWARE_ADDRESS, b"\x01" + hardware) == dhcid(
        Identifier.HARDWARE_ADDRESS, b"\x01" + hardware, name)
    assert made(Identifier.DUID, client) == dhcid(Identifier.DUID, client, name)
    plain = b"\x01" + client
    assert made(Identifier.CLIENT_ID, plain) == dhcid(Identifier.CLIENT_ID, plain, name)
    assert made(Identifier.CLIENT_ID, b"\xff\0\0\0\1" + client) == dhcid(Identifier.DUID, client, name)


@pytest.mark.parametrize(("kind", "identifier"), [
    (Identifier.CLIENT_ID, b"\xff\0\0\0\1"), (Identifier.CLIENT_ID, b"\xff" + bytes(135)),
    (Identifier.HARDWARE_ADDRESS, b""),
])
def test_identifiers_without_a_dhcid(kind: Identifier, identifier: bytes) -> None:
    row = Row(bytes(4), kind, identifier, 1, int(time.time()), 1, True, True, "a.example.", 0)
    with pytest.raises(ValueError, match=r"holds no DUID|neither a client identifier"):
        lease_of(row)


@given(st.lists(st.text(st.characters(codec="latin-1", exclude_characters="\n")), max_size=8))
def test_any_line_is_read_or_refused(lines: list[str]) -> None:
    for family, header in ((4, HEADER4), (6, HEADER6)):
        reader = RowReader(family, header)
        for line in lines:
            with suppress(ValueError):
                reader.row(line)

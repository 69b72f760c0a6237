"""The requests of capture files: each form, and files that are damaged in any way."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.capture.lines import request_line, update_line
from pyd2.tools.replay.errors import CaptureError
from pyd2.tools.replay.source import Source
from pyd2.tools.requests import datagram
from tests.kit import ncr
from tests.tools.replay.captures import (
    COOKED,
    COOKED2,
    ETHERNET,
    NULL,
    RAW,
    REQUESTS,
    Frame,
    block,
    framed,
    pcap,
    pcapng,
    udp,
)

HOST = ncr.datagram(ncr.request("host.example.com.", "192.0.2.10", ncr.dhcid(b"1", "host.example.com.")))
OTHER = ncr.datagram(b"{ no request")
LINKS = (ETHERNET, NULL, RAW, COOKED, COOKED2)


def read(octets: bytes) -> tuple[list[tuple[float | None, bytes]], Source]:
    """Return the requests of a file, and its source."""
    with tempfile.NamedTemporaryFile(suffix=".capture") as file:
        file.write(octets)
        file.flush()
        source = Source(Path(file.name), REQUESTS)
        return [(request.at, request.datagram) for request in source.read()], source


def fault_of(octets: bytes) -> str:
    """Return what is wrong with a file, without its name."""
    with pytest.raises(CaptureError) as raised:
        read(octets)
    _, capture, text = str(raised.value).partition(".capture: ")
    assert capture
    return text


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_every_link(link: int, order: str, version: int) -> None:
    addresses = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    frames = [
        Frame(framed(udp(HOST, REQUESTS, *addresses), link)),
        Frame(framed(udp(b"a reply", 40000, *addresses), link)),
        Frame(framed(udp(OTHER, REQUESTS, *addresses), link), 1_800_000_001.5),
    ]
    expected = [(1_800_000_000.25, HOST), (1_800_000_001.5, OTHER)]
    for octets in (
        pcap(frames, link, order),
        pcap(frames, link, order, nanoseconds=True),
        pcapng(frames, link, order),
        pcapng(frames, link, order, 9),
        pcapng(frames, link, order, 0x8A, offset=1_700_000_000),
    ):
        found, source = read(octets)
        assert found == expected
        assert source.left_out == {"other packets": 1}
        assert source.cut_short == ""


@pytest.mark.parametrize("link", [ETHERNET, COOKED, COOKED2])
@pytest.mark.parametrize("tags", [1, 2])
def test_vlan_tags_of_every_link_that_has_them(link: int, tags: int) -> None:
    """The tag that the kernel took off is put back by libpcap into ``-i any`` too, before the EtherType."""
    frames = [
        Frame(framed(udp(HOST), link, tags)),
        Frame(framed(udp(OTHER, REQUESTS, "::1", "::1"), link, tags)),
        Frame(framed(udp(OTHER), link, tags)[:17]),
    ]
    found, source = read(pcap(frames, link))
    assert [octets for _, octets in found] == [HOST, OTHER]
    assert source.left_out == {"other packets": 1}


def test_vlan_tags_and_headers_before_udp() -> None:
    hop_by_hop = struct.pack("!BBHI", 17, 0, 0, 0)
    frames = [
        Frame(framed(udp(HOST), ETHERNET, tags=2)),
        Frame(framed(udp(OTHER, REQUESTS, "::1", "::1", extensions=hop_by_hop), ETHERNET)),
    ]
    assert [octets for _, octets in read(pcap(frames))[0]] == [HOST, OTHER]


def test_what_is_left_out_is_counted() -> None:
    whole = framed(udp(HOST), ETHERNET)
    frames = [
        Frame(framed(udp(HOST, fragment=0x2000), ETHERNET)),
        Frame(framed(udp(HOST, fragment=3), ETHERNET)),
        Frame(whole[:60], missing=len(whole) - 60),
        Frame(whole[:20], missing=len(whole) - 20),
        Frame(b"\x01\x02"),
        Frame(framed(b"\x45" + bytes(30), ETHERNET)),
    ]
    for octets in (pcap(frames), pcapng(frames)):
        found, source = read(octets)
        assert found == []
        assert source.left_out == {"fragments": 2, "packets captured in part": 2, "other packets": 2}


def test_blocks_of_packets_of_other_kinds() -> None:
    """The simple one, which has no time, and the one that was before it."""
    octets = framed(udp(HOST), ETHERNET)
    file = pcapng([])
    file += block(3, struct.pack("<I", len(octets)) + octets)
    file += block(2, struct.pack("<2H4I", 0, 0, 0, 7_000_000, len(octets), len(octets)) + octets)
    assert read(file)[0] == [(None, HOST), (7.0, HOST)]
    assert read(file + pcapng([Frame(octets)], order=">"))[0][2] == (1_800_000_000.25, HOST)


def test_a_file_that_ends_too_early_counts_until_there() -> None:
    """As when tcpdump was killed."""
    frame = Frame(framed(udp(HOST), ETHERNET))
    for octets, place in (
        (pcap([frame, frame]), "the file ends within a packet"),
        (pcapng([frame, frame]), "the file ends within a block"),
    ):
        found, source = read(octets[:-3])
        assert [request for _, request in found] == [HOST]
        assert source.cut_short.endswith(f": octet {len(octets) - 3}: {place}")


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (
            b"\xa1\xb2\xc3\xd4" + struct.pack(">HHiIII", 3, 0, 0, 0, 0, 1),
            "octet 4: version 3 of pcap is not known",
        ),
        (
            pcap([]) + struct.pack("<4I", 0, 0, 1 << 30, 1 << 30),
            "octet 24: a packet of 1073741824 octets: the file is damaged",
        ),
        (
            pcap([Frame(bytes(60))], link=147),
            ("octet 24: link type 147 is not known; capture on an Ethernet or loopback interface, or with "
            "'tcpdump -i any'"),
        ),
        (pcapng([])[:8] + bytes(20), "octet 8: no byte order of pcapng"),
        (
            pcapng([]) + struct.pack("<2I", 6, 7),
            f"octet {len(pcapng([])) + 4}: a block of 7 octets: the file is damaged",
        ),
        (
            pcapng([]) + block(6, struct.pack("<5I", 4, 0, 0, 0, 0)),
            f"octet {len(pcapng([]))}: a packet of interface 4, which the file does not describe",
        ),
        (
            pcapng([]) + block(6, struct.pack("<5I", 0, 0, 0, 99, 99)),
            f"octet {len(pcapng([]))}: a packet of 99 octets in a block of 20: the file is damaged",
        ),
        (pcapng([]) + block(6, b"1234"), f"octet {len(pcapng([]))}: the block of a packet is too short"),
        (pcapng([]) + block(1, b"1234"), f"octet {len(pcapng([]))}: the block of an interface is too short"),
        (
            pcapng([]) + block(5, b"1234")[:-4] + bytes(4),
            f"octet {len(pcapng([])) + 12}: a block of 16 octets ends as one of 0: the file is damaged",
        ),
    ],
)
def test_the_place_of_a_fault_is_named(octets: bytes, fault: str) -> None:
    assert fault_of(octets) == fault


def test_lines_of_the_daemon_and_of_the_queue() -> None:
    plain = HOST[2:]
    lines = [
        request_line(5.5, HOST),
        request_line(6.5, OTHER),
        plain + b"\n",
        b"\n",
        update_line(7.0, "192.0.2.53:53", b"update", b"reply", 1.5),
        update_line(8.0, "x:53", b"update"),
        b' { "at": 9, "request": { "fqdn" : "x." } }\n',
        b'{ "fqdn": "y.", "kea": +1 }\n',
    ]
    found, source = read(b"".join(lines))
    assert found == [
        (5.5, HOST),
        (6.5, OTHER),
        (None, HOST),
        (9, datagram(b'{"fqdn":"x."}')),
        (None, datagram(b'{ "fqdn": "y.", "kea": +1 }')),
    ]
    assert source.left_out == {"updates": 2}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{ "at": 1, "request": {} ', "line 2, column "),
        (b"[]", "line 2: it is no map"),
        (b'{ "at": "1", "request": {} }', "line 2: 'at' is no time in seconds"),
        (b'{ "at": -1, "request": {} }', "line 2: 'at' is no time in seconds"),
        (b'{ "at": 1, "request": [] }', "line 2: 'request' is no map"),
        (b'{ "at": 1, "datagram": 7 }', "line 2: 'datagram' is no string"),
        (b'{ "at": 1, "datagram": "AA=" }', "line 2: 'datagram' is no base64"),
        (
            b'{ "at": 1, "datagram": "%s" }' % (b"AAAA" * 22000),
            "line 2: 'datagram' has 66000 octets, more than a datagram can have",
        ),
        (b"x" * (1 << 21), "line 2: longer than 1048576 octets"),
    ],
)
def test_the_line_of_a_fault_is_named(line: bytes, fault: str) -> None:
    assert fault_of(HOST[2:] + b"\n" + line + b"\n").startswith(fault)


def test_a_last_line_that_is_cut_short_is_left_out() -> None:
    """As when the daemon was killed while it wrote; without its newline it may also be whole."""
    line = request_line(5.5, HOST)
    found, source = read(line + request_line(6.5, OTHER)[:-2])
    assert found == [(5.5, HOST)]
    assert source.cut_short.endswith(": line 2: the file ends within it")
    found, source = read(line + request_line(6.5, OTHER)[:-1])
    assert found == [(5.5, HOST), (6.5, OTHER)]
    assert not source.cut_short


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="it is no regular file"):
        list(Source(tmp_path, REQUESTS).read())
    with pytest.raises(FileNotFoundError):
        list(Source(tmp_path / "missing", REQUESTS).read())


CAPTURES = st.sampled_from(
    [
        make([Frame(framed(udp(HOST), link)), Frame(framed(udp(OTHER), link))], link)
        for make in (pcap, pcapng)
        for link in (ETHERNET, NULL, COOKED2)
    ]
    + [request_line(5.5, HOST) + request_line(6.5, OTHER)]
)


@settings(max_examples=150)
@given(CAPTURES, st.data())
def test_a_damaged_file_gives_requests_or_an_error_with_its_place(octets: bytes, data: st.DataObject) -> None:
    changed = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not changed:
            return
    try:
        read(bytes(changed))
    except CaptureError as error:
        text = str(error).partition(".capture: ")[2]
        assert text.startswith(("octet ", "line "))


@settings(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([b"", *(pcap([], link) for link in LINKS), pcapng([])]))
def test_octets_of_chance_give_requests_or_an_error(tail: bytes, head: bytes) -> None:
    try:
        read(head + tail)
    except CaptureError as error:
        text = str(error).partition(".capture: ")[2]
        assert text.startswith(("octet ", "line "))


@given(st.binary(max_size=400), st.floats(0, 4e9))
def test_a_line_gives_the_octets_back(octets: bytes, at: float) -> None:
    line = request_line(at, octets)
    json.loads(line)
    (found,), _ = read(line)
    assert found[1] == octets
    assert found[0] == pytest.approx(at, abs=1e-6)


@given(
    st.dictionaries(
        st.sampled_from(["fqdn", "lease-length", "a-b"]),
        st.one_of(st.text(max_size=8), st.integers(-5, 1 << 40), st.booleans(), st.none()),
    ),
    st.booleans(),
)
def test_a_line_gives_any_request_back(values: dict[str, object], compact: bool) -> None:
    octets = datagram(json.dumps(values, separators=(",", ":") if compact else None).encode())
    (found,), _ = read(request_line(5.0, octets))
    assert found[1] == octets

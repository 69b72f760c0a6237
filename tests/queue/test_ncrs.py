"""Whose a request is, as the durable queue reads it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pyd2.errors import NcrError
from pyd2.ncr import NameChangeRequest, decode
from pyd2.queue import ncrs
from pyd2.queue.ncrs import Newer
from tests.kit import ncr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

GOOD = ncr.request("host.example.com.", "192.0.2.1", ncr.dhcid(b"client", "host.example.com."))
DHCID = str(GOOD["dhcid"])


def octets(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


@given(
    parts=st.lists(st.sampled_from([
        f'"dhcid": "{DHCID}"', '"dhcid": "AABB"', '"dhcid":"aabb"', '"dhcid" : ""', '"dhcid": "AA BB"',
        '"dhcid": "A"', '"dh\\u0063id": "CCDD"', '"x": "\\"dhcid\\": \\"EEFF\\""', '"x": "dhcid"',
        '"fqdn": "dhcid.example.com."', '"dhcid": 1', '"x": {"dhcid": "AABB"}', '"lease-length": 99',
        '"fqdn": ".."',
    ]), max_size=4),
    behind=st.sampled_from(["", '"dhcid": "AABB"', "x"]),
)
def test_it_is_the_dhcid_that_the_engine_reads(parts: Sequence[str], behind: str) -> None:
    """And that of an invalid request as far as it has one: the two must never be taken for two clients."""
    rest = json.dumps({name: value for name, value in GOOD.items() if name != "dhcid"})[1:-1]
    datagram = octets("{" + ", ".join([rest, *parts]) + "}") + behind.encode()
    found = ncrs._DHCID.search(datagram)
    expected = bytes.fromhex(found[1].decode()) if found else datagram
    with suppress(NcrError):
        expected = decode(datagram).dhcid
    assert ncrs.client_of(datagram) == expected


def test_a_plain_request_is_not_decoded_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand that began in one turn while the file was unread held the update thread for 50 ms."""
    decoded: list[bytes] = []

    def counted(datagram: bytes, *arguments: Any) -> NameChangeRequest:
        decoded.append(datagram)
        return decode(datagram, *arguments)

    monkeypatch.setattr(ncrs, "decode", counted)
    newer = Newer()
    newer.add([ncr.datagram(GOOD)])
    assert newer._is_newer(ncr.datagram({**GOOD, "lease-length": 99, "dhcid": DHCID.lower()}))
    assert not decoded
    assert newer._is_newer(octets(json.dumps(GOOD).replace("dhcid", "dh\\u0063id")))
    assert len(decoded) == 1


MEMBERS = st.lists(st.sampled_from([
    f'"dhcid":"{DHCID}"', '"dhcid": "AABB"', '"dhcid":"aabb"', '"dhcid":""', '"dhcid":"A"', '"dhcid":"AZ"',
    '"dhcid":1', '"dhcid":"A A"', '"x": "\\"dhcid\\": \\"EEFF\\""', '"x": "dhcid"', '"lease-length": 99',
]), min_size=1, max_size=2)


@given(st.lists(st.one_of(st.just(['"dhcid":"AABB"']), MEMBERS), max_size=6))
def test_those_of_many_are_those_of_each(requests: list[list[str]]) -> None:
    datagrams = [octets("{" + ", ".join(members) + "}") for members in requests]
    assert ncrs.clients_of(datagrams) == list(map(ncrs.client_of, datagrams))

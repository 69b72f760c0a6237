"""The numbers, beside dnspython's."""

from __future__ import annotations

import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from pyd2.dns.constants import Opcode, Rcode, RRClass, RRType, rcode_text


def test_numbers_are_those_of_the_registry() -> None:
    assert all(int(dns.rdatatype.from_text(member.name)) == int(member) for member in RRType)
    assert all(int(dns.rdataclass.from_text(member.name)) == int(member) for member in RRClass)
    assert all(int(dns.opcode.from_text(member.name)) == int(member) for member in Opcode)
    assert all(int(dns.rcode.from_text(member.name)) == int(member) for member in Rcode)


@pytest.mark.parametrize(("rcode", "text"), [
    (0, "NOERROR"), (3, "NXDOMAIN"), (8, "NXRRSET"), (10, "NOTZONE"), (11, "RESERVED11"), (15, "RESERVED15"),
    (16, "BADVERS"), (17, "17"), (4095, "4095"),
])
def test_response_codes_are_shown_as_kea_does(rcode: int, text: str) -> None:
    assert rcode_text(rcode) == text

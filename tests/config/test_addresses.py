"""Addresses are read and printed as by inet_pton and inet_ntop. Kea itself is the oracle elsewhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.config.addresses import address_text, parse_address
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


@settings(deadline=None)
@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_an_address_is_itself_again(address: IPv4Address | IPv6Address) -> None:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    assert parse_address(str(address)) == address
    assert address_text(address) == socket.inet_ntop(family, address.packed)
    assert parse_address(address_text(address)) == address


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("fe80::1%lo", "fe80::1%lo"),
        ("fe80::1%1", "fe80::1%lo"),
        ("fe80::1%nope", "fe80::1"),
        ("fe80::1%4000000000", "fe80::1%4000000000"),
        ("2001:db8::1%5", "2001:db8::1%5"),
        ("2001:db8::1%lo", "2001:db8::1"),
        ("ff02::1%lo", "ff02::1%lo"),
        ("::1%", "::1"),
        ("127.0.0.1\0 and more", "127.0.0.1"),
    ],
)
def test_spellings(text: str, printed: str) -> None:
    assert address_text(parse_address(text)) == printed


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    fault = None
    try:
        address = parse_address(text)
    except ConfigError as error:
        fault = str(error)
    if fault is None:
        assert parse_address(address_text(address)) == address
    else:
        assert fault == f"Failed to convert string to address '{text}': Invalid argument"


@pytest.mark.parametrize("text", ["", "1.2.3", "010.1.1.1", "1.2.3.4 ", "1.2.3.4%lo", "::g", "\udcff", "%lo"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^Failed to convert string to address "):
        parse_address(text)

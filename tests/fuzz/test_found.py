"""Inputs that once did harm."""

from __future__ import annotations

import time

import pytest

from pyd2.data.json import from_json
from pyd2.errors import JsonError
from tests.fuzz.config_target import ConfigTarget
from tests.fuzz.runner import ACCEPTED


@pytest.mark.parametrize("tail", ["e", "e+", ".e", "..", "-"])
def test_a_long_number_with_a_wrong_end(tail: str) -> None:
    """It took time by the square of its length: half a second for one datagram, hours for this."""
    with pytest.raises(JsonError):
        from_json(b"1" * 1_000_000 + tail.encode())


def test_a_fault_behind_thousands_of_quotes() -> None:
    """Each quote began a search for the end of a string, which took a minute for 64 KB."""
    text = b'{"a":"' + b'\\"' * 20_000 + b'\n","b":tx}'
    began = time.thread_time()
    with pytest.raises(JsonError, match=r"^Bad boolean value: tx in "):
        from_json(text)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("zone", [b"9" * 5000, b"-" + b"9" * 5000, b"0" * 5000 + b"1"])
def test_an_address_with_a_long_zone(zone: bytes) -> None:
    """Python does not read numbers of more than 4300 digits."""
    text = b'{"DhcpDdns":{"ip-address":"fe80::1%' + zone + b'"}}'
    assert list(ConfigTarget().run((text, b""))) == [ACCEPTED]

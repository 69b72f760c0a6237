"""Dead letters of a site as octets."""

from __future__ import annotations

import pytest

from pyd2.queue.interface import DeadLetter
from pyd2.queue.shared.batch import BatchError
from pyd2.queue.shared.dead import read_dead, write_dead


def test_a_dead_letter_is_read_as_it_was_written() -> None:
    dead_letter = DeadLetter(0, 1.25, 2.5, "why: \N{SNOWMAN}", bytes(range(256)))
    assert read_dead(7, write_dead(dead_letter)) == dead_letter._replace(number=7)


@pytest.mark.parametrize("octets", [
    b"", b"[]", b"{}", b'{"format":2}', b'{"format":1,"taken":1,"died":1,"reason":"","datagram":"*"}',
    b'{"format":1,"taken":"x","died":1,"reason":"","datagram":""}', b'{"format":1,"taken":1}',
])  # fmt: skip
def test_what_is_none_is_an_error(octets: bytes) -> None:
    with pytest.raises(BatchError):
        read_dead(1, octets)

"""The record: it comes back as it was written, and one that cannot be read is never taken for another."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.queue.shared.batch import BatchNumber
from pyd2.queue.shared.record import NO_RECORD, Record, RecordError, read_record, write_record

NUMBERS = st.builds(BatchNumber, st.integers(0, 10**9), st.integers(0, 10**9))
NAMES = st.text("abc.0-_", max_size=8)
RECORDS = st.builds(
    Record, NAMES, st.integers(0, 2**53), st.integers(0, 2**53), st.none() | st.tuples(NAMES, NUMBERS),
    st.dictionaries(NAMES, NUMBERS, max_size=4),
)  # fmt: skip


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    assert read_record(write_record(record)) == record


def test_its_form() -> None:
    """Other releases read it: a change needs another format."""
    record = Record("n1.ab", 3, 17, ("r1.cd", BatchNumber(2, 9)), {"r1.cd": BatchNumber(2, 9)})
    assert write_record(record) == (
        b'{"format":1,"node":"n1.ab","epoch":3,"floor":17,"at":["r1.cd","2.9"],"seen":{"r1.cd":"2.9"}}')
    assert write_record(NO_RECORD) == b'{"format":1,"node":"","epoch":0,"floor":0,"at":null,"seen":{}}'


@pytest.mark.parametrize(("change", "fault"), [
    ({"format": 2}, "has the format 2, and this pyd2 knows 1"),
    ({"format": None}, "has the format None"),
    ({"node": None}, "damaged"),
    ({"epoch": -1}, "damaged"),
    ({"epoch": True}, "damaged"),
    ({"floor": 1.5}, "damaged"),
    ({"at": "x"}, "damaged"),
    ({"at": ["r"]}, "damaged"),
    ({"at": ["r", "x"]}, "damaged"),
    ({"seen": []}, "damaged"),
    ({"seen": {"r": 1}}, "damaged"),
])
def test_a_record_that_is_not_understood_is_refused(change: dict[str, Any], fault: str) -> None:
    fields = orjson.loads(write_record(NO_RECORD))
    with pytest.raises(RecordError, match=fault):
        read_record(orjson.dumps({**fields, **change}))


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"1", b"{}", b"\xff"])
def test_what_is_no_record_is_refused(octets: bytes) -> None:
    with pytest.raises(RecordError, match="damaged"):
        read_record(octets)

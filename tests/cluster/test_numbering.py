"""What numbers the batches of a receiver: it only rises, or it is another receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.cluster.numbering import FILE, Numbering, next_numbering

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = 0.0
"""The clock of a machine that has forgotten the time: only the file counts then."""


def machine(directory: Path, text: str) -> str:
    path = directory / f"machine-{text}"
    path.write_text(f"{text}\n")
    return str(path)


def test_each_start_is_counted(tmp_path: Path) -> None:
    here = machine(tmp_path, "a")
    first = next_numbering(str(tmp_path), LONG_AGO, machine_id=here)
    assert first == Numbering(first.instance, 1)
    assert [next_numbering(str(tmp_path), LONG_AGO, machine_id=here) for _ in range(2)] == \
        [Numbering(first.instance, 2), Numbering(first.instance, 3)]
    assert (tmp_path / FILE).stat().st_mode & 0o777 <= 0o640


def test_no_number_is_used_again_when_the_file_is_restored(tmp_path: Path) -> None:
    """A machine that goes back to a snapshot: all that it took was skipped for some starts."""
    here = machine(tmp_path, "a")
    next_numbering(str(tmp_path), 1000.0, machine_id=here)
    snapshot = (tmp_path / FILE).read_bytes()
    used = [next_numbering(str(tmp_path), now, machine_id=here) for now in (2000.0, 3000.0, 3000.5)]
    (tmp_path / FILE).write_bytes(snapshot)
    again = next_numbering(str(tmp_path), 3100.0, machine_id=here)
    assert again.instance == used[-1].instance
    assert again.boot > max(numbering.boot for numbering in used)


def test_a_clock_that_is_set_back_makes_no_number_lower(tmp_path: Path) -> None:
    here = machine(tmp_path, "a")
    boots = [next_numbering(str(tmp_path), now, machine_id=here).boot for now in (9e8, 9e8, 5.0, 9e8, 0.0)]
    assert boots == sorted(set(boots))


def test_a_copy_on_another_machine_is_another_receiver(tmp_path: Path) -> None:
    first = next_numbering(str(tmp_path), LONG_AGO, machine_id=machine(tmp_path, "a"))
    copied = next_numbering(str(tmp_path), LONG_AGO, machine_id=machine(tmp_path, "b"))
    assert copied.boot == 1
    assert copied.instance != first.instance


@pytest.mark.parametrize("text", [
    b"", b"nonsense", b"[]", b"{}", b'{"instance":"a.b","boot":1,"machine":""}',
    b'{"instance":"0123456789abcdef","boot":0,"machine":""}',
    b'{"instance":"0123456789abcdef","boot":true,"machine":""}',
    b'{"instance":"0123456789abcdef","boot":7,"machine":"other"}',
    b'{"instance":5,"boot":7,"machine":""}',
])
def test_a_file_that_cannot_be_used_makes_another_receiver(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    none = str(tmp_path / "none")
    made = next_numbering(str(tmp_path), LONG_AGO, machine_id=none)
    assert made.boot == 1
    assert made.instance != "0123456789abcdef"
    assert next_numbering(str(tmp_path), LONG_AGO, machine_id=none) == Numbering(made.instance, 2)


def test_what_cannot_be_written_is_not_used_twice(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    first, second = (next_numbering(str(missing)) for _ in range(2))
    assert first.boot == second.boot == 1
    assert first.instance != second.instance

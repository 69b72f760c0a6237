"""A database that is given up is closed, whatever has gone wrong: Python 3.13 warns of one that is not."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.queue.interface import StoreError
from pyd2.queue.sqlite.database import Database

if TYPE_CHECKING:
    from pathlib import Path


def is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_a_file_that_goes_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, made = sqlite3.connect, list[sqlite3.Connection]()

    def connect_and_lose(*arguments: Any, **named: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **named))
        (tmp_path / "file").unlink()
        return made[0]

    monkeypatch.setattr(sqlite3, "connect", connect_and_lose)
    with pytest.raises(StoreError, match="file: No such file or directory"):
        Database(tmp_path / "file", read_only=False, create=True)
    assert is_closed(made[0])


def test_an_end_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(tmp_path / "file", read_only=False, create=True)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupt)
        with pytest.raises(KeyboardInterrupt):
            database.close(worked_in=True)
    assert is_closed(database._sqlite)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.reconcile.station import Station, station

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def made(d2_binary: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    with station(d2_binary) as running:
        monkeypatch.setenv("KEA_CONTROL_SOCKET_DIR", str(running.directory))
        monkeypatch.chdir(running.directory)
        yield running

"""The installed command as another Kea release, and a directory for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.as_kea import as_kea
from tests.kit.d2 import private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def directory() -> Iterator[Path]:
    with private_directory() as path:
        yield path


@pytest.fixture
def pyd2(d2_binary: str, tmp_path: Path) -> Callable[[str], str]:
    """Return the installed command as a Kea release."""
    return lambda release: as_kea(d2_binary, release, tmp_path)

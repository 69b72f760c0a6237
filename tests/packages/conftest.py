"""The launcher, compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.packages.launcher import compile_launcher

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program kea-dhcp-ddns of pyd2."""
    return compile_launcher(tmp_path_factory.mktemp("launcher"))

"""A daemon with the page for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.site import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.site import Site


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_pyd2:
        pytest.skip("Kea has no page")
    with running(d2_binary, tmp_path_factory.mktemp("history")) as site:
        yield site

"""A daemon with a history and BIND for the tests of a module, which put other configurations in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.history.site import Site, running_site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def module_site(
    d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    if not is_pyd2:
        pytest.skip("Kea has no history")
    with running_site(d2_binary, tmp_path_factory.mktemp("history")) as site:
        yield site


@pytest.fixture
def site(module_site: Site) -> Site:
    """The daemon with its first configuration."""
    module_site.use(module_site.body())
    return module_site

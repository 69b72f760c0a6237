"""The engine's tests run on each packet layer."""

from collections.abc import Iterator

import pytest

from pyd2.backend import NAMES
from tests.update import support


@pytest.fixture(scope="module", autouse=True, params=NAMES)
def packet_layer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the engines of a module's tests work with a packet layer; return its name."""
    before, support.LAYER = support.LAYER, request.param
    yield request.param
    support.LAYER = before

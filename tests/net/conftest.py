"""The tests of the sockets run with each back end."""

from collections.abc import Iterator

import pytest

from pyd2.backend import NAMES, make_backend
from pyd2.net.datagrams import Datagrams
from tests.net import chosen


@pytest.fixture(scope="module", params=NAMES)
def datagrams(request: pytest.FixtureRequest) -> Iterator[Datagrams]:
    """Let a module's tests work with the datagrams of one back end."""
    before = chosen.name, chosen.datagrams
    chosen.name, chosen.datagrams = request.param, make_backend(request.param).datagrams
    yield chosen.datagrams
    chosen.name, chosen.datagrams = before


@pytest.fixture
def packet_layer(datagrams: Datagrams) -> str:
    """Return the name of the back end."""
    return chosen.name

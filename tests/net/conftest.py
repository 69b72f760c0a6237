"""The tests of the sockets run with each kind of datagrams."""

from collections.abc import Iterator

import pytest

from pyd2.net.datagrams import Datagrams, make_datagrams
from pyd2.packets.layer import NAMES
from tests.net import chosen


@pytest.fixture(scope="module", params=NAMES)
def datagrams(request: pytest.FixtureRequest) -> Iterator[Datagrams]:
    """Let a module's tests work with one kind of datagrams."""
    before, chosen.datagrams = chosen.datagrams, make_datagrams(request.param)
    yield chosen.datagrams
    chosen.datagrams = before


@pytest.fixture(params=NAMES)
def packet_layer(request: pytest.FixtureRequest) -> str:
    """Name each packet layer in turn."""
    return str(request.param)

"""What the conformance tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance import deviations
from tests.kit.station import Station

Expect = Callable[[str, str, dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="session")
def expect(is_pyd2: bool) -> Expect:
    """Turn a recorded outcome into the one this D2 must show.

    The real server must show the recorded outcome itself; pyd2 that with the deviations applied.
    """
    if is_pyd2:
        return deviations.expected
    return lambda kind, name, recorded: recorded


@pytest.fixture(scope="module")
def station(d2_binary: str) -> Iterator[Station]:
    with Station(d2_binary) as station:
        yield station

"""What the conformance tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance import deviations
from tests.kit.process import version_report
from tests.kit.station import Station

Expect = Callable[[str, str, dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="session")
def expect(d2_binary: str) -> Expect:
    """Turn a recorded outcome into the one this D2 must show.

    The real server must show the recorded outcome itself; pyd2 that with the deviations applied.
    """
    if deviations.applies_to(version_report(d2_binary)):
        return deviations.expected
    return lambda kind, name, recorded: recorded


@pytest.fixture(scope="module")
def station(d2_binary: str) -> Iterator[Station]:
    with Station(d2_binary) as station:
        yield station

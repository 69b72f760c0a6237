"""What the conformance tests share."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance import deviations
from tests.conformance.recordings import RECORDINGS, Recording
from tests.kit.as_kea import as_kea
from tests.kit.station import Station

Expect = Callable[[Recording, str, str, dict[str, Any]], dict[str, Any]]
Stations = Callable[[Recording], Station]


@pytest.fixture(scope="session")
def expect(is_pyd2: bool) -> Expect:
    """Turn a recorded outcome into the one this D2 must show.

    The real server must show the recorded outcome itself; pyd2 that with the deviations applied.
    """
    if is_pyd2:
        return deviations.expected
    return lambda recording, kind, name, recorded: recorded


@pytest.fixture(scope="session")
def d2_of(
    d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Recording], str]:
    """Return the D2 under test as the Kea of a recording. The real server is of one release only."""
    releases = {recording.release for recording in RECORDINGS}
    if is_pyd2:
        directory = tmp_path_factory.mktemp("as-kea")
        programs = {release: as_kea(d2_binary, release, directory) for release in releases}
        return lambda recording: programs[recording.release]
    real = subprocess.run([d2_binary, "-v"], capture_output=True, text=True, check=True).stdout.strip()

    def real_of(recording: Recording) -> str:
        if recording.release != real:
            pytest.skip(f"{d2_binary} is Kea {real}, the case is of {recording.release}")
        return d2_binary

    return real_of


@pytest.fixture(scope="module")
def station_of(d2_of: Callable[[Recording], str]) -> Iterator[Stations]:
    """Return the station of a recording's Kea; there is one at a time."""
    current: tuple[str, Station] | None = None

    def get(recording: Recording) -> Station:
        nonlocal current
        binary = d2_of(recording)
        if current is None or current[0] != binary:
            if current is not None:
                current[1].close()
            current = binary, Station(binary)
        return current[1]

    yield get
    if current is not None:
        current[1].close()

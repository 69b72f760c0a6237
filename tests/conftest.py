"""Options and fixtures that all tests share."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.kit import kea
from tests.kit.as_kea import as_kea
from tests.kit.process import version_report

# How long an example takes says nothing on a machine that does other things meanwhile.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--d2", default=str(Path(sys.executable).with_name("pyd2")), metavar="PATH",
                     help="the D2 under test: pyd2 (default) or the real kea-dhcp-ddns")
    parser.addoption("--kea", default="2.6", metavar="RELEASE",
                     help="the real Kea beside it: 2.6 (default, installed), or 3.0 or 3.0.3 (./dev kea)")

    # Now, for modules of tests and conftest.py files look at it when they are imported.
    kea.choose(parser.parse_known_args(sys.argv[1:]).kea)


@pytest.fixture(scope="session")
def d2_binary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the D2 under test; pyd2 behaves like the chosen Kea."""
    path = Path(request.config.getoption("--d2"))
    if not path.is_file():
        pytest.fail(f"no D2 at {path}: install pyd2 beside this Python, or pass --d2 PATH", pytrace=False)
    binary = str(path.absolute())
    if kea.chosen().root is None or "(pyd2 " not in version_report(binary):
        return binary
    return as_kea(binary, kea.chosen().release, tmp_path_factory.mktemp("as-kea"))


@pytest.fixture(scope="session")
def is_pyd2(d2_binary: str) -> bool:
    """Whether the D2 under test is pyd2; the real server has weaknesses that pyd2 must not have."""
    return "(pyd2 " in version_report(d2_binary)

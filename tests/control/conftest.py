"""Certificates for the tests of HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.certificates import make_authority, make_certificate

if TYPE_CHECKING:
    from tests.kit.certificates import Certificate


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate, Certificate]:
    """An authority, a server and a client."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder)
    server = make_certificate(folder, authority, "IP:127.0.0.1")
    return authority, server, make_certificate(folder, authority, "DNS:client.test", "client")

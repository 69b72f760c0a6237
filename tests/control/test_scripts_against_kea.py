"""Random scripts over UNIX sockets, HTTP and HTTPS, to pyd2 and to the real Kea 3.0: see scripts.py.

With PYD2_SCRIPTS=300 there are more of them, and PYD2_FIRST_SCRIPT=1000 begins with another.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.control.scripts import Scripts, differences, outcome
from tests.kit import kea
from tests.kit.as_kea import as_kea
from tests.kit.certificates import make_authority, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.control.scripts import Case

pytestmark = [pytest.mark.peers, pytest.mark.kea30, pytest.mark.timeout(7200)]

COUNT = int(os.environ.get("PYD2_SCRIPTS", "6"))
FIRST = int(os.environ.get("PYD2_FIRST_SCRIPT", "0"))


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of TLS: of an authority, a server and a client."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder)
    server = make_certificate(folder, authority, "IP:127.0.0.1")
    client = make_certificate(folder, authority, "DNS:client.test", "client")
    files = {"ca.pem": authority.cert, "d2.pem": server.cert, "d2.key": server.key, "client.pem": client.cert,
             "client.key": client.key}  # fmt: skip
    return {name: path.read_text() for name, path in files.items()}


def both(real: str, ours: str, case: Case) -> tuple[Case, Case]:
    """Run a script on two D2s at a time."""
    found: dict[str, Case] = {}
    threads = [
        threading.Thread(target=lambda binary=binary: found.update({binary: outcome(binary, case)}))
        for binary in (real, ours)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found[real], found[ours]


def test_both_do_the_same(d2_binary: str, pem: dict[str, str], tmp_path: Path) -> None:
    kea_3_0 = kea.unpacked("3.0")
    real, ours = kea_3_0.program("kea-dhcp-ddns"), as_kea(d2_binary, kea_3_0.release, tmp_path)
    found = []
    for number in range(FIRST, FIRST + COUNT):
        case = Scripts(number, pem).case()
        lines = differences(case, *both(real, ours, case))
        if lines:
            print(f"script {number}:", *lines, sep="\n  ", flush=True)
            found.append(number)
    assert found == []

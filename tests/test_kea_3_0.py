"""The tests of the bridge, and those beside the real server, again with Kea 3.0.

A process can load one Kea only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.peers, pytest.mark.kea30, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[1]
BRIDGE = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/hooks/kea/test_*.py"))
# A reply with an EDNS option ends the real 3.0.3: an assertion of the C++ library fails.
ENDS_KEA = "--deselect tests/dns/test_against_kea.py::test_replies_are_judged_as_kea_does"
BESIDE_KEA = (
    "tests/config/test_against_kea_files.py tests/config/test_against_kea_commands.py",
    "tests/conformance/test_side_by_side.py",
    "tests/control/test_against_kea.py",
    f"tests/dns/test_against_kea.py {ENDS_KEA}",
    "tests/interop/test_control_agent.py",
    "tests/interop/test_dhcp_clients.py",
    "tests/interop/test_differential.py",
    "tests/observe/test_pattern.py",
    "tests/tools/reconcile/database/test_servers.py",
    "tests/tools/reconcile/test_acceptance.py",
)
AGAIN = (*BRIDGE, *BESIDE_KEA)


@pytest.mark.parametrize("selection", AGAIN)
def test_again(selection: str) -> None:
    pytest_again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kea", "3.0"]
    command = [*pytest_again, *selection.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-4000:]

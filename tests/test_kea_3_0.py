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
AGAIN = (*BRIDGE,)


@pytest.mark.parametrize("selection", AGAIN)
def test_again(selection: str) -> None:
    pytest_again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kea", "3.0"]
    command = [*pytest_again, *selection.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-4000:]

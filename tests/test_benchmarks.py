"""The benchmark drives a daemon to the end and reports what it saw; the figures themselves are no test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_request_is_carried_out(d2_binary: str, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--requests", "100", "--rounds", "2", "--window", "7",
               "--daemon", d2_binary, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    (runs,) = figures["runs"].values()
    assert [run["lost"] for run in runs] == [0, 0]
    assert all(run["rate"] > 0 and run["version"].startswith("2.6.3") for run in runs)
    assert set(figures["about"]) == {"commit", "machine", "requests", "window"}
    assert Path(d2_binary).name in done.stdout

"""The environment variable that chooses the daemon's packet layer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyd2 import daemon
from pyd2.daemon import PACKET_LAYER


@pytest.mark.parametrize(
    ("value", "name"), [(None, "compiled"), ("", "compiled"), ("compiled", "compiled"), ("plain", "plain")]
)
def test_the_choice(monkeypatch: pytest.MonkeyPatch, value: str | None, name: str) -> None:
    monkeypatch.delenv(PACKET_LAYER, raising=False)
    if value is not None:
        monkeypatch.setenv(PACKET_LAYER, value)
    assert daemon._choose_packet_layer().name == name


def test_a_wrong_choice_ends_the_start(tmp_path: Path) -> None:
    config = tmp_path / "d2.json"
    config.write_text('{ "DhcpDdns": {} }')
    environment = {"KEA_PIDFILE_DIR": str(tmp_path), "KEA_LOCKFILE_DIR": "none", PACKET_LAYER: "fast"}
    command = [sys.executable, "-m", "pyd2", "-c", str(config)]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Service failed: PYD2_PACKET_LAYER is fast: there is no packet layer fast: choose compiled or plain\n"
    )
    assert list(tmp_path.iterdir()) == [config]


def test_a_layer_that_was_not_built_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PACKET_LAYER, "compiled")
    monkeypatch.setitem(sys.modules, "pyd2.packets.compiled", None)
    with pytest.raises(daemon.LaunchError, match="PYD2_PACKET_LAYER is compiled: import of"):
        daemon._choose_packet_layer()

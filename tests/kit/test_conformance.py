"""The rig of the conformance cases: what a busy machine does to a D2 is not taken for the D2's doing."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import cases
from tests.kit import station as station_module
from tests.kit.conformance import PortTakenError, run_config
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.station import Station
from tests.kit.transactions import run_transaction

TAKEN_AT_FIRST = """#!{python}
import pathlib, signal, sys
if sys.argv[1] == "-c":
    starts = pathlib.Path({starts!r})
    count = starts.stat().st_size if starts.exists() else 0
    starts.write_bytes(bytes(count + 1))
    print("DHCP_DDNS_STARTED server version 2.6.3 started", flush=True)
    if count < {taken}:
        print("DHCP_DDNS_QUEUE_MGR_START_ERROR Open failed: Address already in use", flush=True)
    signal.sigwait({{signal.SIGTERM}})
"""


def _d2(tmp_path: Path, taken: int) -> tuple[str, Path]:
    """Return a D2 whose port is taken at its first starts, and a file with an octet for each start."""
    program, starts = tmp_path / "d2", tmp_path / "starts"
    program.write_text(TAKEN_AT_FIRST.format(python=sys.executable, starts=str(starts), taken=taken))
    program.chmod(0o755)
    (tmp_path / "empty.json").write_text('{ "DhcpDdns": { } }')
    return str(program), starts


def test_a_default_port_that_is_taken_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    """It lies where the kernel takes the ports of outgoing sockets."""
    program, starts = _d2(tmp_path, 1)
    outcome = run_config(program, {"file": "empty.json"}, tmp_path)
    assert len(starts.read_bytes()) == 2
    assert "already in use" not in str(outcome)
    program, starts = _d2(tmp_path, 10)
    with pytest.raises(PortTakenError, match="Address already in use"):
        run_config(program, {"file": "empty.json"}, tmp_path)


def test_an_answer_that_comes_too_late_costs_no_try(d2_binary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that was paused; the case is carried out again with more time."""
    late: list[bytes] = []

    class Late(ScriptedDns):
        def _send(self, sock: socket.socket, payload: bytes, peer: Any) -> None:
            if sock is self._elsewhere or late:
                super()._send(sock, payload, peer)
            else:
                late.append(payload)

    monkeypatch.setattr(station_module, "ScriptedDns", Late)
    with Station(d2_binary) as station:
        outcome = run_transaction(station, cases.load("transactions", "resp-other-source"))
    assert late
    assert outcome["stats"]["update-sent"] == 2
    assert len(outcome["updates"]) == 2

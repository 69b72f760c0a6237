"""``pyd2ctl ping``: whether a daemon works, for health checks."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pyd2.tools.cli import main
from tests.packages.launcher import running

if TYPE_CHECKING:
    from pathlib import Path


def test_a_daemon_that_works_answers(d2_binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(d2_binary) as d2:
        assert main(["ping", str(d2.socket)]) == 0
        assert re.fullmatch(rf"pid {d2.process.pid} has been running for \d+ s\n", capsys.readouterr().out)
        d2.stop()
        assert main(["ping", str(d2.socket)]) == 1
        assert f"pyd2ctl ping: no answer over {d2.socket}: " in capsys.readouterr().err


@pytest.mark.parametrize("answer", [
    b"", b"{", b"[]", b"7", b'{ "result": 1, "text": "no" }', b'{ "arguments": { "pid": 1 } }',
    b'{ "arguments": [] }',
])
def test_other_answers_are_none(answer: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert main(["ping", path]) == 1
        thread.join()
    assert f"pyd2ctl ping: no answer over {path}: " in capsys.readouterr().err


def test_a_daemon_that_hangs_does_not_hang_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert main(["ping", path, "--timeout", "0.05"]) == 1
    assert "timed out" in capsys.readouterr().err

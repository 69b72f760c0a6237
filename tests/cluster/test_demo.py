"""The demo with three servers of NATS, and what it does when these don't form a cluster."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from pyd2.queue.nats.connection import Client, connect
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site
from pyd2.tools.cli import main
from pyd2.tools.cluster import local_servers
from pyd2.tools.daemon_process import DaemonError
from pyd2.tools.ports import free_ports
from tests.kit.process import find_program

if TYPE_CHECKING:
    from pathlib import Path

    from pyd2.config.nats.servers import Server


@pytest.fixture(autouse=True)
def nats_server() -> str:
    return find_program("nats-server", "nats-server")


def test_an_owner_is_killed_and_the_zone_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--cluster"]) == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert "owns the queue and is killed" in out
    assert "the zone has 400 of 400 names" in out
    assert out.endswith("All as it should be.\n")


async def _has_the_streams(server: Server) -> bool:
    connection = await connect(Client("pyd2ctl", "pyd2.inbox.test"), server)
    try:
        return await JetStream(connection).stream_state(Site("demo").dead) is not None
    finally:
        connection.end("looked")


@pytest.mark.parametrize("taken", [1, 4], ids=["clients", "routes"])
def test_a_port_that_another_program_takes(
    taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second server can't listen, so the three are started again on other ports."""
    real = free_ports
    with socket.create_server(("127.0.0.1", 0)) as other:
        given: list[list[int]] = []

        def ports(count: int) -> list[int]:
            given.append(real(count))
            if len(given) == 1:
                given[0][taken] = other.getsockname()[1]
            return given[-1]

        async def play() -> None:
            async with local_servers.queue_of_three(tmp_path, "demo") as servers:
                assert [server.port for server in servers] == given[1][: local_servers.COUNT]
                assert await _has_the_streams(servers[0])

        monkeypatch.setattr(local_servers, "free_ports", ports)
        asyncio.run(play())
    assert "form no cluster: a nats-server has ended with status 1" in capsys.readouterr().out


def test_no_cluster_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(local_servers, "free_ports", lambda count: [port] * count)

        async def play() -> None:
            async with local_servers.queue_of_three(tmp_path, "demo"):
                pytest.fail("a cluster on one port")

        with pytest.raises(DaemonError, match="formed in 4 attempts"):
            asyncio.run(play())

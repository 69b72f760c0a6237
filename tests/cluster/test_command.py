"""``pyd2ctl queue create`` and ``check`` with real servers."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, SiteQueue
from pyd2.queue.shared.record import NO_RECORD
from pyd2.tools.cli import main
from pyd2.tools.cluster import command
from tests.kit.nats_servers import NatsServer, nats_servers
from tests.kit.waiting import wait_until
from tests.queue.nats.played import TIMEOUT, connected, of_real

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers


def write_config(directory: Path, servers: list[NatsServer], **more: Any) -> str:
    queue = {"type": "nats", "servers": [f"nats://127.0.0.1:{server.port}" for server in servers],
             "site": "site-a", "name": "n1", **more}
    path = directory / "d2.json"
    path.write_text(json.dumps({"DhcpDdns": {"user-context": {"pyd2": {"queue": queue}}}}))
    return str(path)


def test_a_queue_is_made_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def claim(server: NatsServer) -> None:
        async with connected(of_real(server)) as connection:
            queue = SiteQueue(JetStream(connection), Site("site-a"))
            revision, _ = await queue.record()
            await queue.replace(NO_RECORD._replace(node="n1.x", epoch=1), revision, TIMEOUT)

    def says(pattern: str, config: str) -> bool:
        status = main(["queue", "check", config])
        return status == 1 and re.search(pattern, capsys.readouterr().out) is not None

    with nats_servers(3) as servers:
        config = write_config(tmp_path, servers)
        assert main(["queue", "create", config]) == 0
        assert "PYD2-REQ-site-a-0: 3 replicas on " in capsys.readouterr().out
        assert main(["queue", "create", config]) == 0  # it is there
        capsys.readouterr()
        assert main(["queue", "check", config]) == 1
        out = capsys.readouterr().out
        assert "WRONG: no node owns the queue of site-a: no updates are made. Start a daemon" in out
        asyncio.run(claim(servers[0]))
        assert main(["queue", "check", config]) == 0
        assert "queue of site-a: owned by n1.x, epoch 1, done up to batch 0" in capsys.readouterr().out
        impatient = write_config(tmp_path, servers, lease=2, grace=0.5)
        gone = r"WRONG: n1\.x owns the queue of site-a and has not renewed its lease for \d+ seconds"
        wait_until(lambda: says(gone, impatient), "the end of the lease")
        servers[2].process.kill()
        assert main(["queue", "check", config]) == 1
        out = capsys.readouterr().out
        assert f"WRONG: nats://127.0.0.1:{servers[2].port}: Connection refused" in out
        servers[1].process.kill()
        wait_until(lambda: says("WRONG: PYD2-REQ-site-a-0 has no leader", config), "the last one to give up")


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with nats_servers() as servers:
        config = write_config(tmp_path, servers)
        assert main(["queue", "check", config]) == 1
        text = "WRONG: PYD2-REQ-site-a-0: stream not found: make it by 'pyd2ctl queue create'"
        assert text in capsys.readouterr().out
        assert main(["queue", "create", config, "--replicas", "1"]) == 0
        assert "PYD2-OWN-site-a-0: 1 replica on " in capsys.readouterr().out
        assert main(["queue", "check", config]) == 1
        assert "has fewer than three replicas" in capsys.readouterr().out
        assert main(["queue", "create", config]) == 1
        err = capsys.readouterr().err
        assert "replicas > 1 not supported in non-clustered mode" in err
        assert "not yet" not in err  # no second try would change that
    assert main(["queue", "check", config]) == 1
    assert f"nats://127.0.0.1:{servers[0].port}: Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(("mib", "says_so"), [(10, False), (800, True), (1024, True)])
def test_a_stream_that_is_nearly_full_is_found(mib: int, *, says_so: bool) -> None:
    info = {"config": {"num_replicas": 3, "max_bytes": 1 << 30}, "state": {"bytes": mib << 20}}
    found = [*command._problems("PYD2-REQ-site-a-0", info)]
    assert [f"has {mib} of 1024 MiB" in problem for problem in found] == [True] * says_so


def test_another_queue_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d2.json"
    path.write_text('{"DhcpDdns": {"port": 53001}}')
    assert main(["queue", "create", str(path)]) == 1
    assert "its queue is not of type 'nats'" in capsys.readouterr().err

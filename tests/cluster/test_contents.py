"""``pyd2ctl queue count|list|export|requeue|remove|detach nats:SITE`` with a real server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.queue.interface import DeadLetter, Entry
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, SiteQueue, create_streams
from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.late import LateBatch, LateName
from pyd2.queue.shared.record import NO_RECORD
from pyd2.queue.sqlite.store import Store
from pyd2.tools.cli import main
from tests.cluster.test_command import write_config
from tests.kit import ncr
from tests.queue.nats.played import TIMEOUT, connected, of_real

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers

SITE = Site("site-a")
TAKEN = 1767322800.0


def request(number: int) -> bytes:
    name = f"host{number}.example.com."
    return ncr.datagram(ncr.request(name, f"192.0.2.{number}", ncr.dhcid(b"client", name)))


def on_queue(server: NatsServer, act: Callable[[SiteQueue], Awaitable[None]]) -> None:
    async def run() -> None:
        async with connected(of_real(server)) as connection:
            await act(SiteQueue(JetStream(connection), SITE))

    asyncio.run(run())


@pytest.fixture
def site(server: NatsServer, tmp_path: Path) -> Iterator[list[str]]:
    """A site with requests 1 to 7: 1 is done, 2 is late; and dead letters 8 and 9. Yields the options."""
    async def fill(queue: SiteQueue) -> None:
        await create_streams(queue._jetstream, SITE, 1)
        for serial, numbers in ((1, (1, 2)), (2, (3, 4)), (2, (3, 4)), (3, (5, 6, 7))):
            batch = RequestBatch("r1.x", BatchNumber(1, serial), TAKEN, [*map(request, numbers)])
            await queue.append(batch, TIMEOUT)
        await queue._jetstream.publish("pyd2.req.site-a.0.r1.x", b"no batch", {}, seconds=TIMEOUT)
        revision, _ = await queue.record()
        revision = await queue.keep_late(LateBatch(LateName(1, 1), TAKEN, [request(2)]), revision, TIMEOUT)
        first = "r1.x", BatchNumber(1, 1)
        record = NO_RECORD._replace(node="n1.x", epoch=1, floor=1, at=first, seen=dict([first]))
        await queue.replace(record, revision, TIMEOUT)
        for number in (8, 9):
            await queue.bury(DeadLetter(0, TAKEN, TAKEN + 5, f"reason {number}", request(number)), TIMEOUT)

    async def remove(queue: SiteQueue) -> None:
        for stream in SITE.streams:
            await queue._jetstream._call(f"STREAM.DELETE.{stream}")

    on_queue(server, fill)
    yield ["nats:site-a", "--config", write_config(tmp_path, [server])]
    on_queue(server, remove)


def hosts(text: str) -> list[str]:
    return [json.loads(line)["fqdn"].partition(".")[0] for line in text.splitlines()]


def test_count_list_and_export(site: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "count", *site]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("6 requests\nthe oldest since 2026-01-0")
    assert "batch 5: it has the format None, and this pyd2 knows 1; what can be read follows" in err
    assert main(["queue", "list", *site]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3] for line in lines] == [f"host{number}.example.com." for number in range(2, 8)]
    assert main(["queue", "export", *site]) == 0
    assert hosts(capsys.readouterr().out) == [f"host{number}" for number in range(2, 8)]
    assert main(["queue", "count", "--dead", *site]) == 0
    assert capsys.readouterr().out.startswith("2 dead letters\n")
    assert main(["queue", "list", "--dead", *site]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "1"
    assert first.endswith(": reason 8")
    assert second.split()[4] == "host9.example.com."


def test_batches_that_have_come_again_are_shown_in_their_place(
    site: list[str], server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def append(queue: SiteQueue) -> None:
        for serial in (5, 7, 4):
            batch = RequestBatch("r1.x", BatchNumber(1, serial), TAKEN, [request(serial + 10)])
            await queue.append(batch, TIMEOUT)

    on_queue(server, append)
    assert main(["queue", "export", *site]) == 0
    assert hosts(capsys.readouterr().out)[6:] == ["host14", "host15", "host17"]


def test_dead_letters_are_removed_or_put_at_the_end(
    site: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def appended() -> list[str]:
        capsys.readouterr()
        assert main(["queue", "export", *site]) == 0
        return hosts(capsys.readouterr().out)[6:]

    assert main(["queue", "remove", "--dead", site[0], "3", *site[1:]]) == 1
    assert "there is no request 3; nothing was changed" in capsys.readouterr().err
    assert main(["queue", "requeue", "--dead", site[0], "2", *site[1:]]) == 0
    assert capsys.readouterr().out == "put 1 at the end\n"
    assert appended() == ["host9"]
    file = tmp_path / "requests"
    file.write_bytes(b"".join(request(number)[2:] + b"\n" for number in range(10, 13)))
    assert main(["queue", "requeue", *site, "--file", str(file)]) == 0
    assert main(["queue", "requeue", "--dead", *site, "--all"]) == 0
    assert appended() == ["host9", "host10", "host11", "host12", "host8"]
    assert main(["queue", "count", "--dead", *site]) == 0
    assert capsys.readouterr().out == "0 dead letters\n"
    assert main(["queue", "remove", "--dead", *site, "--all"]) == 0
    assert capsys.readouterr().out == "removed 0\n"


@pytest.mark.parametrize(("arguments", "text"), [
    (["remove", "--all"], "only the owner takes requests out of a shared queue"),
    (["requeue", "--all"], "requests of a shared queue stay in their place: use --dead, or --file"),
])  # fmt: skip
def test_the_requests_themselves_stay(
    arguments: list[str], text: str, site: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    action, *more = arguments
    assert main(["queue", action, *site, *more]) == 1
    assert text in capsys.readouterr().err


def test_another_site_and_another_queue_are_refused(
    tmp_path: Path, server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, [server])
    assert main(["queue", "count", "nats:site-b", "--config", config]) == 1
    err = capsys.readouterr().err
    assert f"the site of {config} is site-a, not site-b: name another file by --config" in err
    (tmp_path / "d2.json").write_text('{"DhcpDdns": {"port": 53001}}')
    assert main(["queue", "list", "nats:site-a", "--config", config]) == 1
    assert "its queue is not of type 'nats'" in capsys.readouterr().err
    config = write_config(tmp_path, [server])
    assert main(["queue", "count", "nats:site-a", "--config", config]) == 1
    assert "there is no stream PYD2-OWN-site-a-0" in capsys.readouterr().err
    assert main(["queue", "count", "--dead", "nats:site-a", "--config", config]) == 1
    assert "there is no stream PYD2-DEAD-site-a" in capsys.readouterr().err


def test_detach_says_what_it_costs(
    site: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], server: NatsServer
) -> None:
    store = Store(str(tmp_path))
    store.write([Entry(number, TAKEN, request(20 + number)) for number in (1, 2)])
    store.close()
    config = tmp_path / "d2.json"
    settings: dict[str, Any] = json.loads(config.read_text())
    settings["DhcpDdns"]["user-context"]["pyd2"]["queue"]["directory"] = str(tmp_path)
    config.write_text(json.dumps(settings))
    assert main(["queue", "detach", *site]) == 1
    out = capsys.readouterr().out
    assert "the servers answer; the queue is owned by n1.x, and 6 requests wait there" in out
    assert "WRONG: they would be lost" in out

    config.write_text(json.dumps(settings).replace(str(server.port), "9"))
    assert main(["queue", "detach", *site]) == 0
    out = capsys.readouterr().out
    assert "the queue cannot be read: nats://127.0.0.1:9: Connection refused" in out
    assert f"kept:    2 requests wait on the disk of this machine ({tmp_path})" in out

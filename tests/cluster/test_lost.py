"""A cluster that is lost for good: its servers are killed and their disks are emptied, then ``detach``."""

from __future__ import annotations

import contextlib
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from pyd2.queue.shared.interface import SharedQueueError
from pyd2.tools.cli import main as pyd2ctl
from pyd2.tools.cluster.contents import Contents
from tests.cluster.site import SITE, durable_config, make_streams, new_rig
from tests.cluster.test_site import EACH, Clients, send, start_site
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.cluster.contents import Waiting
    from tests.cluster.site import Machine, Rig

pytestmark = [pytest.mark.peers, pytest.mark.faults]


def destroy(rig: Rig) -> None:
    """Kill all servers and remove what they had."""
    for server in rig.servers:
        server.process.kill()
        server.process.wait_for_exit()
        shutil.rmtree(server.store)


def detach(machine: Machine) -> int:
    return pyd2ctl(["queue", "detach", f"nats:{SITE}", "--config", str(machine.file)])


@contextlib.contextmanager
def refusing_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Have a tool's first look into the queue fail; yields that it did."""
    look, refused = Contents.waiting, list[bool]()

    async def waiting(contents: Contents) -> Waiting:
        if not refused:
            refused.append(True)
            raise SharedQueueError("it was answered by: 503")
        return await look(contents)

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "waiting", waiting)
        yield refused


def test_each_machine_continues_with_what_is_on_its_disk(
    d2_binary: str, is_pyd2: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    with new_rig(d2_binary) as rig:
        clients = Clients()
        start_site(rig, clients)

        # What the servers have acknowledged and no node has done is lost with them.
        rig.bind.process.send_signal(signal.SIGSTOP)
        done = dict(clients.wanted)
        send(rig.machines, clients)
        with refusing_once(monkeypatch) as refused:  # a busy server does
            assert detach(rig.machines[0]) == 1
        assert refused == [True]
        assert "WRONG: they would be lost" in capsys.readouterr().out
        lost = clients.wanted.keys() - done.keys()
        destroy(rig)

        # What comes now waits on the disks.
        for machine in rig.machines:
            machine.send(*clients.requests(EACH))
            wait_until(lambda machine=machine: machine.on_disk() == 2 * EACH,  # type: ignore[misc]
                       "all requests to be on the disk")
            capsys.readouterr()
            assert detach(machine) == 0
            out = capsys.readouterr().out
            assert f"kept:    {2 * EACH} requests wait on the disk of this machine" in out
            assert "lost:    what the servers had acknowledged and no node had done" in out
        for machine in rig.machines:
            machine.d2.process.kill()  # so nothing under way is carried out, as at the worst
            machine.d2.process.wait_for_exit()
        rig.bind.process.kill()
        rig.bind.process.wait_for_exit()
        rig.bind.start()
        for machine in rig.machines:
            machine.configure(durable_config(machine.settings))
            machine.start()
        wanted = {name: address for name, address in clients.wanted.items() if name not in lost}
        rig.until_zone_is(wanted)
        for machine in rig.machines:
            wait_until(lambda machine=machine: machine.queue()["entries"] == 0,  # type: ignore[misc]
                       "the disk to be empty")

        # To come back: new streams. They know nothing of the ones before.
        for server in rig.servers:
            server.start()
        for server in rig.servers:
            server.wait_until_ready()
        make_streams(rig.servers)
        for machine in rig.machines:
            assert machine.d2.stop() == 0
            machine.configure(machine.settings)
            machine.start()
        send(rig.machines, clients)
        rig.until_zone_is({name: address for name, address in clients.wanted.items() if name not in lost})
        assert all("PYD2_INTERNAL_ERROR" not in machine.d2.stdout() for machine in rig.machines)

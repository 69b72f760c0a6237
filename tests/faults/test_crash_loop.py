"""A request at which a hook library ends the process must not do so at each start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.hooks.hook_thread import HookJobs
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.database import map_mark
from pyd2.queue.sqlite.salvage import salvage
from pyd2.tools.cli import main as pyd2ctl
from pyd2.update.drive.hook_jobs import HookJob
from tests.faults.load import Host, domain, forward
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until
from tests.queue.played import Daemon, fill, in_file, names, play

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.faults

LIBRARY = """
import os, signal

def version():
    return 20603

def select_key(handle):
    if str(handle.get_argument("current_server").address) == "127.0.0.9":
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no durable queue")


@pytest.mark.usefixtures("_only_pyd2")
def test_a_request_that_kills_twice_is_a_dead_letter_and_the_others_go_on(
    d2_binary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five of five starts died at it before any other zone's update."""
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        (directory / "deadly.py").write_text(LIBRARY)
        deadly = {"name": "deadly.example.", "dns-servers": [{"ip-address": "127.0.0.9", "port": dns_port}]}
        body: dict[str, Any] = forward(deadly, domain("example.com.", dns_port), timeout=60000)
        body["hooks-libraries"] = [{"library": "deadly.py"}]
        queue = directory / "queue"
        body["user-context"] = {"pyd2": {"queue": {"type": "durable", "directory": str(queue)}}}
        (directory / "d2.json").write_text(json.dumps(config(port, body)))
        with ScriptedDns({"A": dns_port}) as dns:
            dns.set_script([], {})

            def start(number: int) -> D2:
                (directory / "d2.kea-dhcp-ddns.pid").unlink(missing_ok=True)
                return D2(d2_binary, directory, name=f"d2-{number}", env={"KEA_HOOKS_PATH": "@DIR@"})

            first = start(1)
            first.wait_for_listener(port)
            ncr.send(Host(1, "deadly.example.").request(), port)
            assert first.process.wait_for_exit() < 0
            assert len(salvage(str(queue)).entries) == 1
            assert start(2).process.wait_for_exit() < 0
            with start(3) as third:
                third.wait_for_log("PYD2_QUEUE_KILLER")
                assert "the process ended 2 times while a hook library handled it" in third.stdout()
                third.wait_for_listener(port)
                ncr.send(Host(2, "example.com.").request(), port)
                third.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED")
                wait_until(lambda: not salvage(str(queue)).entries, "the queue to be empty")
        assert pyd2ctl(["queue", "list", "--dead", str(queue)]) == 0
        assert "deadly.example." in capsys.readouterr().out


def test_the_number_is_there_only_while_a_library_is_at_work(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    mark = map_mark(tmp_path / DATABASE)
    assert mark is not None
    seen = []
    lane: Any = None
    hook_jobs = [HookJob(lane, number, lambda: seen.append(int.from_bytes(mark[:8], "little")), print)
               for number in (7, 8)]
    loop: Any = None
    runner = HookJobs(loop, lambda _: None, lambda: mark)
    runner._inbox.items.extend(hook_jobs)
    assert runner.run_some()
    assert seen == [7, 8]
    assert mark[:] == bytes(8)
    path = next((tmp_path / FOLDER).iterdir())
    assert path.read_bytes() == bytes(8)
    mark[:8] = (9).to_bytes(8, "little")
    assert path.read_bytes()[0] == 9


def test_a_request_that_has_ended_is_not_counted(tmp_path: Path) -> None:
    """And after one death a request is tried once more."""
    fill(tmp_path, *names(1, 2))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_begun(*names(1, 2))
        assert "PYD2_QUEUE_KILLER" not in daemon.log.ids
        assert daemon.queue.mark is not None
        assert daemon.queue.mark[:8] == bytes(8)

    for number in (0, 99, 1):
        mark = map_mark(tmp_path / DATABASE)
        assert mark is not None
        mark[:8] = number.to_bytes(8, "little")
        play(scene)
    assert in_file(tmp_path) == names(1, 2)


def test_a_mark_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "at-work").symlink_to("elsewhere")
    assert map_mark(tmp_path / DATABASE) is None
    assert map_mark(tmp_path / "absent" / DATABASE) is None

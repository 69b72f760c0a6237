"""What the page may change: retries and dead letters of a running daemon, and who may do so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.data.element import from_plain
from pyd2.queue import lifecycle
from pyd2.queue.interface import DeadLetter
from pyd2.queue.sqlite.store import Store
from pyd2.web.operations import Operations
from tests.kit import ncr
from tests.kit.waiting import wait_until
from tests.queue.played import Daemon, gated, play
from tests.web.site import READER, Site, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyd2.queue.durable import DurableQueue
    from pyd2.update.engine import Engine

COMMANDS = ("pyd2-retry-now", "pyd2-dead-letter-list", "pyd2-dead-letter-retry", "pyd2-dead-letter-remove")


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_pyd2:
        pytest.skip("Kea has no page")
    directory = tmp_path_factory.mktemp("queue")
    with running(
        d2_binary,
        directory,
        page={"web": "operate"},
        queue={"type": "durable", "directory": str(directory)},
        retry={"enabled": True, "initial-delay": 3000, "max-delay": 3600},
    ) as site:
        yield site


def listed(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.command("pyd2-dead-letter-list")[1]["arguments"]["dead-letters"]
    return found


def waiting(site: Site) -> int:
    found: int = site.api("status")["retries"]["waiting"]
    return found


def make_dead_letters(site: Site, count: int) -> None:
    """Have requests fail for good that are tried again: their leases have ended."""
    for number in range(count):
        site.send(f"dead{number}.refused.example.", **{"lease-expires-on": "20200101000000"})
    wait_until(lambda: waiting(site) == count, "the retries")
    site.command("pyd2-retry-now")
    wait_until(lambda: len(listed(site)) == count, "the dead letters")


def test_dead_letters_are_listed_tried_again_and_removed(site: Site) -> None:
    make_dead_letters(site, 3)
    newest, _, oldest = listed(site)
    assert newest["number"] > oldest["number"]
    assert newest["request"].startswith("add dead")
    _, answer = site.command("pyd2-dead-letter-list", limit=1, before=newest["number"])
    assert (len(answer["arguments"]["dead-letters"]), answer["arguments"]["total"]) == (1, 3)
    assert site.command("pyd2-dead-letter-remove", numbers=[newest["number"], 999])[1]["result"] == 1
    assert len(listed(site)) == 3
    _, answer = site.command("pyd2-dead-letter-remove", numbers=[newest["number"]])
    assert answer["text"] == "Removed: 1 dead letter."
    wait_until(lambda: len(listed(site)) == 2, "it to go")
    received = site.api("status")["requests"]["received"]
    assert site.command("pyd2-dead-letter-retry", numbers=[oldest["number"]])[1]["result"] == 0
    wait_until(lambda: site.api("status")["requests"]["received"] == received + 1, "the request again")


def test_retries_begin_now(site: Site) -> None:
    before = waiting(site)
    site.send("bad.refused.example.")
    wait_until(lambda: waiting(site) == before + 1, "the retry")
    sent = site.d2.statistics()["update-sent"]
    status, answer = site.command("pyd2-retry-now")
    assert (status, answer["result"], answer["arguments"]) == (200, 0, {"requests": before + 1})
    wait_until(lambda: site.d2.statistics()["update-sent"] > sent, "another update")


@pytest.mark.parametrize(
    "arguments", [{}, {"numbers": []}, {"numbers": ["1"]}, {"numbers": 1}, {"numbers": [True]}]
)
def test_bad_arguments_are_refused(site: Site, arguments: dict[str, Any]) -> None:
    for name in COMMANDS[2:]:
        assert site.command(name, **arguments)[1]["result"] == 1


def test_a_reader_changes_nothing(site: Site) -> None:
    for name in ("pyd2-retry-now", *COMMANDS[2:]):
        assert site.command(name, READER, numbers=[1])[0] == 403
    wait_until(lambda: site.api("status")["queue"]["state"] == "in use", "the queue to be open")
    assert site.command("pyd2-dead-letter-list", READER)[1]["result"] == 0
    assert 'data-operate="no"' in site.get("/", READER)[2]
    assert 'data-operate="yes"' in site.get("/")[2]


def test_only_where_it_is_asked_for(site: Site) -> None:
    names = site.d2.command("list-commands")["arguments"]
    assert set(COMMANDS) <= set(names)
    site.set(web=True)
    assert not set(COMMANDS) & set(site.d2.command("list-commands")["arguments"])
    assert site.command("pyd2-retry-now")[1]["result"] == 2
    assert 'data-operate="no"' in site.get("/")[2]
    site.set(web="operate")
    assert set(COMMANDS) <= set(site.d2.command("list-commands")["arguments"])


class Operated:
    """A service that has nothing but its durable queue."""

    def __init__(self, queue: DurableQueue) -> None:
        self._queue = queue

    def operate(self, action: Callable[[Engine, DurableQueue], Any]) -> Any:
        """Carry an action out, which does not look at the engine."""
        return action(None, self._queue)  # type: ignore[arg-type]


def test_dead_letters_are_those_of_the_directory_in_use(tmp_path: Path) -> None:
    """Where a reload named another one, they were read there, and removed by their numbers from this one."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    kept = {directory: ncr.datagram(ncr.request(f"{directory.name}.example.com.", "192.0.2.1",
                                                ncr.dhcid(b"client", directory.name)))
            for directory in (here, elsewhere)}
    for directory, datagram in kept.items():
        directory.mkdir()
        with Store(str(directory)) as store:
            store.write([], [], [DeadLetter(0, 1.0, 2.0, "REFUSED", datagram)])

    async def scene(daemon: Daemon) -> None:
        daemon.use(here)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.use(elsewhere)
        await daemon.until_logged("PYD2_QUEUE_NEXT_START")
        operations = Operations(Operated(daemon.queue), QueueSwitches("durable", str(elsewhere)))
        listed: Any = operations.list_dead_letters(None).plain()
        requests = [each["request"] for each in listed["arguments"]["dead-letters"]]
        assert requests == ["add here.example.com. 192.0.2.1"]
        answer: Any = operations._end(from_plain({"numbers": [1]}), again=True).plain()
        assert answer["result"] == 0
        await daemon.until_begun(kept[here])

    play(scene)
    for directory, left in ((here, []), (elsewhere, [kept[elsewhere]])):
        with Store(str(directory)) as store:
            assert [dead.datagram for dead in store.read_dead()] == left


def test_no_command_waits_for_a_disk_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread would no longer see SIGTERM."""
    gate = gated(monkeypatch, "write")
    gate.set()

    async def scene(daemon: Daemon) -> None:
        operations = Operations(Operated(daemon.queue), QueueSwitches("durable", str(tmp_path)))

        def texts() -> list[str]:
            numbers = from_plain({"numbers": [1]})
            answers: list[Any] = [operations.list_dead_letters(None), operations._end(numbers, again=True)]
            return [answer.plain().get("text", "") for answer in answers]

        daemon.use(tmp_path)
        assert all("waits for its disk" in text for text in texts())
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        assert texts()[1] == "there is no dead letter 1; nothing was changed"
        gate.clear()
        monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.05)
        daemon.queue.accept([b"request"])
        await daemon.until_logged("PYD2_QUEUE_FAILED")
        assert all("waits for its disk" in text for text in texts())
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert texts()[1] == "there is no dead letter 1; nothing was changed"

    play(scene)

"""``pyd2ctl queue``: its output, its changes, and its refusals while a daemon runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pyd2.queue.interface import DeadLetter, Entries, Entry
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.folder import NEW, replace
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.store import Store
from pyd2.tools.cli import main
from tests.kit import ncr
from tests.queue.played import fill

NAMES = [f"host{number}.example.com." for number in range(4)]


def request(name: str, change: int = ncr.ADD) -> dict[str, object]:
    return ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), change=change)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    store = Store(str(tmp_path))
    store.write([Entry(number, 1767322800.0, ncr.datagram(request(name)))
                 for number, name in enumerate(NAMES[:3], start=11)])
    store.close()
    return str(tmp_path)


def names(folder: str) -> list[tuple[int, str]]:
    store = Store(folder)
    found = [(entry.number, json.loads(entry.datagram[2:])["fqdn"]) for entry in store.read()]
    store.close()
    return found


def test_count(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "count", folder]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "3 requests"
    assert second.startswith("the oldest since 2026-01-0")
    assert main(["queue", "remove", folder, "--all"]) == 0
    assert main(["queue", "count", folder]) == 0
    assert capsys.readouterr().out == "removed 3\n0 requests\n"


def test_list(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(folder)
    store.write([Entry(20, 1767322800.0, ncr.datagram(request(NAMES[3], ncr.REMOVE))),
                 Entry(21, 1767322800.0, b"\0\2{}")])
    store.close()
    assert main(["queue", "list", folder]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["11", "12", "13", "20", "21"]
    assert lines[0][3:6] == ["add", NAMES[0], "192.0.2.1"]
    assert lines[3][3:5] == ["remove", NAMES[3]]
    assert " ".join(lines[4][3:]).startswith("invalid: fromFormat: buffer read error: ")


def test_what_is_exported_can_be_queued_again(
    folder: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["queue", "export", folder]) == 0
    lines = capsysbinary.readouterr().out
    assert [json.loads(line) for line in lines.splitlines()] == [request(name) for name in NAMES[:3]]
    file = tmp_path / "requests.jsonl"
    file.write_bytes(lines)
    assert main(["queue", "remove", folder, "11", "13"]) == 0
    assert main(["queue", "requeue", folder, "--file", str(file)]) == 0
    assert names(folder) == [(12, NAMES[1]), (13, NAMES[0]), (14, NAMES[1]), (15, NAMES[2])]


def test_a_request_moves_to_the_end(folder: str) -> None:
    assert main(["queue", "requeue", folder, "11"]) == 0
    assert names(folder) == [(12, NAMES[1]), (13, NAMES[2]), (14, NAMES[0])]


def test_one_that_is_not_there(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(folder)
    assert main(["queue", "remove", folder, "12", "99"]) == 1
    assert capsys.readouterr().err == "pyd2ctl queue: there is no request 99; nothing was changed\n"
    assert names(folder) == before


def test_a_line_that_is_no_request(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(folder)
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps(request(NAMES[3])) + "\n{}\n")
    assert main(["queue", "requeue", folder, "--file", str(file)]) == 1
    assert "line 2: fromFormat" in capsys.readouterr().err
    assert names(folder) == before


def test_beside_a_daemon_it_only_looks(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    lock = DirectoryLock(folder)
    store = Store(folder)
    try:
        for action in ("count", "list", "export"):
            assert main(["queue", action, folder]) == 0
        capsys.readouterr()
        for change in ("remove", "requeue"):
            assert main(["queue", change, folder, "11"]) == 1
            error = capsys.readouterr().err
            assert "is in use by process" in error
            assert "stop it first" in error
        assert len(store.read()) == 3
    finally:
        store.close()
        lock.release()


def test_a_file_that_was_set_aside(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(folder, DATABASE)
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"host1.") + 4] ^= 1
    path.write_bytes(octets)
    aside = replace(folder, Entries([], [], []), []).aside
    assert main(["queue", "list", str(aside)]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["11", "13"]
    assert "request 12 is damaged; what can be read follows" in shown.err


def test_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action, *rest in (["count"], ["remove", "--all"]):
        assert main(["queue", action, str(tmp_path), *rest]) == 1
        assert capsys.readouterr().err == f"pyd2ctl queue: there is no durable queue {tmp_path / DATABASE}\n"
    assert not list(tmp_path.iterdir())


def bury(folder: str, *hosts: str) -> None:
    store = Store(folder)
    store.write((), (), [DeadLetter(0, 1767322800.0, 1767322900.0, "REFUSED from 192.0.2.53 port:53",
                                    ncr.datagram(request(name))) for name in hosts])
    store.close()


def test_dead_letters(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    bury(folder, *NAMES)
    assert main(["queue", "count", "--dead", folder]) == 0
    assert capsys.readouterr().out.startswith("4 dead letters\nthe oldest since ")
    assert main(["queue", "list", "--dead", folder]) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert (first[0], first[3:6]) == ("1", ["add", NAMES[0], "192.0.2.1"])
    assert " ".join(first[-4:]) == "REFUSED from 192.0.2.53 port:53"
    assert main(["queue", "export", "--dead", folder]) == 0
    exported = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["fqdn"] for line in exported] == NAMES
    assert main(["queue", "requeue", "--dead", folder, "2", "4"]) == 0
    assert names(folder)[3:] == [(14, NAMES[1]), (15, NAMES[3])]
    assert main(["queue", "remove", "--dead", folder, "1"]) == 0
    assert main(["queue", "remove", "--dead", folder, "9"]) == 1
    assert main(["queue", "requeue", "--dead", folder, "--all"]) == 0
    assert main(["queue", "count", "--dead", folder]) == 0
    assert capsys.readouterr().out.endswith("put 1 at the end\n0 dead letters\n")
    assert len(names(folder)) == 6


def test_a_move_takes_all_along_behind_what_is_there(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bury(folder, NAMES[3])
    to = str(tmp_path / "to")
    assert main(["queue", "move", folder, to]) == 0
    assert capsys.readouterr().out == "moved 3, and 1 dead letter\n"
    assert names(to) == [(1, NAMES[0]), (2, NAMES[1]), (3, NAMES[2])]
    assert names(folder) == []
    fill(Path(folder), ncr.datagram(request(NAMES[3])))
    assert main(["queue", "move", folder, to]) == 0
    assert [name for _, name in names(to)] == NAMES
    assert main(["queue", "count", "--dead", to]) == 0
    assert capsys.readouterr().out.startswith("moved 1, and 0 dead letters\n1 dead letter\n")


def test_a_move_that_was_killed_in_the_middle_moves_nothing_twice(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = str(tmp_path / "to")

    class KilledError(Exception):
        pass

    def killed(_: Store) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "give_away", killed)
        with pytest.raises(KilledError):
            main(["queue", "move", folder, to])
    assert names(to) == [(1, NAMES[0]), (2, NAMES[1]), (3, NAMES[2])]
    assert len(names(folder)) == 3
    assert main(["queue", "move", folder, to]) == 0
    assert len(names(to)) == 3
    assert names(folder) == []


def test_what_is_put_into_a_queue_whose_move_was_killed_goes_along(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move was taken for finished, and all that was there was removed."""
    to, more = str(tmp_path / "to"), tmp_path / "more.json"
    more.write_text(json.dumps(request(NAMES[3])))

    def killed(_: Store) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "give_away", killed)
        with pytest.raises(KeyboardInterrupt):
            main(["queue", "move", folder, to])
    assert main(["queue", "requeue", folder, "--file", str(more)]) == 0
    assert main(["queue", "move", folder, to]) == 0
    assert {name for _, name in names(to)} == set(NAMES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_changes_still_belongs_to_the_daemon(folder: str, tmp_path: Path) -> None:
    """A lock file of root's kept the daemon from its own queue."""
    directory = Path(folder)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 4711, 4712)
    assert main(["queue", "requeue", folder, "11"]) == 0
    other = tmp_path / "other"
    other.mkdir()
    os.chown(other, 4711, 4712)
    assert main(["queue", "move", folder, str(other)]) == 0
    new = tmp_path / "new"
    assert main(["queue", "move", str(other), str(new)]) == 0
    for path in (directory, other, new):
        for made in (path, *path.rglob("*")):
            assert (made.stat().st_uid, made.stat().st_gid) == (4711, 4712), made


@pytest.mark.parametrize("action", ["list", "requeue", "move"])
def test_a_folder_that_a_kill_has_left_before_its_place_is_not_overlooked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    """The only copy could be there; the tool said that there is no durable queue."""
    directory = str(tmp_path / "one")
    Path(directory).mkdir()
    replace(directory, Entries.of([Entry(7, 1767322800.0, ncr.datagram(request(NAMES[0])))]), [])
    (tmp_path / "one" / FOLDER).rename(tmp_path / "one" / NEW)
    arguments = {"list": [], "requeue": ["7"], "move": [str(tmp_path / "two")]}
    status = main(["queue", action, directory, *arguments[action]])
    printed = capsys.readouterr()
    if action == "list":
        assert (status, printed.out) == (1, "")
        assert f"{tmp_path / 'one' / NEW} may hold its requests" in printed.err
        assert "start the daemon, or use 'pyd2ctl queue move'" in printed.err
    else:
        assert (status, printed.err) == (0, "")
        assert not (tmp_path / "one" / NEW).exists()
        where = directory if action == "requeue" else str(tmp_path / "two")
        assert [name for _, name in names(where)] == [NAMES[0]]


def test_a_path_that_is_misspelt_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert main(["queue", "requeue", str(absent), "--all"]) == 1
    assert "there is no durable queue" in capsys.readouterr().err
    assert not absent.exists()


def test_a_damaged_dead_letter_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path))
    store.write([], [], [DeadLetter(0, 1.0, 2.0, "REFUSED", ncr.datagram(request(name))) for name in NAMES])
    store.close()
    database = tmp_path / DATABASE
    database.write_bytes(database.read_bytes().replace(NAMES[1].encode(), NAMES[1].upper().encode()))
    assert main(["queue", "list", str(tmp_path), "--dead"]) == 0
    printed = capsys.readouterr()
    assert "dead letter 2 is damaged; what can be read follows" in printed.err
    assert [line.split()[0] for line in printed.out.splitlines()] == ["1", "3", "4"]

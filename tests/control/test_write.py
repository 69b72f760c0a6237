"""config-write: where files may go, and what is in them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pyd2.control.write import allowed_path, write_config
from pyd2.data.element import from_plain
from pyd2.errors import CommandError


@pytest.mark.parametrize(
    ("name", "config_file", "path"),
    [
        ("saved.json", "d2.json", "saved.json"),
        ("saved", "d2.json", "saved"),
        ("saved.json", "/etc/kea/d2.json", "/etc/kea/saved.json"),
        ("/etc/kea/saved.json", "/etc/kea/d2.json", "/etc/kea/saved.json"),
        ("/a", "/d2.json", "/a"),
        ("a", "/d2.json", "/a"),
        ("..", "etc/d2.json", "etc/.."),
        ("a.b/", "d2.json", None),
        ("/", "/d2.json", None),
        (".json", "d2.json", None),
        ("/etc/.json", "/etc/d2.json", None),
    ],
)
def test_allowed_path(name: str, config_file: str, path: str | None) -> None:
    if path is not None:
        assert allowed_path(name, config_file) == path
        return
    with pytest.raises(CommandError) as caught:
        allowed_path(name, config_file)
    assert str(caught.value) == f"config file:{name} is missing file name"


@pytest.mark.parametrize(
    ("name", "config_file"),
    [
        ("/x/y", "d2.json"),
        ("./y", "d2.json"),
        ("/etc//kea/y", "/etc/kea/d2.json"),
        ("/etc/kea/../kea/y", "/etc/kea/d2.json"),
        ("/etc/kea/sub/y", "/etc/kea/d2.json"),
    ],
)
def test_other_directories_are_refused(name: str, config_file: str) -> None:
    with pytest.raises(CommandError) as caught:
        allowed_path(name, config_file)
    assert (
        str(caught.value)
        == f"file {name} must be in the same directory as the config file ({config_file})"
    )


CONFIG = from_plain({"DhcpDdns": {"port": 1, "user-context": {"name": "\udce9"}}})
TEXT = b'{\n  "DhcpDdns": {\n    "port": 1,\n    "user-context": {\n      "name": "\\u00e9"\n    }\n  }\n}'


@pytest.mark.parametrize("name", ["", "saved.json"])
def test_writes(tmp_path: Path, name: str) -> None:
    path = tmp_path / (name or "d2.json")
    path.write_bytes(b"x" * 1000)
    answer = write_config(name, f"{tmp_path}/d2.json", CONFIG)
    assert path.read_bytes() == TEXT
    assert answer.plain() == {
        "arguments": {"filename": str(path), "size": len(TEXT)},
        "result": 0,
        "text": f"Configuration written to {path} successful",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/", "not allowed to write config into /: config file:/ is missing file name"),
        ("sub", "Error during write-config:Unable to open file @/sub for writing"),
        ("a\0b", "Error during write-config:Unable to open file @/a\0b for writing"),
    ],
)
def test_failures(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sub").mkdir()
    answer = write_config(name, f"{tmp_path}/d2.json", CONFIG)
    assert answer.plain() == {"result": 1, "text": text.replace("@", str(tmp_path))}


def test_a_full_disk_is_no_success() -> None:
    answer = write_config("", "/dev/full", CONFIG)
    assert answer.plain() == {
        "result": 1,
        "text": "Error during write-config:Unable to write file /dev/full: No space left on device",
    }


def refuse(number: int) -> object:
    """Return a function that fails with an error number, whatever it is given."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(("module", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_failure_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    path = tmp_path / "d2.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(module, name, refuse(errno.ENOSPC))
    answer = write_config("", str(path), CONFIG)
    assert answer.plain() == {
        "result": 1,
        "text": f"Error during write-config:Unable to write file {path}: No space left on device",
    }
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["d2.json"]


def test_an_open_reader_gets_the_old_file_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "d2.json"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        assert write_config("", str(path), CONFIG).map_value()["result"].value == 0
        assert reader.read() == b"old"
    assert names(tmp_path) == ["d2.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o600])
def test_mode_and_owner_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    path = tmp_path / "d2.json"
    path.write_bytes(b"old")
    path.chmod(mode)
    before = path.stat()
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: owners.append((user, group)))
    write_config("", str(path), CONFIG)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert owners == [(before.st_uid, before.st_gid)]


def test_a_new_file_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_config("new", f"{tmp_path}/d2.json", CONFIG)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert names(tmp_path) == ["new"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.json", tmp_path / "d2.json"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_config("", str(link), CONFIG)
    assert link.is_symlink()
    assert real.read_bytes() == TEXT
    assert names(real.parent) == ["real.json"]


def test_another_name_of_the_file_stays_one(tmp_path: Path) -> None:
    path, other = tmp_path / "d2.json", tmp_path / "other.json"
    path.write_bytes(b"old" * 1000)
    other.hardlink_to(path)
    write_config("", str(path), CONFIG)
    assert other.samefile(path)
    assert other.read_bytes() == TEXT


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [(os, "fchown", errno.EPERM), (Path, "replace", errno.EBUSY)],
)
def test_what_can_not_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, number: int
) -> None:
    """A file whose owner could not be kept, and one that is mounted into a container."""
    path = tmp_path / "d2.json"
    path.write_bytes(b"x" * 1000)
    inode = path.stat().st_ino
    monkeypatch.setattr(module, name, refuse(number))
    assert write_config("", str(path), CONFIG).map_value()["result"].value == 0
    assert path.read_bytes() == TEXT
    assert path.stat().st_ino == inode
    assert names(tmp_path) == ["d2.json"]


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "d2.json"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        write_config("", str(path), CONFIG)
        assert reader.read() == TEXT
    assert path.is_fifo()


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    os.mkfifo(path)
    answer = write_config("saved.json", f"{tmp_path}/d2.json", CONFIG)
    assert answer.plain() == {
        "result": 1, "text": f"Error during write-config:Unable to open file {path} for writing"}


def test_the_reader_of_a_pipe_that_takes_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.control.write.READER_SECONDS", 0.01)
    path = tmp_path / "saved.json"
    os.mkfifo(path)
    large = from_plain({"a": "x" * 2_000_000})
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb"):
        answer = write_config("saved.json", f"{tmp_path}/d2.json", large)
    assert answer.plain() == {
        "result": 1,
        "text": f"Error during write-config:Unable to write file {path}: its reader reads nothing",
    }

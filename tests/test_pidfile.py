"""The PID file. What counts as a PID is compared with the real server."""

import os
import resource
import stat
from pathlib import Path

import pytest

from pyd2.pidfile import AlreadyRunningError, PidFile, PidFileError, file_stem
from tests.kit.d2 import D2
from tests.kit.process import find_program


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("d2.json", "d2"), ("/etc/kea/my.d2.conf", "my.d2"), ("conf", "conf"), ("a.b/conf", "conf"),
        ("d2.", "d2"), ("/", ""), ("", ""), (".json", ""), ("a/.json", ""), ("..", "."), ("a/", ""),
    ],
)  # fmt: skip
def test_file_stem(path: str, stem: str) -> None:
    assert file_stem(path) == stem


def test_place() -> None:
    assert PidFile("/etc/d2.json", {}).path == "/run/kea/d2.kea-dhcp-ddns.pid"
    assert PidFile("d2.json", {"KEA_PIDFILE_DIR": "/x"}).path == "/x/d2.kea-dhcp-ddns.pid"


@pytest.fixture
def pid_file(tmp_path: Path) -> PidFile:
    return PidFile("d2.json", {"KEA_PIDFILE_DIR": str(tmp_path)})


def test_created_and_removed(pid_file: PidFile) -> None:
    umask = os.umask(0o027)
    pid_file.create()
    os.umask(umask)
    path = Path(pid_file.path)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    pid_file.remove()
    assert not path.exists()


def test_another_server_keeps_its_file(pid_file: PidFile) -> None:
    path = Path(pid_file.path)
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(AlreadyRunningError) as caught:
        pid_file.create()
    assert str(caught.value) == f"Daemon::createPIDFile: PID: {os.getppid()} exists, PID file: {path}"
    pid_file.remove()
    assert path.read_text() == f"{os.getppid()}\n"


def test_the_own_pid_is_that_of_an_earlier_life(pid_file: PidFile) -> None:
    Path(pid_file.path).write_text(f"{os.getpid()}\n")
    pid_file.create()
    assert Path(pid_file.path).read_text() == f"{os.getpid()}\n"
    pid_file.remove()
    assert not Path(pid_file.path).exists()


def test_directory_missing(tmp_path: Path) -> None:
    pid_file = PidFile("d2.json", {"KEA_PIDFILE_DIR": str(tmp_path / "no")})
    with pytest.raises(PidFileError, match=r"^Unable to open PID file '.*/no/d2.*\.pid' for write$"):
        pid_file.create()


def test_a_directory_in_its_place(pid_file: PidFile) -> None:
    Path(pid_file.path).mkdir()
    with pytest.raises(PidFileError, match=r"^Unable to read PID from file '.*'$"):
        pid_file.create()


def test_a_full_disk(pid_file: PidFile) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(PidFileError, match=r"^Unable to write to PID file '.*'$"):
            pid_file.create()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    pid_file.remove()
    assert not Path(pid_file.path).exists()


def test_endless_content(pid_file: PidFile) -> None:
    Path(pid_file.path).symlink_to("/dev/zero")
    with pytest.raises(PidFileError, match=r"^Unable to open PID file .* for write$"):
        pid_file.create()


def test_remove_twice(pid_file: PidFile) -> None:
    """Once the file is gone it is no longer ours: one of that name stays."""
    pid_file.create()
    Path(pid_file.path).unlink()
    pid_file.remove()
    Path(pid_file.path).write_bytes(b"1\n")
    pid_file.remove()
    assert Path(pid_file.path).read_bytes() == b"1\n"


def test_no_link_is_followed(pid_file: PidFile, tmp_path: Path) -> None:
    """A user that may write in the directory cannot choose which file a privileged daemon empties."""
    target = tmp_path / "precious"
    target.write_bytes(b"4194305\n")  # above the largest PID that Linux gives
    Path(pid_file.path).symlink_to(target)
    with pytest.raises(PidFileError, match=r"^Unable to open PID file .* for write$"):
        pid_file.create()
    pid_file.remove()
    assert target.read_bytes() == b"4194305\n"
    assert Path(pid_file.path).is_symlink()


def test_a_fifo_is_not_waited_for(pid_file: PidFile) -> None:
    os.mkfifo(pid_file.path)
    with pytest.raises(PidFileError, match=r"^Unable to read PID from file"):
        pid_file.create()
    assert Path(pid_file.path).is_fifo()


@pytest.mark.peers
@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"x\n", b"123", b"-", b"999999999\n", b"999999999x", b"99999999999\n", b"9999999999999\n",
        b"2147483647\n", b"2147483648\n", b"0\n", b"-1\n", b"+999999999\n", b"  \n\t 999999999 7\n",
        b"0x10\n", b"\xff\n", b"1\n", b"1", b"+1\n", b"00001\n", b"1.5\n", b"-99999999999\n",
        b"00000000000000000001\n",
    ],
)  # fmt: skip
def test_content_is_read_as_kea_reads_it(content: bytes, pid_file: PidFile) -> None:
    """Process 1 lives always; 999999999 is over the kernel's largest PID."""
    path = Path(pid_file.path)
    path.write_bytes(content)
    try:
        pid_file.create()
        ours = ""
    except PidFileError as error:
        ours = str(error)
    path.write_bytes(content)
    (path.parent / "d2.json").write_text("{}")  # with a good PID file the real server ends here
    real = D2(find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server"), path.parent)
    assert real.process.wait_for_exit() == 1
    failure = real.stderr().splitlines()[-1].removeprefix("Service failed: ")
    reason = failure.removeprefix("Launch Failed: ").removeprefix("Launch failed: ")
    assert ours == ("" if failure.startswith("Could Not load") else reason)

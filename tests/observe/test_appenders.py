"""Outputs: rolling compared with the real server's files; consoles, syslog, faults on real descriptors."""

import os
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.observe import appenders
from pyd2.observe.appenders import Descriptor, File, Output, Syslog, rounded_size
from pyd2.observe.pattern import Layout
from tests.kit.profile import message_log
from tests.observe import kea


def layout(pattern: str = "%m%n") -> Layout:
    return Layout(pattern, 0.0)


def put(output: Output, *messages: str) -> None:
    line = output.writer(ROOT_LOGGER, Severity.INFO)
    output.pending += [line(message, 0.0) for message in messages]
    output.flush()


def plain_file(path: Path, *, maxsize: int = 0, maxver: int = 1, immediate: bool = True) -> File:
    file = File(str(path), layout(), immediate=immediate, maxsize=maxsize, maxver=maxver)
    file.open()
    return file


@pytest.mark.peers
@pytest.mark.parametrize(
    ("maxsize", "maxver", "width"),
    [
        (1, 2, 50000), (300000, 3, 50000), (300000, 0, 50000), (300000, -1, 99990),
        (204801, 9, 204795), (204800, 1, 204800),
    ],
)
def test_files_roll_as_kea_rolls_them(maxsize: int, maxver: int, width: int, tmp_path: Path) -> None:
    pattern = "x" * width + "%p %c{1}%n"
    rolling = {"output": "roll.log", "pattern": pattern, "maxsize": maxsize, "maxver": maxver}
    real, ours = tmp_path / "real", tmp_path / "ours"
    real.mkdir()
    ours.mkdir()
    logger = {"name": ROOT_LOGGER, "severity": "DEBUG", "debuglevel": 99,
              "output-options": [kea.reference_output(), rolling]}  # fmt: skip
    kea.run(real, [logger])
    option = OutputOption(str(ours / "roll.log"), maxsize=maxsize, maxver=maxver, pattern=pattern)
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    log.configure((Logger(ROOT_LOGGER, "DEBUG", 99, (option,), None),))
    for record in kea.read_reference(real):
        log.logger(record["c"]).message(Severity[record["p"]], 0, "ID", record["m"])
    log.close()

    def files(directory: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in directory.glob("roll.log*")}

    assert files(ours) == files(real)
    assert (ours / "roll.log").stat().st_mode == (real / "roll.log").stat().st_mode
    assert len(files(real)) > 2


def test_one_write_of_many_lines_rolls_where_single_lines_would(tmp_path: Path) -> None:
    lines = [f"{number:03}" + "y" * 20000 for number in range(40)]
    together = plain_file(tmp_path / "a", maxsize=204800, maxver=5)
    single = plain_file(tmp_path / "b", maxsize=204800, maxver=5)
    put(together, *lines)
    for line in lines:
        put(single, line)
    together.close()
    single.close()
    for name in ("", ".1", ".2", ".3"):
        assert (tmp_path / f"a{name}").read_bytes() == (tmp_path / f"b{name}").read_bytes()


def test_a_file_that_another_process_rolled_is_only_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first, second = plain_file(path, maxsize=204800, maxver=3), plain_file(path, maxsize=204800, maxver=3)
    put(first, "1" * 204800)  # rolls
    put(second, "2")  # still has the rolled file open, sees that it is over its size
    put(second, "3")
    first.close()
    second.close()
    assert path.read_text() == "2\n3\n"
    assert not Path(f"{path}.2").exists()


def test_a_moved_file_begins_again_when_configured_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    loggers = (Logger(ROOT_LOGGER, "INFO", 0, (OutputOption(str(path), pattern="%m%n"),), None),)
    log.configure(loggers)
    log.emit("DHCP_DDNS_STARTED", "1")
    path.rename(tmp_path / "old")
    log.emit("DHCP_DDNS_STARTED", "2")
    log.configure(loggers)
    log.emit("DHCP_DDNS_STARTED", "3")
    log.close()
    assert [line[-9] for line in (tmp_path / "old").read_text().splitlines()] == ["1", "2"]
    assert path.read_text().endswith("version 3 started\n")
    assert path.stat().st_mode & 0o777 == 0o640


def test_flush_false_collects(tmp_path: Path) -> None:
    output = plain_file(tmp_path / "log", immediate=False)
    put(output, "short")
    assert (tmp_path / "log").read_text() == ""
    put(output, "x" * appenders.BUFFER_SIZE)
    assert (tmp_path / "log").stat().st_size > appenders.BUFFER_SIZE
    put(output, "last")
    output.close()
    assert (tmp_path / "log").read_text().endswith("\nlast\n")


@pytest.mark.parametrize(("lengths", "written"), [
    ([1022], 0), ([1023], 1024), ([10, 1023], 1035), ([1000] * 8, 0), ([1000] * 8 + [181], 0),
    ([1000] * 8 + [182], 8191), ([1000] * 9, 9009),
])
def test_flush_false_collects_as_much_as_a_file_buffer_of_cpp(
    tmp_path: Path, lengths: list[int], written: int
) -> None:
    output = plain_file(tmp_path / "log", immediate=False)
    for length in lengths:
        put(output, "x" * length)
    assert (tmp_path / "log").stat().st_size == written
    output.close()


@pytest.mark.parametrize(
    ("maxsize", "expected"),
    [(0, 0), (2147483647, 2147483647), (2147483648, 2147483 * 1024), (3 * 10**12, 3 * 10**6 * 1024**2)],
)
def test_sizes_beyond_32_bits(maxsize: int, expected: int) -> None:
    assert rounded_size(maxsize) == expected


def test_a_full_disk_is_survived_and_reported(capfd: pytest.CaptureFixture[str]) -> None:
    output = plain_file(Path("/dev/full"))
    put(output, "one", "two")
    put(output, "three")
    assert (output.lost, output.reason) == (3, "No space left on device")
    assert capfd.readouterr().err == (
        "Unable to write log lines to /dev/full (No space left on device): they are being lost\n"
    )
    output.close()
    assert capfd.readouterr().err == "3 log lines for /dev/full were lost\n"


def test_a_missing_directory_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = tmp_path / "logs" / "d2.log"
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    log.configure((Logger(ROOT_LOGGER, "INFO", 0, (OutputOption(str(path), pattern="%m%n"),), None),))
    log.emit("DHCP_DDNS_STARTED", "1")
    path.parent.mkdir()
    log.emit("DHCP_DDNS_STARTED", "2")
    now += 5.0
    log.emit("DHCP_DDNS_STARTED", "3")
    log.close()
    assert path.read_text().splitlines() == [
        "DHCP_DDNS_STARTED Kea DHCP-DDNS server version 3 started",
        (f"PYD2_LOG_LINES_LOST 2 log lines for {path} were lost because they could not be written. "
         "Check its directory, whether its disk is full, and whether its reader is slow"),
    ]
    assert "No such file or directory" in capfd.readouterr().err


@pytest.fixture(params=["pipe", "socket"])
def channel(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A reading and a writing end, neither of them non-blocking."""
    if request.param == "pipe":
        ends = os.pipe()
    else:
        left, right = socket.socketpair()
        ends = left.detach(), right.detach()
    yield ends
    for end in ends:
        os.close(end)


def read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    try:
        while chunk := os.read(fd, 1 << 20):
            data += chunk
    except BlockingIOError:
        pass
    os.set_blocking(fd, True)
    return data


def test_a_reader_that_sleeps_does_not_stop_the_writer(channel: tuple[int, int]) -> None:
    reader, writer = channel
    output = Descriptor("stdout", writer, layout(), immediate=True)
    lines = [f"{number:06} " + "z" * 993 for number in range(3000)]
    for line in lines:
        put(output, line)
    assert output.lost > 0
    received = b""
    while chunk := read_all(reader):
        received += chunk
        output.flush(final=True)
    kept = received.decode().splitlines()
    # What is missing are whole lines at the end, and the count is right.
    assert kept == lines[: len(kept)]
    assert len(kept) + output.lost == len(lines)
    assert len(received) > appenders.HELD_LIMIT // 2
    put(output, "after")
    assert read_all(reader) == b"after\n"
    assert output.reason == ""
    assert os.get_blocking(writer)


def test_a_closed_pipe_is_survived(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Descriptor("stdout", writer, layout(), immediate=True)
    put(output, "one")
    assert (output.lost, output.reason) == (1, "Broken pipe")
    os.close(writer)
    put(output, "two")
    assert (output.lost, output.reason) == (2, "Bad file descriptor")
    assert capfd.readouterr().err.count("\n") == 1


def test_a_torn_line_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    output = Descriptor("stdout", writer, layout(), immediate=True)
    write = os.write
    answers: list[OSError | None] = [None, OSError(28, "No space left on device"), None]

    def half_a_disk(fd: int, data: bytes) -> int:
        if fd != writer:
            return write(fd, data)
        answer = answers.pop(0)
        if answer:
            raise answer
        return write(fd, data[:5])

    monkeypatch.setattr(os, "write", half_a_disk)
    put(output, "0123456789")
    monkeypatch.undo()
    put(output, "next")
    assert os.read(reader, 100) == b"01234\nnext\n"
    assert output.lost == 1
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("target", "severity", "head"),
    [
        ("", Severity.INFO, b"<134>Nov  9 01:02:03 kea-dhcp-ddns: "),
        ("", Severity.FATAL, b"<130>Nov  9 01:02:03 kea-dhcp-ddns: "),
        ("local3", Severity.ERROR, b"<155>Nov  9 01:02:03 kea-dhcp-ddns: "),
        ("DaeMon", Severity.WARN, b"<28>Nov  9 01:02:03 kea-dhcp-ddns: "),
        ("kern", Severity.DEBUG, b"<7>Nov  9 01:02:03 kea-dhcp-ddns: "),
        ("dns%cupdates", Severity.DEBUG, b"<15>Nov  9 01:02:03 dns%cupdates: "),
    ],
)
def test_syslog_datagrams(target: str, severity: Severity, head: bytes, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        output = Syslog(layout(), target, str(tmp_path / "log"))
        now = time.mktime((2026, 11, 9, 1, 2, 3, 0, 0, -1)) + 0.5
        output.pending.append(output.writer(ROOT_LOGGER, severity)("ID text", now))
        output.flush()
        assert daemon.recv(1000) == head + b"ID text\n"
        output.close()


def test_a_syslog_daemon_that_restarts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "log")
    output = Syslog(layout(), "", path)
    put(output, "no reader")
    for number in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(path)
            if number:
                put(output, "to the socket that is gone")
            put(output, "heard", "again")
            assert daemon.recv(1000).endswith(b": heard\n")
            assert daemon.recv(1000).endswith(b": again\n")
        Path(path).unlink()
    assert output.lost == 2
    assert output.reason == ""
    output.close()
    assert capfd.readouterr().err == ""  # a system without a syslog daemon is no fault


def test_a_full_syslog_socket_does_not_block(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        output = Syslog(layout(), "", str(tmp_path / "log"))
        put(output, *["x" * 1000] * 5000)
        assert 0 < output.lost < 5000
        output.close()


def test_a_reader_that_trickles_has_one_deadline_for_all(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reader takes a little just before each wait would end."""
    now = 100.0
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    class Trickle:
        def register(self, *_: object) -> None:
            pass

        def poll(self, milliseconds: float) -> bool:
            nonlocal now
            now += milliseconds / 1000 * 0.9
            with suppress(BlockingIOError):
                os.read(reader, select.PIPE_BUF)
            return milliseconds > 0.001

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(select, "poll", Trickle)
    output = Descriptor("stdout", writer, layout(), immediate=True)
    put(output, "x" * 999, *["y" * 999] * 1000)
    output.close(1.0)
    assert now <= 100.0 + appenders.WRITE_TIMEOUT + 1.0
    report = capfd.readouterr().err
    assert re.fullmatch(r"\d+ log lines for stdout were lost\n", report)
    os.close(reader)
    os.close(writer)

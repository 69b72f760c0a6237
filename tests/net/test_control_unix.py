"""The control channel's socket, with real clients over UNIX sockets."""

# ruff: noqa: ASYNC230, ASYNC240  the files are in the test's own directory and do not block

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import socket
import stat
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import UnixSocket
from pyd2.config.paths import Directories
from pyd2.data.element import Element, from_plain
from pyd2.errors import ConfigError
from pyd2.net.control_unix import CHUNK, MAX_CONNECTIONS, UnixChannel
from tests.control.fakes import Lines
from tests.kit.profile import RULES
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.net.conftest import Run

SOON = 10  # seconds after which a test gives up


def control_socket(directory: str, name: str, **members: Any) -> UnixSocket:
    element = from_plain({"socket-type": "unix", "socket-name": name, **members})
    directories = Directories(hooks="/nowhere", logs="/nowhere", sockets=directory)
    (socket,) = RULES.sockets.check_names(Element({"control-socket": element}), directories, ())
    assert isinstance(socket, UnixSocket)
    return socket


@pytest.fixture
def directory() -> Iterator[str]:
    """A short path: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="d2.") as path:
        Path(path).chmod(0o750)
        yield path


@pytest.fixture
def log() -> Lines:
    return Lines()


class Echo:
    """A session whose request ends with a dot and is answered with itself.

    ``during`` runs when a request is whole.
    """

    def __init__(self, during: Callable[[bytes], bytes] = bytes) -> None:
        self._during = during
        self._text = b""

    @property
    def size(self) -> int:
        return len(self._text)

    def receive(self, data: bytes) -> bytes | None:
        self._text += data
        return self._during(self._text) if self._text.endswith(b".") else None

    def timed_out(self) -> bytes:
        return b"too late"


@asynccontextmanager
async def channel(
    directory: str, log: Lines, during: Callable[[bytes], bytes] = bytes, **options: Any
) -> AsyncIterator[UnixChannel]:
    loop = asyncio.get_running_loop()
    made = UnixChannel(loop, control_socket(directory, "d2.sock"), lambda _: Echo(during), log, **options)
    made.open()
    try:
        async with asyncio.timeout(SOON):
            yield made
    finally:
        made.close()


async def exchange(path: str, *chunks: bytes, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o777, None])
def test_the_directorys_mode_must_be_0750(directory: str, log: Lines, run: Run, mode: int | None) -> None:
    if mode is None:
        directory += "/missing"
    else:
        Path(directory).chmod(mode)

    async def main() -> None:
        with pytest.raises(ConfigError) as caught:
            other(directory, log).open()
        assert str(caught.value) == (
            f"'socket-name' is invalid: socket path:{directory} does not exist "
            "or does not have permssions = 750"
        )

    run(main())
    assert log.lines == []


def test_no_directory_is_not_the_working_directory(
    directory: str, log: Lines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KEA_CONTROL_SOCKET_DIR may be set and empty."""
    monkeypatch.chdir(directory)

    async def main() -> None:
        with pytest.raises(ConfigError, match="socket path: does not exist"):
            other("", log).open()

    run(main())


def test_files_come_and_go(directory: str, log: Lines, run: Run) -> None:
    Path(directory, "d2.sock").write_text("left by a server that was killed")

    async def main() -> None:
        async with channel(directory, log) as made:
            modes = {path.name: stat.filemode(path.stat().st_mode) for path in Path(directory).iterdir()}
            assert modes == {"d2.sock": "srwxr-x---", "d2.sock.lock": "-rw-------"}
            assert made.path == f"{directory}/d2.sock"

    old = os.umask(0o027)
    try:
        run(main())
    finally:
        os.umask(old)
    assert list(Path(directory).iterdir()) == []
    text = f"Starting to accept connections via unix domain socket bound to {directory}/d2.sock"
    assert log.lines == [("COMMAND_ACCEPTOR_START", text)]


def test_one_exchange(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            log.take()
            assert await exchange(made.path, b"ab", b"c.") == b"abc."
            await until(lambda: "COMMAND_SOCKET_CONNECTION_CLOSED" in log.ids())

    run(main())
    assert log.ids()[0] == "COMMAND_SOCKET_CONNECTION_OPENED"
    assert set(log.ids()[1:-2]) == {"COMMAND_SOCKET_READ"}
    assert log.ids()[-2:] == ["COMMAND_SOCKET_WRITE", "COMMAND_SOCKET_CONNECTION_CLOSED"]
    number = log.lines[0][1].split()[2]
    assert log.lines[-2:] == [
        (
            "COMMAND_SOCKET_WRITE",
            f"Sent response of 4 bytes (0 bytes left to send) over command socket {number}",
        ),
        ("COMMAND_SOCKET_CONNECTION_CLOSED", f"Closed socket {number} for existing command connection"),
    ]


@pytest.mark.parametrize(
    ("sent", "discarded"),
    [(b"", "no input data to discard"), (b"abc", "discarding partial command of 3 bytes")],
)
def test_the_client_ends_its_request_early(
    directory: str, log: Lines, run: Run, sent: bytes, discarded: str
) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            assert await exchange(made.path, sent, end=True) == b""

    run(main())
    assert dict(log.lines)["COMMAND_SOCKET_CLOSED_BY_FOREIGN_HOST"].endswith(f" by foreign host, {discarded}")


def test_an_empty_answer_closes_the_connection(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log, lambda _: b"") as made:
            assert await exchange(made.path, b"abc.") == b""

    run(main())
    assert "COMMAND_SOCKET_WRITE" not in log.ids()


def test_a_fault_of_the_session_costs_one_connection(directory: str, log: Lines, run: Run) -> None:
    faults: list[object] = []

    def fail(text: bytes) -> bytes:
        if text == b"bad.":
            raise ZeroDivisionError
        return text

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context.get("exception")))
        async with channel(directory, log, fail) as made:
            assert await exchange(made.path, b"bad.") == b""
            assert await exchange(made.path, b"good.") == b"good."

    run(main())
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


def test_a_long_answer_goes_out_in_pieces(directory: str, log: Lines, run: Run) -> None:
    answer = bytes(range(256)) * 8192

    async def main() -> None:
        async with channel(directory, log, lambda _: answer) as made:
            assert await exchange(made.path, b".") == answer

    run(main())
    written = [text for message_id, text in log.lines if message_id == "COMMAND_SOCKET_WRITE"]
    first = f"Sent response of {CHUNK} bytes ({len(answer) - CHUNK} bytes left to send) over"
    assert written[0].startswith(first)
    assert "(0 bytes left to send)" in written[-1]


def test_a_client_that_leaves_before_its_answer(directory: str, log: Lines, run: Run) -> None:
    answer = b"x" * 4_000_000

    async def main() -> None:
        async with channel(directory, log, lambda _: answer) as made:
            _, writer = await asyncio.open_unix_connection(made.path)
            writer.write(b".")
            await until(lambda: "COMMAND_SOCKET_WRITE" in log.ids())
            writer.transport.abort()
            await until(lambda: "COMMAND_SOCKET_CONNECTION_CLOSED" in log.ids())

    run(main())
    (text,) = (text for message_id, text in log.lines if message_id == "COMMAND_SOCKET_WRITE_FAIL")
    assert text.endswith(": Broken pipe")


@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_time_out(directory: str, log: Lines, run: Run, sent: bytes) -> None:
    async def main() -> None:
        async with channel(directory, log, timeout=0.05) as made:
            assert await exchange(made.path, sent) == b"too late"

    run(main())
    ids = [message_id for message_id in log.ids() if message_id != "COMMAND_SOCKET_READ"]
    assert ids[2:] == [
        "COMMAND_SOCKET_CONNECTION_TIMEOUT",
        "COMMAND_SOCKET_WRITE",
        "COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL",
        "COMMAND_SOCKET_CONNECTION_CLOSED",
    ]
    assert dict(log.lines)["COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL"] == (
        "Encountered error Bad file descriptor while trying to gracefully shutdown socket"
    )


def test_a_client_that_does_not_read_its_answer_is_given_up(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log, lambda _: b"x" * 4_000_000, timeout=0.05) as made:
            client = socket.socket(socket.AF_UNIX)
            client.connect(made.path)
            client.send(b".")
            await until(lambda: "COMMAND_SOCKET_CONNECTION_CLOSED" in log.ids())
            received = 0
            while data := client.recv(65536):
                received += len(data)
            client.close()
            assert 0 < received < 4_000_000

    run(main())
    assert "COMMAND_SOCKET_CONNECTION_TIMEOUT" in log.ids()


def test_a_client_that_drips_its_request_is_given_up(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log, timeout=3600, deadline=0.05) as made:
            client = socket.socket(socket.AF_UNIX)
            client.connect(made.path)

            def drip() -> bool:
                with suppress(BrokenPipeError):
                    client.send(b"a")
                return "COMMAND_SOCKET_CONNECTION_CLOSED" in log.ids()

            await until(drip)
            assert client.recv(100) == b"too late"
            client.close()

    run(main())
    assert "COMMAND_SOCKET_READ" in log.ids()
    assert "COMMAND_SOCKET_CONNECTION_TIMEOUT" in log.ids()


def test_a_client_that_sips_its_answer_is_given_up(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log, lambda _: b"x" * 4_000_000, timeout=3600, deadline=0.05) as made:
            client = socket.socket(socket.AF_UNIX)
            client.connect(made.path)
            client.send(b".")
            await until(lambda: "COMMAND_SOCKET_WRITE" in log.ids())

            def sip() -> bool:
                assert client.recv(1) == b"x"
                return "COMMAND_SOCKET_CONNECTION_CLOSED" in log.ids()

            await until(sip)
            client.close()

    run(main())
    assert "COMMAND_SOCKET_CONNECTION_TIMEOUT" in log.ids()


def test_progress_puts_the_time_out_off(
    directory: str, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[asyncio.TimerHandle] = []

    def running() -> list[int]:
        return [number for number, timer in enumerate(timers) if not timer.cancelled()]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def watched(delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
            timers.append(call_later(delay, callback))
            return timers[-1]

        monkeypatch.setattr(loop, "call_later", watched)
        async with channel(directory, log, timeout=3600) as made:
            reader, writer = await asyncio.open_unix_connection(made.path)
            for count in range(3):
                await until(lambda: len(timers) > count)  # noqa: B023  it is awaited at once
                assert running() == [count]
                writer.write(b"a")
            await until(lambda: len(timers) == 4)
            writer.write(b".")
            assert await reader.read() == b"aaa."
            await until(lambda: not running())
            writer.close()

    asyncio.run(main())


def test_connections_run_beside_each_other(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            idle = [await asyncio.open_unix_connection(made.path) for _ in range(5)]
            assert await exchange(made.path, b"abc.") == b"abc."
            for reader, writer in reversed(idle):
                writer.write(b"d.")
                assert await reader.read() == b"d."
                writer.close()

    run(main())


def test_more_clients_than_are_served_wait_for_their_turn(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            idle = [await asyncio.open_unix_connection(made.path) for _ in range(MAX_CONNECTIONS)]
            await until(lambda: log.ids().count("COMMAND_SOCKET_CONNECTION_OPENED") == MAX_CONNECTIONS)
            waiting = asyncio.create_task(exchange(made.path, b"late."))
            for _ in range(20):
                await asyncio.sleep(0)
            assert log.ids().count("COMMAND_SOCKET_CONNECTION_OPENED") == MAX_CONNECTIONS
            idle.pop()[1].close()
            assert await waiting == b"late."
            for _, writer in idle:
                writer.close()

    run(main())


def test_no_file_descriptor_left(
    directory: str, log: Lines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.net.control.ACCEPT_PAUSE", 0.01)

    async def main() -> None:
        async with channel(directory, log) as made:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect(made.path)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            try:
                await until(lambda: "COMMAND_SOCKET_ACCEPT_FAIL" in log.ids())
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.send(b"now.")
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"now."
            client.close()

    run(main())
    assert dict(log.lines)["COMMAND_SOCKET_ACCEPT_FAIL"].endswith(os.strerror(errno.EMFILE))


def test_a_second_server_on_the_same_path(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            second = other(directory, Lines(), "d2.sock")
            with pytest.raises(ConfigError) as caught:
                second.open()
            assert str(caught.value) == (
                f"cannot lock socket lockfile, {made.path}.lock, : Resource temporarily unavailable"
            )
            second.close()
            assert await exchange(made.path, b"abc.") == b"abc."

    run(main())


def test_a_lock_file_that_cannot_be_made(directory: str, log: Lines, run: Run) -> None:
    Path(directory, "d2.sock.lock").mkdir()
    path = f"{directory}/d2.sock.lock"

    async def main() -> None:
        made = other(directory, log, "d2.sock")
        with pytest.raises(ConfigError) as caught:
            made.open()
        assert str(caught.value) == f"cannot create socket lockfile, {path}, : Is a directory"

    run(main())


def test_a_socket_that_cannot_be_bound_leaves_nothing(directory: str, log: Lines, run: Run) -> None:
    taken = Path(directory, "taken")
    taken.mkdir()

    async def main() -> None:
        made = other(directory, log, "taken")
        with pytest.raises(ConfigError) as caught:
            made.open()
        assert str(caught.value) == "bind: Address already in use [system:98]"
        made.close()

    run(main())
    assert list(Path(directory).iterdir()) == [taken]
    assert log.ids() == ["COMMAND_ACCEPTOR_START"]


def other(directory: str, log: Lines, name: str = "other.sock", **members: Any) -> UnixChannel:
    config = control_socket(directory, name, **members)
    return UnixChannel(asyncio.get_running_loop(), config, lambda _: Echo(), log)


def test_a_new_path_is_open_before_the_old_one_closes(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as old:
            new = other(directory, log)
            new.open([old])
            assert await exchange(old.path, b"old.") == b"old."
            assert await exchange(new.path, b"new.") == b"new."
            old.close()
            assert {path.name for path in Path(directory).iterdir()} == {"other.sock", "other.sock.lock"}
            assert await exchange(new.path, b"new.") == b"new."
            new.close()

    run(main())
    assert list(Path(directory).iterdir()) == []


def test_a_bad_new_socket_leaves_the_old_one(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as old:
            Path(directory, "taken").mkdir()
            with pytest.raises(ConfigError, match="bind: Address already in use"):
                other(directory, log, name="taken").open([old])
            assert old.listening
            assert await exchange(old.path, b"old.") == b"old."

    run(main())


def test_the_same_path_changes_hands_without_a_gap(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as old:
            idle_reader, idle_writer = await asyncio.open_unix_connection(old.path)
            await until(lambda: "COMMAND_SOCKET_CONNECTION_OPENED" in log.ids())
            waiting = socket.socket(socket.AF_UNIX)  # connected, but not accepted yet
            waiting.connect(old.path)
            waiting.send(b"waiting.")
            inode = Path(old.path).stat().st_ino
            new = other(directory, log, name=f"{directory}/d2.sock", **{"user-context": {}})
            new.open([old])
            old.close()
            assert Path(new.path).stat().st_ino == inode
            assert await idle_reader.read() == b""
            idle_writer.close()
            waiting.setblocking(False)
            assert await new.loop.sock_recv(waiting, 100) == b"waiting."
            waiting.close()
            assert await exchange(new.path, b"new.") == b"new."
            again = other(directory, log, name="d2.sock")
            with pytest.raises(ConfigError, match="cannot lock"):  # the lock is held on
                again.open([old])
            new.close()

    run(main())
    assert list(Path(directory).iterdir()) == []
    assert log.ids().count("COMMAND_ACCEPTOR_START") == 2


def test_a_removed_socket_is_made_again(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as old:
            Path(old.path).unlink()
            new = other(directory, log, name="d2.sock")
            new.open([old])
            old.close()
            assert await exchange(new.path, b"new.") == b"new."
            new.close()

    run(main())


@pytest.mark.parametrize("size", [1, 4_000_000])
def test_a_command_may_close_its_channel_and_is_still_answered(
    directory: str, log: Lines, run: Run, size: int
) -> None:
    """As config-set does that moves or drops the control socket."""

    async def main() -> None:
        made: list[UnixChannel] = []

        def drop(_: bytes) -> bytes:
            made[0].close()
            return b"x" * size

        async with channel(directory, log, drop) as opened:
            made.append(opened)
            idle_reader, idle_writer = await asyncio.open_unix_connection(opened.path)
            await until(lambda: "COMMAND_SOCKET_CONNECTION_OPENED" in log.ids())
            assert await exchange(opened.path, b".") == b"x" * size
            assert await idle_reader.read() == b""
            idle_writer.close()
            with pytest.raises(FileNotFoundError):
                await exchange(opened.path, b".")

    run(main())


def test_the_lock_is_free_after_closing(directory: str, log: Lines, run: Run) -> None:
    async def main() -> None:
        async with channel(directory, log) as made:
            lock = made.path + ".lock"
            with Path(lock).open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.close()
            made.close()
            made.open()
            assert await exchange(made.path, b"abc.") == b"abc."

    run(main())

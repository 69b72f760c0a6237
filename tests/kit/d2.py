"""A D2 under test: started in a directory of its own, watched through its log and its control socket."""

import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kit import control
from tests.kit.process import Process
from tests.kit.waiting import TIMEOUT, WaitTimeoutError, wait_until

CONTROL_SOCKET = {"socket-type": "unix", "socket-name": "d2.sock"}
STARTED = "DHCP_DDNS_STARTED"
NO_LISTENER = "DHCP_DDNS_QUEUE_MGR_START_ERROR"
# A command no server has: its one log line differs from all others, and can be removed again.
_BARRIER = "tests-barrier"


def environment(directory: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a D2 that keeps all its files in one directory."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("KEA_")}
    folder = str(directory)
    env |= {"KEA_PIDFILE_DIR": folder, "KEA_LOCKFILE_DIR": folder, "KEA_CONTROL_SOCKET_DIR": folder,
            "KEA_LOG_FILE_DIR": folder, "LC_ALL": "C"}
    return env | {key: value.replace("@DIR@", folder) for key, value in (extra or {}).items()}


@contextlib.contextmanager
def private_directory(place: Path | None = None) -> Iterator[Path]:
    """A short directory of mode 0750, as the control socket demands, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="d2.", dir=place))
    directory.chmod(0o750)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def is_listening(port: int) -> bool:
    """Whether some UDP socket of this machine is bound to the port."""
    wanted = f":{port:04X}"
    return any(line.split()[1].endswith(wanted)
               for table in ("udp", "udp6")
               for line in Path("/proc/net", table).read_text().splitlines()[1:])


class D2:
    """A running D2 in a directory. `args` default to `-c d2.json`."""

    def __init__(self, binary: str, directory: Path, args: Sequence[str] = ("-c", "d2.json"),
                 env: Mapping[str, str] | None = None, name: str = "d2",
                 descriptors: Sequence[int] = ()) -> None:
        self.directory = directory
        self.socket = directory / "d2.sock"
        self._cuts: list[tuple[slice, slice]] = []
        self.process = Process([binary, *args], directory, name=name, env=environment(directory, env),
                               descriptors=descriptors)

    @classmethod
    def start(cls, binary: str, directory: Path, config: Mapping[str, Any] | str,
              args: Sequence[str] = ("-c", "d2.json"), env: Mapping[str, str] | None = None) -> Self:
        """Write the configuration as d2.json, start the server and wait until it answers commands."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        (directory / "d2.json").write_text(text)
        d2 = cls(binary, directory, args, env)
        try:
            d2.wait_for_commands()
        except BaseException:
            d2.process.kill()
            raise
        return d2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.process.stop()
        else:
            self.process.kill()

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.process.alive

    def stdout(self) -> str:
        """What the server said, without what the rig's own commands made it say."""
        return _without(self.process.stdout(), [out for out, _ in self._cuts])

    def stderr(self) -> str:
        """What the server said on stderr, without what the rig's own commands made it say."""
        return _without(self.process.stderr(), [err for _, err in self._cuts])

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What the server says inside the block is left out of its outputs. It must be idle before."""
        out, err = len(self.process.stdout()), len(self.process.stderr())
        yield
        self.barrier()
        self._cuts.append((whole_lines(self.process.stdout(), out), whole_lines(self.process.stderr(), err)))

    def answers_commands(self) -> bool:
        """Whether a control channel over a UNIX socket answers."""
        try:
            return bool(control.exchange(self.unix_socket, [json.dumps({"command": _BARRIER})]))
        except OSError:
            return False

    @property
    def unix_socket(self) -> Path:
        """The UNIX control socket that the server has now: `socket`, or another one in its directory."""
        others = [] if self.socket.exists() else sorted(self.directory.glob("*.sock"))
        return others[0] if others else self.socket

    def wait_for_commands(self, timeout: float = TIMEOUT) -> None:
        """Wait until the control channel answers; fail if the server ends first."""
        def ready() -> bool:
            if self.answers_commands():
                return True
            assert self.alive, f"D2 ended with {self.process.exit_status}:\n{self.process.output()[-4000:]}"
            return False

        wait_until(ready, "the control channel to answer", timeout)

    def barrier(self) -> None:
        """Return when the server has done and logged all work from before this call.

        Commands run in the main loop, so an answer means that the loop has been round. A server
        without a control channel, or one that has ended, is left alone.
        """
        for _ in range(2):
            if not self.answers_commands():
                return

    def wait_for_log(self, pattern: str, count: int = 1, start: int = 0, timeout: float = TIMEOUT) -> None:
        """Wait until stdout, from character `start`, holds `count` matches, or the server ends."""
        found = re.compile(pattern)
        try:
            wait_until(lambda: len(found.findall(self.stdout(), start)) >= count or not self.alive,
                       f"{count} times {pattern!r} in the log", timeout)
        except WaitTimeoutError as error:
            raise WaitTimeoutError(f"{error}; it ends with\n{self.stdout()[-4000:]}") from None

    def wait_for_listener(self, port: int, timeout: float = TIMEOUT) -> None:
        """Wait until the server is bound to its port, or has said why it can't, or has ended."""
        wait_until(lambda: is_listening(port) or NO_LISTENER in self.process.output() or not self.alive,
                   f"a listener on port {port}", timeout)

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and return its answer."""
        return control.command(self.socket, name, arguments)

    def statistics(self) -> dict[str, int]:
        """Return all statistics."""
        return control.statistics(self.socket)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server and return its exit status."""
        return self.process.stop(number)


def whole_lines(text: str, start: int) -> slice:
    """Return where the lines are that begin at ``start`` or later and have ended.

    What one write has put into a file can be seen in part for a moment, up to the end of a page.
    """
    end = text.rfind("\n") + 1
    if start and text[start - 1] != "\n":
        start = text.find("\n", start) + 1 or end
    return slice(min(start, end), end)


def _without(text: str, cuts: list[slice]) -> str:
    for cut in reversed(cuts):
        text = text[:cut.start] + text[cut.stop:]
    if _BARRIER not in text:
        return text
    return "".join(line for line in text.splitlines(keepends=True) if _BARRIER not in line)


def config(port: int, body: Mapping[str, Any] | None = None, *, severity: str = "INFO",
           debuglevel: int = 0) -> dict[str, Any]:
    """Return a configuration with a control socket that logs on stdout."""
    logger = {"name": "kea-dhcp-ddns", "severity": severity, "debuglevel": debuglevel,
              "output-options": [{"output": "stdout"}]}
    inner: dict[str, Any] = {"ip-address": "127.0.0.1", "port": port, "control-socket": CONTROL_SOCKET,
                             "loggers": [logger]}
    return {"DhcpDdns": inner | dict(body or {})}

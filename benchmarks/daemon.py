"""A D2 under measurement: a black box that is a command line and a configuration template."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.build import HERE, reflector_program
from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 0.3
"""From listening to the reading of the idle memory and the first request."""
TEMPLATE: Final = HERE / "template.json"

_KEA_DIRECTORIES = ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR", "KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR",
                    "KEA_HOOKS_PATH")
_SETTINGS = ("KEA_", "PYD2_", "PYTHON")


@dataclass(frozen=True, slots=True)
class Subject:
    """A D2: the name of its rows, its command, and its template.

    In the command ``{}`` is the configuration file; ``{ncr-port}`` and ``{dns-port}`` are its two ports.
    """

    name: str
    command: tuple[str, ...]
    template: Path = TEMPLATE


def end_on_sigterm() -> None:
    """Have SIGTERM end this program as Ctrl-C does, with all the daemons and servers that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


def default_subjects() -> list[Subject]:
    """Return this pyd2 and, if it is installed, the real server."""
    found = [Subject("pyd2", (str(Path(sys.executable).with_name("pyd2")), "-c", "{}"))]
    kea = shutil.which("kea-dhcp-ddns", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return [*found, Subject("kea", (kea, "-c", "{}"))] if kea else found


def loopback() -> Subject:
    """Return the D2 that moves datagrams and does nothing else. Raises BenchmarkError."""
    ports = ("--ncr-port", "{ncr-port}", "--dns-port", "{dns-port}")
    return Subject("loopback", (str(reflector_program()), *ports))


class Daemon:
    """A running D2, in a directory of its own."""

    def __init__(self, command: Sequence[str], directory: Path, port: int, env: Mapping[str, str]) -> None:
        """Start it and wait until it listens. Raises BenchmarkError."""
        self._directory = directory
        self._output = (directory / "output").open("wb")
        begin = time.perf_counter()
        self._process = subprocess.Popen(command, cwd=directory, env=dict(env), stdin=subprocess.DEVNULL,
                                         stdout=self._output, stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        try:
            self._wait_for(port, begin + START_SECONDS)
            self.start_ms = (time.perf_counter() - begin) * 1000
            self.start_cpu_ms = cpu_seconds(self.pid) * 1000
            time.sleep(SETTLE_SECONDS)
            self.idle_rss_kb = memory_kb(self.pid)
        except BaseException:
            self.kill()
            raise

    def _wait_for(self, port: int, end: float) -> None:
        while not is_bound(port):
            if self._process.poll() is not None or time.perf_counter() > end:
                raise BenchmarkError(f"it does not listen (exit status {self._process.poll()}):\n"
                                     f"{self._last_words()}")
            time.sleep(0.001)

    def _last_words(self) -> str:
        written = [(self._directory / name).read_text(errors="backslashreplace")[-2000:]
                   for name in ("output", "log") if (self._directory / name).exists()]
        return "\n".join(written)

    def statistics(self) -> dict[str, int]:
        """Return the statistics; none where there is no control socket."""
        path = self._directory / "socket"
        if not path.exists():
            return {}
        answer = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(path))
            connection.sendall(b'{"command": "statistic-get-all"}')
            while data := connection.recv(65536):
                answer += data
        samples: dict[str, Any] = json.loads(answer)["arguments"]
        return {name: values[0][0] for name, values in samples.items()}

    def stop(self) -> None:
        """End it, in peace if it goes."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._output.close()


@contextlib.contextmanager
def running(subject: Subject, text: str, directory: Path, ports: tuple[int, int],
            env: Mapping[str, str]) -> Iterator[Daemon]:
    """Run a D2 with a configuration while the context lasts; the ports are for NCRs and for DNS.

    Raises BenchmarkError.
    """
    file = directory / "d2.json"
    file.write_text(text)
    words = {"{}": str(file), "{ncr-port}": str(ports[0]), "{dns-port}": str(ports[1])}
    command = [words.get(part, part) for part in subject.command]
    # The caller's environment must not change the result, for example by not keeping compiled Python files.
    own = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    folders = dict.fromkeys(_KEA_DIRECTORIES, str(directory))
    daemon = Daemon(command, directory, ports[0], {**own, **folders, **env})
    try:
        yield daemon
    except BaseException:
        daemon.kill()
        raise
    daemon.stop()


@contextlib.contextmanager
def work_directory() -> Iterator[Path]:
    """A directory of the mode that a control socket's directory has to have (contract, section 8)."""
    directory = Path(tempfile.mkdtemp(prefix="d2-bench."))
    directory.chmod(0o750)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def is_bound(port: int) -> bool:
    """Whether a UDP socket of this machine is bound to a port."""
    wanted = f":{port:04X}"
    return any(line.split(None, 2)[1].endswith(wanted) for table in ("udp", "udp6")
               for line in Path("/proc/net", table).read_text().splitlines()[1:])


def free_port() -> int:
    """Return a port that is free at the moment, for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port: int = udp.getsockname()[1]
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                return port


def memory_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process, by its clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)

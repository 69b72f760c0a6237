"""Programs under test: started with their output in files, watched, and stopped by pid."""

import atexit
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.waiting import TIMEOUT, wait_until

_running: set["Process"] = set()


def _kill_leftovers() -> None:
    for process in list(_running):
        process.kill()


atexit.register(_kill_leftovers)


def find_program(name: str, package: str) -> str:
    """Return the path of an installed program; fail with the package to install if there is none."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise AssertionError(f"{name} is not installed, and the tests need it: install the package {package}")
    return path


class _Output:
    """A file that a program adds to; it is read again only when it has grown, as waiting tests look often."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._text = ""

    def text(self) -> str:
        """Return what is in it. Bytes that aren't UTF-8 are shown as escapes."""
        if self._path.stat().st_size != self._size:
            octets = self._path.read_bytes()
            self._size, self._text = len(octets), octets.decode("utf-8", "backslashreplace")
        return self._text


class Process:
    """A running program. stdout and stderr go to `<name>.stdout` and `<name>.stderr` in `logs`.

    It inherits `descriptors` beside these.
    """

    def __init__(self, argv: Sequence[str], cwd: Path, *, logs: Path | None = None, name: str = "process",
                 env: Mapping[str, str] | None = None, descriptors: Sequence[int] = ()) -> None:
        folder = logs or cwd
        self.name = name
        self.stdout_path, stderr_path = folder / f".{name}.stdout", folder / f".{name}.stderr"
        self._out, self._err = _Output(self.stdout_path), _Output(stderr_path)
        with self.stdout_path.open("wb") as out, stderr_path.open("wb") as err:
            self._popen = subprocess.Popen(argv, cwd=cwd, env=dict(env) if env is not None else None,
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                           pass_fds=descriptors)
        self.pid = self._popen.pid
        _running.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Exit status; minus the number of the signal that ended it; None while it runs."""
        return self._popen.poll()

    def stdout(self) -> str:
        """Everything written on stdout so far."""
        return self._out.text()

    def stderr(self) -> str:
        """Everything written on stderr so far."""
        return self._err.text()

    def output(self) -> str:
        """Both, stdout first."""
        return self.stdout() + self.stderr()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process."""
        self._popen.send_signal(number)

    def wait_for_exit(self, timeout: float = TIMEOUT) -> int:
        """Return the exit status once the program has ended. Raises WaitTimeoutError."""
        wait_until(lambda: not self.alive, f"the end of {self.name} (pid {self.pid})", timeout)
        _running.discard(self)
        status = self.exit_status
        assert status is not None
        return status

    def wait_for_output(self, pattern: str, timeout: float = TIMEOUT) -> None:
        """Wait until stdout or stderr contains the regular expression; fail if the program ends first."""
        found = re.compile(pattern)

        def look() -> bool:
            alive = self.alive  # asked first: what a program says before it ends is still seen
            if found.search(self.stdout()) or found.search(self.stderr()):
                return True
            assert alive, f"{self.name} ended with {self.exit_status}:\n{self.output()[-4000:]}"
            return False

        wait_until(look, f"{pattern!r} in the output of {self.name}", timeout)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = TIMEOUT) -> int:
        """Signal the program and return its exit status. Kills it, and raises, if it doesn't leave."""
        if self.alive:
            self._popen.send_signal(number)
        try:
            return self.wait_for_exit(timeout)
        except AssertionError:
            self.kill()
            raise

    def kill(self) -> None:
        """End the program whatever it is doing."""
        if self.alive:
            self._popen.kill()
            self._popen.wait()
        _running.discard(self)

    def resident_bytes(self) -> int:
        """Resident memory of the process now, in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """CPU time that the process has used, in user and kernel mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_resident_bytes(self) -> int:
        """Highest resident memory the process has had, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found.group(1)) * 1024


def version_report(binary: str) -> str:
    """Return what a D2 says about itself with -V."""
    return subprocess.run([binary, "-V"], capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout

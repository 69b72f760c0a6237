"""The outputs of the log: consoles, files that roll, syslog (contract, section 10).

An output never raises and never waits for long. It keeps a limited amount of what it cannot write, drops the
rest and counts it in ``lost``. The log reports the count when writing works again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.observe.lockfile import LockFile
from pyd2.observe.pattern import DEFAULT_PATTERN, DEFAULT_SYSLOG_PATTERN, SOURCE, Layout
from pyd2.regular import CAREFUL

if TYPE_CHECKING:
    from pyd2.config.model import OutputOption
    from pyd2.observe.pattern import LineWriter, Source

BUFFER_SIZE: Final = 8191
"""Characters that an output with ``flush`` false collects before it writes, like a C++ file buffer."""
LONG_LINE: Final = 1024
"""A line of so many characters bypasses that buffer: it is written at once, after the buffer."""
HELD_LIMIT: Final = 1 << 20
"""Bytes kept for an output whose reader is too slow."""
MINIMUM_ROLL_SIZE: Final = 204800
"""The smallest size at which log4cplus rolls a file; a smaller ``maxsize`` is raised to it."""
LARGEST_SIZE: Final = 0x7FFFFFFF
WRITE_TIMEOUT: Final = 0.05
"""Seconds to wait in all for a reader that kept up before; also when outputs change."""
LAST_TIMEOUT: Final = 1.0
"""Seconds to wait in all for a reader before the process ends."""
_REOPEN_DELAY: Final = 1.0


def encode(text: str) -> bytes:
    """Return the bytes of a line; Kea's byte strings are held with surrogateescape."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


class Output:
    """The common part of all outputs. Lines wait in ``pending`` until ``flush``."""

    name: str
    reports_on_stderr = True
    """Whether losses are reported on stderr."""

    def __init__(self, layout: Layout, *, immediate: bool) -> None:
        self.pending: list[str] = []
        self.lost = 0
        """Lines dropped since ``lost`` was last set to 0."""
        self.reason = ""
        """Why lines are being lost; empty while writing works."""
        self.framed = layout.framed
        """Whether each line holds its message unchanged; see Layout."""
        self._layout = layout
        self._immediate = immediate

    def open(self) -> None:
        """Make ready for the first line."""

    def writer(self, logger: str, severity: Severity) -> LineWriter:
        """Return the function that makes the entries of ``pending`` for a logger at a severity."""
        return self._layout.writer(logger, severity)

    def flush(self, *, final: bool = False) -> None:
        """Write the pending lines as far as possible. ``final``: also those in the buffer."""
        pending = self.pending
        if not (self._immediate or final):
            lengths = list(map(len, pending))
            if sum(lengths) < BUFFER_SIZE and max(lengths, default=0) < LONG_LINE:
                return
        if pending or final:
            lines = pending.copy()
            pending.clear()
            self._write(lines)

    def close(self, timeout: float = WRITE_TIMEOUT) -> None:  # noqa: ARG002  only some outputs have to wait
        """Write what is left and close. Losses that were not reported yet are reported on stderr.

        ``timeout``: the seconds that the call may wait in all.
        """
        self.flush(final=True)
        if self.lost and self.reports_on_stderr:
            complain(f"{self.lost} log lines for {self.name} were lost")

    def _write(self, lines: list[str]) -> None:
        raise NotImplementedError

    def _lose(self, lines: int, error: OSError) -> None:
        """Count lost lines. The first loss is reported on stderr, since the log may not work."""
        if not self.reason and self.reports_on_stderr:
            complain(f"Unable to write log lines to {self.name} ({error.strerror}): they are being lost")
        self.reason = error.strerror or str(error)
        self.lost += lines


def complain(text: str) -> None:
    """Write a line on stderr, if stderr takes it now."""
    with contextlib.suppress(OSError, ValueError):
        _write_some(2, encode(text + "\n"), 0.0)


class Descriptor(Output):
    """An output on an open file descriptor: stdout and stderr."""

    def __init__(self, name: str, fd: int, layout: Layout, *, immediate: bool) -> None:
        super().__init__(layout, immediate=immediate)
        self.name = name
        self._fd = fd
        self._held = b""
        """Text that is still to be written; it may begin in the middle of a line."""
        self._torn = False
        """The end of the last line written was lost."""

    def _write(self, lines: list[str]) -> None:
        self._put("".join(lines))

    def _put(self, text: str) -> None:
        data = self._held + encode(text)
        if self._torn and data:
            data = b"\n" + data
        # Held text means that the reader was too slow before: there is no second wait.
        written, error = _write_some(self._fd, data, 0.0 if self._held else WRITE_TIMEOUT)
        if written:
            self._torn = False
        self._held = data[written:]
        if error:
            self._torn = self._torn or data[:written][-1:] not in {b"", b"\n"}
            lost, self._held = self._held, b""
        elif len(self._held) > HELD_LIMIT:
            end = self._held.rfind(b"\n", 0, HELD_LIMIT) + 1 or self._held.find(b"\n") + 1
            lost, self._held = self._held[end:], self._held[:end]
            error = OSError(errno.EAGAIN, "the reader is too slow")
        elif not self._held:
            self.reason = ""
        if error:
            self._lose(lost.count(b"\n"), error)

    def close(self, timeout: float = WRITE_TIMEOUT) -> None:
        """Write what is left, as far as a slow reader reads it in time."""
        ends = time.monotonic() + timeout
        self.flush(final=True)
        written, _ = _write_some(self._fd, self._held, ends - time.monotonic())
        self.lost += self._held.count(b"\n", written)
        self._held = b""
        super().close()


def _write_some(fd: int, data: bytes, timeout: float) -> tuple[int, OSError | None]:
    """Write to a descriptor without blocking, waiting for at most ``timeout`` seconds in all.

    Return the number of bytes written, and the error that ended it, if any. Other processes may share the
    descriptor, so it is not made non-blocking.
    """
    written = 0
    ends = time.monotonic() + timeout
    try:
        kind = os.fstat(fd).st_mode
        if stat.S_ISREG(kind):
            while written < len(data):
                written += os.write(fd, data[written:])
            return written, None
        connection = socket.socket(fileno=os.dup(fd)) if stat.S_ISSOCK(kind) else None
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        with connection or contextlib.nullcontext():
            # One deadline for all waits: a reader may read a little just before each wait ends.
            while written < len(data) and poll.poll(max(0.0, ends - time.monotonic()) * 1000):
                # A pipe that is ready takes PIPE_BUF bytes without blocking; a socket is asked not to block.
                chunk = data[written : written + select.PIPE_BUF]
                written += connection.send(chunk, socket.MSG_DONTWAIT) if connection else os.write(fd, chunk)
    except BlockingIOError:
        return written, None
    except OSError as error:
        return written, error
    return written, None


def rounded_size(maxsize: int) -> int:
    """Return the size that Kea gives to log4cplus: above 2147483647 in whole units of KB or MB.

    The number is divided by 1000 for each unit, while log4cplus multiplies it by 1024.
    """
    unit = 1
    for larger in (1024, 1024 * 1024):
        if maxsize <= LARGEST_SIZE:
            break
        maxsize //= 1000
        unit = larger
    return maxsize * unit


class File(Descriptor):
    """A log file, appended to. With ``maxsize`` it rolls to ``.1``, ``.2``, ... ``.maxver``."""

    def __init__(self, path: str, layout: Layout, *, immediate: bool, maxsize: int, maxver: int) -> None:
        # A file that rolls is always flushed, as log4cplus does to files that have a lock file.
        super().__init__(path, -1, layout, immediate=immediate or maxsize > 0)
        self._maxsize = max(rounded_size(maxsize), MINIMUM_ROLL_SIZE)
        self._maxver = max(maxver, 1)
        self._lock = LockFile(path + ".lock", 0o640) if maxsize > 0 else None
        self._next_try = 0.0

    def _write(self, lines: list[str]) -> None:
        if self._fd == -1 and time.monotonic() >= self._next_try:
            self.open()
        if self._fd == -1:
            self.lost += len(lines)
        elif self._lock is None:
            self._put("".join(lines))
        else:
            with self._lock:
                self._put_and_roll(lines)

    def _put_and_roll(self, lines: list[str]) -> None:
        free = self._free()
        batch: list[str] = []
        for line in lines:
            batch.append(line)
            free -= len(line)
            if free < 0:  # or sooner: a character may have several bytes
                self._put("".join(batch))
                batch.clear()
                free = self._free()
        self._put("".join(batch))
        self._free()

    def _free(self) -> int:
        """Return the bytes that still fit, after rolling the file if it is over its size."""
        size = self._size()
        if size > self._maxsize:
            self._roll()
            size = self._size()
        return self._maxsize - size

    def _size(self) -> int:
        return os.fstat(self._fd).st_size if self._fd != -1 else 0

    def _roll(self) -> None:
        """Rename each file to the next number. If another process has done so, only open the new file."""
        with contextlib.suppress(OSError):
            if Path(self.name).stat().st_size >= self._maxsize:
                for number in range(self._maxver, 0, -1):
                    source = f"{self.name}.{number - 1}" if number > 1 else self.name
                    with contextlib.suppress(FileNotFoundError):
                        Path(source).replace(f"{self.name}.{number}")
        self._close_file()
        self.open()

    def open(self) -> None:
        """Open or create the file; if that fails, try again later."""
        try:
            # A FIFO or a link is allowed: in containers a log is /dev/stdout. No file is ever emptied.
            self._fd = os.open(self.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | CAREFUL, 0o640)
            if self._lock:
                self._lock.open()
        except OSError as error:
            self._next_try = time.monotonic() + _REOPEN_DELAY
            self._lose(0, error)

    def _close_file(self) -> None:
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1
        if self._lock:
            self._lock.close()

    def close(self, timeout: float = WRITE_TIMEOUT) -> None:
        """Write what is left and close the file."""
        super().close(timeout)
        self._close_file()


_SYSLOG_SEVERITIES: Final = {
    Severity.DEBUG: 7, Severity.INFO: 6, Severity.WARN: 4, Severity.ERROR: 3, Severity.FATAL: 2,
}  # fmt: skip
_SYSLOG_FACILITIES: Final = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip


def is_facility(name: str) -> bool:
    """Return whether syslog has a facility of this name, in any case."""
    return name.lower() in _SYSLOG_FACILITIES


class Syslog(Output):
    """The local syslog daemon. ``target`` is a facility's name in any case, or the name to log under.

    Without a target the ident is ``kea-dhcp-ddns`` and the facility LOCAL0. For a name that is no facility
    the facility is USER; with ``names``, it is the ident, too.
    """

    # syslog(3) and Kea accept a system without a syslog daemon. The lines lost until one runs are counted,
    # and the log reports the count then.
    reports_on_stderr = False

    def __init__(
        self, layout: Layout, target: str = "", path: str = "/dev/log", *, names: bool = True
    ) -> None:
        super().__init__(layout, immediate=True)
        self.name = "syslog"
        facility = _SYSLOG_FACILITIES.get(target.lower() or "local0")
        self._ident = target if facility is None and names else ROOT_LOGGER
        self._facility = _SYSLOG_FACILITIES["user"] if facility is None else facility
        self._path = path
        self._socket: socket.socket | None = None

    def writer(self, logger: str, severity: Severity) -> LineWriter:
        """Return the function that makes datagrams: priority, time, ident, line (RFC 3164, section 4.1)."""
        line = self._layout.writer(logger, severity)
        priority = self._facility << 3 | _SYSLOG_SEVERITIES[severity]
        header = Layout(f"<{priority}>%D{{%b %e %H:%M:%S}} {self._ident.replace('%', '%%')}: ", 0.0)
        head = header.writer(logger, severity)
        return lambda message, now: head(message, now) + line(message, now)

    def _write(self, lines: list[str]) -> None:
        for number, line in enumerate(lines):
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    self._socket.connect(self._path)
                self._socket.send(encode(line))
            except OSError as error:
                # A restarted syslog daemon has a new socket: connect again at the next write.
                self._disconnect()
                self._lose(len(lines) - number, error)
                return
        self.reason = ""

    def _disconnect(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def close(self, timeout: float = WRITE_TIMEOUT) -> None:
        """Send what is left and close the socket."""
        super().close(timeout)
        self._disconnect()


def make_output(
    option: OutputOption, started: float, *, syslog_names: bool = True, source: Source = SOURCE,
) -> Output:
    """Return the output of an ``output-options`` entry, not open yet.

    An output that cannot be opened counts the lines that it loses. ``syslog_names``: see ``Syslog``;
    ``source``: see ``Layout``.
    """
    console = {"stdout": 1, "stderr": 2}.get(option.output)
    if option.output == "syslog" or option.output.startswith("syslog:"):
        layout = Layout(option.pattern or DEFAULT_SYSLOG_PATTERN, started, source)
        _, colon, target = option.output.partition(":")
        if colon and not (target or syslog_names):
            target = ROOT_LOGGER  # no facility, as any other unknown word
        return Syslog(layout, target, names=syslog_names)
    layout = Layout(option.pattern or DEFAULT_PATTERN, started, source)
    if console:
        return Descriptor(option.output, console, layout, immediate=option.flush)
    return File(option.output, layout, immediate=option.flush, maxsize=option.maxsize, maxver=option.maxver)

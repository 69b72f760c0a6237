"""The processes of child.py from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.queue.model.faults import Page, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parents[3]

ANSWER_SECONDS = 20.0
"""Longer than any step takes on a loaded machine; a process that has not answered then hangs."""


class Ended(Exception):  # noqa: N818  often no error
    """The process has ended before it answered."""


class HangsError(AssertionError):
    """The process does not answer though its disk works: its loop is held."""


class Child:
    """One process with a queue."""

    def __init__(self, server: Server, channel: socket.socket, page: Page) -> None:
        self._server = server
        self._channel = channel
        self._input = b""
        self.page: Final = page
        self.events: list[dict[str, Any]] = []
        """Its events, the oldest first; the reader takes them out."""
        self.alive = True
        self._channel.settimeout(ANSWER_SECONDS)
        self.pid: int = self._reply()["pid"]

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have something done; return the answer. Raises Ended and HangsError."""
        try:
            self._channel.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
        except OSError:
            self._drain()
        return self._reply()

    def kill(self) -> None:
        """End it now, and wait for that."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(Ended):
                self._drain()

    def stop(self) -> None:
        """End it in order. Raises HangsError; that it ends otherwise meanwhile is no error."""
        with contextlib.suppress(Ended):
            self.call("stop", last=True)
            self._drain()

    def _reply(self) -> dict[str, Any]:
        while True:
            line = self._line()
            if line["event"] == "reply":
                return line
            self.events.append(line)

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._input:
            try:
                octets = self._channel.recv(1 << 20)
            except TimeoutError:
                raise HangsError(f"no answer within {ANSWER_SECONDS:g} s") from None
            except ConnectionError:
                octets = b""
            if not octets:
                self._over()
                raise Ended
            self._input += octets
        line, self._input = self._input.split(b"\n", 1)
        reported: dict[str, Any] = json.loads(line)
        return reported

    def _drain(self) -> None:
        while True:
            line = self._line()
            if line["event"] != "reply":
                self.events.append(line)

    def _over(self) -> None:
        if self.alive:
            self.alive = False
            self._channel.close()
            self._server.reap(self.pid)


class Server:
    """Forks processes; ``defect`` names one that is planted in them."""

    def __init__(self, directory: Path, defect: str = "") -> None:
        library = compiled(directory)
        self._directory = directory
        self._pages = 0
        self._control, theirs = socket.socketpair()
        environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.queue.model.child", str(theirs.fileno()), defect],
            pass_fds=[theirs.fileno()], env=environment, cwd=ROOT,
        )
        theirs.close()

    def start(self, roots: Sequence[Path], *, trace: Path | None = None) -> Child:
        """Start a process that has its files below one of ``roots``."""
        self._pages += 1
        page = Page(self._directory / f"page-{self._pages}", roots, trace=trace)
        self._control.sendall(json.dumps({"page": str(page.path)}).encode() + b"\n")
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        child = Child(self, socket.socket(fileno=descriptors[0]), page)
        page.path.unlink()
        return child

    def reap(self, pid: int) -> None:
        """Wait until a process that has closed its socket is gone, with its locks."""
        self._control.sendall(json.dumps({"reap": pid}).encode() + b"\n")
        while self._control.recv(1) != b"\n":
            pass

    def close(self) -> None:
        """End the server."""
        self._control.close()
        self._process.wait()


@contextlib.contextmanager
def server(directory: Path, defect: str = "") -> Iterator[Server]:
    """Give a server that is ended at the end."""
    it = Server(directory, defect)
    try:
        yield it
    finally:
        it.close()

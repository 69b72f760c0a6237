"""A daemon as a child process, in a directory of its own: for the demo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_START = 20.0
"""Seconds from the start until the daemon must answer its first command."""
_STOP = 10.0
_DIRECTORIES = ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR", "KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR")


class DaemonError(Exception):
    """The daemon does not start, does not answer, or has ended; the text has its last output."""


class DaemonProcess:
    """A running daemon. Its configuration has to log on stdout and to name the control socket ``socket``."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self._socket = directory / "socket"
        self._arrived = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())
        self.lines: list[str] = []
        """What the daemon wrote so far."""
        self.pid = process.pid

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._arrived:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self._arrived.notify_all()

    async def wait_for_line(self, *parts: str, start: int = 0, timeout: float = 20.0) -> str:  # noqa: ASYNC109  reported, not raised as it is
        """Return the first line from number ``start`` on that holds one of the parts.

        Raises DaemonError when none comes within ``timeout`` seconds.
        """
        def found() -> str | None:
            return next((line for line in self.lines[start:] if any(part in line for part in parts)), None)

        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(found)
        except TimeoutError:
            raise DaemonError(f"no log line with {' or '.join(parts)} within {timeout:g} s") from None
        line = found()
        assert line is not None
        return line

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401  it is JSON
        """Send a command over the control channel and return the answer. Raises OSError."""
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(json.dumps({"command": name, "arguments": arguments}).encode())
            answer: dict[str, Any] = json.loads(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()
        return answer

    async def _ready(self) -> None:
        """Wait until the control channel answers."""
        try:
            async with asyncio.timeout(_START):
                while self._process.returncode is None:
                    with contextlib.suppress(OSError, ValueError):
                        await self.command("version-get")
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        written = "\n".join(self.lines[-20:])
        raise DaemonError(f"the daemon did not come up (exit status {self._process.returncode}):\n{written}")

    async def _stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def running(command: Sequence[str], config: dict[str, Any]) -> AsyncIterator[DaemonProcess]:
    """Run ``command -c FILE`` while the context lasts, in a temporary directory that holds all its files.

    Raises DaemonError when it does not start, OSError when there is no such program.
    """
    directory = _make_directory()
    try:
        file = directory / "demo.json"
        file.write_text(json.dumps(config, indent=2))
        process = await asyncio.create_subprocess_exec(
            *command, "-c", file.name, cwd=directory,
            env=os.environ | dict.fromkeys(_DIRECTORIES, str(directory)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        daemon = DaemonProcess(process, directory)
        try:
            await daemon._ready()  # noqa: SLF001  this function is the class's other half
            yield daemon
        finally:
            await daemon._stop()  # noqa: SLF001
    finally:
        shutil.rmtree(directory)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="pyd2-demo."))
    directory.chmod(0o750)  # the mode that a control socket's directory has to have (contract, section 8)
    return directory

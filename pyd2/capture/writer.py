"""The capture thread ``pyd2-capture``, which runs during a capture: it writes what the update thread notes.

The update thread only puts octets into a list. Once ``MOST_WAITING`` octets wait for the disk, further ones
are left out and counted.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import OrderedDict, deque
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.capture.lines import request_line, update_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_WAITING: Final = 16 << 20
"""Octets that may wait to be written."""
PAUSE: Final = 0.05
"""Seconds until what waits is written."""
AT_ONCE: Final = 512
"""Requests and updates that are written together."""
MOST_OPEN: Final = 65536
"""Updates that wait for a reply; the oldest ones are written without."""
REPLY_SECONDS: Final = 60.0
"""After which an update is written without a reply."""
CLOSE_SECONDS: Final = 5.0
"""How long the end of the daemon, or a command, waits for the file."""
_FULL: Final = "the file has reached max-bytes"

_Key: TypeAlias = "tuple[str, int, bytes]"
"""Server, local port by its number, query ID."""


class Limits(NamedTuple):
    """When a capture ends by itself."""

    seconds: float
    octets: int
    """Of the file."""


class _Item(NamedTuple):
    """What was noted: a request (without ``server``), an update, or a reply."""

    at: float
    octets: bytes
    server: str = ""
    slot: int = 0
    reply: bool = False


class Summary(NamedTuple):
    """What became of a capture."""

    lines: int
    octets: int
    lost: int
    """Requests, updates and replies that were not written, because the disk was too slow."""
    reason: str
    """Why it has ended; empty while it is under way."""


class Capture:
    """One capture, from its making to its end.

    ``file`` is the descriptor of the empty file; ``on_end`` is called in the thread, when nothing more is to
    be noted. ``note_requests``, ``note_update`` and ``note_replies`` are for one other thread.
    """

    def __init__(self, file: int, limits: Limits, on_end: Callable[[Summary], None]) -> None:
        self._file = file
        self._limits = limits
        self._on_end = on_end
        self._ends_at = time.monotonic() + limits.seconds
        self._waiting: deque[_Item] = deque()
        self._noted = 0
        """Octets that were put into ``_waiting``; the other thread's."""
        self._taken = 0
        """Octets that were taken from there; this thread's."""
        self._lost = 0
        self._lines = 0
        self._written = 0
        self._open: OrderedDict[_Key, _Item] = OrderedDict()
        """Updates without a reply, the oldest first."""
        self._asked_to_end = threading.Event()
        self._wish = ""
        self._reason = ""
        self._thread = threading.Thread(target=self._run, name="pyd2-capture", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # For the update thread.

    def note_requests(self, datagrams: Sequence[bytes]) -> None:
        """Note what has arrived."""
        at = time.time()
        for datagram in datagrams:
            self._note(_Item(at, datagram))

    def note_update(self, at: float, server: str, slot: int, message: bytes) -> None:
        """Note what is sent to a DNS server from one of its ports. What waits to be sent is noted once."""
        self._note(_Item(at, message, server, slot))

    def note_replies(self, server: str, slot: int, datagrams: Sequence[bytes]) -> None:
        """Note what has come from a DNS server."""
        at = time.time()
        for datagram in datagrams:
            self._note(_Item(at, datagram, server, slot, reply=True))

    def _note(self, item: _Item) -> None:
        if self._noted - self._taken > MOST_WAITING:
            self._lost += 1
            return
        self._noted += len(item.octets)
        self._waiting.append(item)

    # For the main thread.

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or not."""
        return not self._thread.is_alive()

    @property
    def summary(self) -> Summary:
        """What was written until now."""
        return Summary(self._lines, self._written, self._lost, self._reason)

    def end(self, reason: str) -> None:
        """Write what waits, and end; ``reason`` is logged."""
        self._wish = reason
        self._asked_to_end.set()
        self._thread.join(CLOSE_SECONDS)

    # The thread.

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while not self._reason:
                left = self._ends_at - time.monotonic()
                asked = self._asked_to_end.wait(max(0.0, min(PAUSE, left)))
                self._write_waiting()
                if not self._reason:
                    self._reason = self._wish if asked else "" if left > 0 else "its time is up"
            self._write([*map(_update, self._open.values())])
        except OSError as error:
            self._reason = f"the file cannot be written: {error.strerror}"
        except Exception:  # whatever it is, the daemon continues without the capture
            self._reason = f"an internal error: {traceback.format_exc()}"
        finally:
            os.close(self._file)
            self._on_end(self.summary)

    def _write_waiting(self) -> None:
        """Write what waits now."""
        left = len(self._waiting)
        while left and self._reason != _FULL:
            lines: list[bytes] = []
            for _ in range(min(left, AT_ONCE)):
                item = self._waiting.popleft()
                self._taken += len(item.octets)
                lines += self._lines_of(item)
            left -= min(left, AT_ONCE)
            self._write(lines)
        old = time.time() - REPLY_SECONDS
        while self._open and (len(self._open) > MOST_OPEN or next(iter(self._open.values())).at < old):
            self._write([_update(self._open.popitem(last=False)[1])])

    def _lines_of(self, item: _Item) -> list[bytes]:
        """Return what is to be written now: an update waits for its reply."""
        if not item.server:
            return [request_line(item.at, item.octets)]
        key = item.server, item.slot, item.octets[:2]
        before = self._open.get(key)
        if item.reply:
            if before is None:
                return []  # it answers nothing that was noted
            del self._open[key]
            ms = 1000 * max(0.0, item.at - before.at)
            return [update_line(before.at, before.server, before.octets, item.octets, ms)]
        if before is not None and before.octets == item.octets:
            return []  # it has waited for the kernel, and is noted
        self._open[key] = item
        self._open.move_to_end(key)
        return [] if before is None else [_update(before)]

    def _write(self, lines: Sequence[bytes]) -> None:
        """Write the lines that fit into the file; sets the reason when it is full."""
        if self._reason == _FULL:
            return
        fit = lines
        if self._written + sum(map(len, lines)) > self._limits.octets:
            self._reason = _FULL
            sizes = accumulate(map(len, lines), initial=self._written)
            fit = lines[: sum(size <= self._limits.octets for size in sizes) - 1]
        octets = b"".join(fit)
        written = 0
        try:
            while written < len(octets):
                written += os.write(self._file, octets[written:])
        except OSError:  # the part of a line that had space would spoil the file
            written = octets.rfind(b"\n", 0, written) + 1
            with suppress(OSError):
                os.ftruncate(self._file, self._written + written)
            raise
        finally:
            self._written += written
            self._lines += octets.count(b"\n", 0, written)


def _update(item: _Item) -> bytes:
    return update_line(item.at, item.server, item.octets)

"""Runs the IO services of compiled libraries in the main thread's loop (cbridge/kea/io.h).

Kea's own server polls them only when another event wakes it. Here the loop waits for their epoll
descriptors, so their timers and sockets are served on time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.hooks.kea.bridge import Shim

SLOW_POLL: Final = 0.1
"""Seconds between polls without an event: work that another thread posts to a service does not always show at
its descriptor. Kea 3.0 polls as often."""

_MOST: Final = 256


class Pump:
    """Does the work of the services, from its creation until ``stop``."""

    def __init__(
        self, shim: Shim, loop: asyncio.AbstractEventLoop, failed: Callable[[str], None],
        collect: Callable[[], object],
    ) -> None:
        """``failed`` gets the text of an exception; ``collect`` runs at each poll except after ``wake``."""
        self._shim = shim
        self._loop = loop
        self._failed = failed
        self._collect = collect
        self._descriptors: set[int] = set()
        self._found = shim.ffi.new("int[]", _MOST)
        self._woken: asyncio.Handle | None = None
        self._running = True
        self._timer: asyncio.Handle = loop.call_soon(self._poll_slowly)

    def stop(self) -> None:
        """Remove everything from the loop; before the libraries are unloaded."""
        self._running = False
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
        self._descriptors.clear()
        for handle in (self._timer, self._woken):
            if handle is not None:
                handle.cancel()

    def wake(self) -> None:
        """Poll in the loop's next pass: a library has run and may have given the services work."""
        if self._woken is None and self._running:
            self._woken = self._loop.call_soon(self._poll_woken)

    def _poll_woken(self) -> None:
        self._woken = None
        self._poll()

    def _poll_slowly(self) -> None:
        self.poll()
        self._timer = self._loop.call_later(SLOW_POLL, self._poll_slowly)

    def poll(self) -> None:
        """Do the work that is due, and collect."""
        if self._running:
            self._poll()
            self._collect()

    def _poll(self) -> None:
        # This runs after each selection: work that can wait for the next slow poll is not done here.
        if not self._running:
            return
        ran = self._shim.lib.kb_io_poll()
        if ran < 0:
            self._failed(str(self._shim.error()))
        self._watch()
        if ran:
            self.wake()

    def _watch(self) -> None:
        """Watch the descriptors that exist now, and no others."""
        count = self._shim.lib.kb_io_descriptors(self._found, _MOST)
        present = set(self._found[0 : min(count, _MOST)]) if count > 0 else set()
        for descriptor in self._descriptors - present:
            self._loop.remove_reader(descriptor)
        for descriptor in present - self._descriptors:
            self._loop.add_reader(descriptor, self.poll)
        self._descriptors = present

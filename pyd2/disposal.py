"""Frees old configurations in parts.

A configuration of 20,000 zones is a million objects. Python would free them all at once when the last
reference ends, and no other thread would run for that time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pyd2.config.model import Config
from pyd2.data.element import add_parts
from pyd2.interpreter import free_in_parts

if TYPE_CHECKING:
    import asyncio

    from pyd2.data.element import Element

AT_ONCE: Final = 1024
"""Parts that are freed in one turn of the loop: less than a millisecond."""

MOST_WAITING: Final = 4
"""Wholes that may wait. Commands without a pause bring more than the loop has turns to free."""

PAUSE: Final = 0.001
"""Seconds between two of these turns."""


class Disposal:
    """Refers to each part of old configurations, and drops the parts in later turns of an event loop.

    Parts that other objects refer to stay. No part is changed: hook libraries may have kept the whole.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parts: deque[list[Any]] = deque()
        """One list for each whole, oldest first, with the outermost part at its end: it is dropped first."""

    def add(self, *wholes: Element | Config | None) -> None:
        """Free these once nothing else refers to them, from the next turn of the loop on.

        If too many wait, the oldest are freed before this returns.
        """
        idle = not self._parts
        for whole in wholes:
            if whole is not None:
                parts = _config_parts(whole) if isinstance(whole, Config) else [whole]
                add_parts(parts)
                parts.reverse()
                self._parts.append(parts)
        while len(self._parts) > MOST_WAITING:
            free_in_parts(self._parts.popleft())
        if idle and self._parts:
            self._loop.call_soon(self._free_some)

    def _free_some(self) -> None:
        parts = self._parts[0]
        del parts[-AT_ONCE:]
        if not parts:
            self._parts.popleft()
        if self._parts:
            self._loop.call_later(PAUSE, self._free_some)


def _config_parts(whole: Config) -> list[Any]:
    domains = (*whole.forward_domains, *whole.reverse_domains)
    return [whole, *domains, *(server for domain in domains for server in domain.servers), *whole.tsig_keys]

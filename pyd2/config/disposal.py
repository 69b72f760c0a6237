"""Frees configurations that are no longer needed, a part at a time.

One of 20,000 zones is a million objects. They would be freed in one go, when the last reference to the whole
ends, and no other thread would run for that time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.config.model import Config

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from pyd2.data.element import Element

AT_ONCE: Final = 1024
"""Parts that are freed in one turn of the loop: less than a millisecond."""

LARGE: Final = 64
"""Members of a map or list from which on each is a part of its own."""

PAUSE: Final = 0.001
"""Seconds between two of these turns."""


class Disposal:
    """Holds each part of what it gets, and drops the parts in later turns of an event loop.

    Parts that others still refer to stay. Nothing is changed: hook libraries may have kept the whole.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parts: list[list[Any]] = []
        """By what they belong to, each list with the outermost part at its end: it goes first."""

    def add(self, *wholes: Element | Config | None) -> None:
        """Free these when nothing else refers to them any more, from the next turn of the loop on."""
        idle = not self._parts
        for whole in wholes:
            if whole is not None:
                parts = _config_parts(whole) if isinstance(whole, Config) else _element_parts(whole)
                parts.reverse()
                self._parts.append(parts)
        if idle and self._parts:
            self._loop.call_soon(self._free_some)

    def _free_some(self) -> None:
        parts = self._parts[-1]
        del parts[-AT_ONCE:]
        if not parts:
            self._parts.pop()
        if self._parts:
            self._loop.call_later(PAUSE, self._free_some)


def _element_parts(whole: Element) -> list[Any]:
    """Return an element and what stands in it, each before what stands in it.

    Scalars are freed with the map or list that they stand in, unless that is large.
    """
    parts = [whole]
    for part in parts:  # which grows meanwhile
        value = part.value
        if isinstance(value, dict):
            _add_inner(parts, value.values())
        elif isinstance(value, list):
            _add_inner(parts, value)
    return parts


def _add_inner(parts: list[Element], inner: Collection[Element]) -> None:
    large = len(inner) > LARGE
    parts.extend([element for element in inner if large or isinstance(element.value, dict | list)])


def _config_parts(whole: Config) -> list[Any]:
    domains = (*whole.forward_domains, *whole.reverse_domains)
    return [whole, *domains, *(server for domain in domains for server in domain.servers), *whole.tsig_keys]

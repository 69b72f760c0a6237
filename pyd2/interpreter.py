"""How the threads share Python's interpreter lock, so that none holds it for long.

A thread that computes gives the lock up after ``SWITCH_SECONDS``, but not within a call into C. These held
the lock, and so the update thread, for tens of milliseconds while a configuration of 20,000 zones was loaded:

- the garbage collector, which examines all objects of a generation at once;
- the end of a tree of a million objects, which are all freed at once; sorting 20,000 names, or joining a
  text of megabytes;
- many short calls that release the lock, such as those of cffi: each restarts the interval after which a
  waiting thread asks for the lock, and takes the lock again before that thread is awake.
"""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

SWITCH_SECONDS: Final = 0.0005
"""How long a thread may compute while another one waits for the interpreter. Python's own 5 ms would delay
each pass of the update thread's loop while a configuration is read."""

MORE_OFTEN_SECONDS: Final = 0.0001
"""The same during long work of the main thread. A pass of the update thread's loop takes the interpreter some
ten times, and each time may have to wait for so long."""

GIVE_WAY_AFTER: Final = 32
"""Calls that release the lock, or objects to be freed, between two pauses: a millisecond's work."""

SORTED_AT_ONCE: Final = 1024
"""Items: a fraction of a millisecond."""

KEPT_UNSEEN: Final = 64
"""Kept objects, each with what it refers to, between two runs of the garbage collector."""

_PAUSE: Final = 1e-6
"""Seconds; the kernel makes some 60 us of it, in which a waiting thread wakes up and has the lock."""


def share() -> None:
    """Have Python switch threads as often as the update thread needs it."""
    sys.setswitchinterval(SWITCH_SECONDS)


def share_more() -> None:
    """Have Python switch threads more often until ``share``, for long work of the main thread."""
    sys.setswitchinterval(MORE_OFTEN_SECONDS)


def give_way() -> None:
    """Release the lock for as long as a waiting thread needs to take it."""
    time.sleep(_PAUSE)


def free_in_parts(objects: list[Any]) -> None:
    """Empty a list from its end in parts, and give way between them."""
    while True:
        del objects[-GIVE_WAY_AFTER:]
        if not objects:
            break
        give_way()


def sorted_in_parts(items: Sequence[T], key: Callable[[T], Any]) -> list[T]:
    """Sort like ``sorted``, but in parts, which are merged in Python."""
    parts = [sorted(items[at : at + SORTED_AT_ONCE], key=key) for at in range(0, len(items), SORTED_AT_ONCE)]
    return list(merge(*parts, key=key))


def collect_less() -> None:
    """Make the garbage collector examine lasting objects rarely: reference counts free nearly all others.

    With Python's thresholds the collector took half of the time in which a large configuration loads. No
    other thread runs while it examines objects, so these are few: it counts new objects less those that
    ended, so that 800 may be 3,000, which takes a millisecond.
    """
    gc.set_threshold(400, 0, 100_000)


class KeptObjects:
    """Objects that stay while as many others end.

    The garbage collector counts new objects less those that end, so it would examine none of them for long,
    and then 100,000 in one go: 50 ms. Here it examines some at a time.
    """

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        """Count an object, and have the garbage collector examine the young ones from time to time."""
        self._count += 1
        if self._count % KEPT_UNSEEN == 0:
            gc.collect(1)


@contextmanager
def no_collection() -> Iterator[None]:
    """Create many lasting objects without the garbage collector; afterwards it treats them as old ones."""
    gc.disable()
    try:
        yield
    finally:
        # Both together move all objects to the oldest generation, without examining them.
        gc.freeze()
        gc.unfreeze()
        gc.enable()

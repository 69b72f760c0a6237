"""The only way to wait in tests: check a condition until it holds or the deadline passes."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds to wait for an event that is sure to happen: a busy machine may take long."""

_PAUSE = 0.004  # seconds between two checks: short compared with the wait, long compared with a check


class WaitTimeoutError(AssertionError):
    """The condition did not hold before the deadline."""


def wait_until(condition: Callable[[], T], what: str, timeout: float = TIMEOUT) -> T:
    """Return the first true value of `condition()`.

    `what` names the condition in the error. `timeout` is in seconds.
    Raises WaitTimeoutError.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise WaitTimeoutError(f"waited {timeout} s in vain for {what}")
        time.sleep(_PAUSE)


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110  nothing tells when a log line comes
            await asyncio.sleep(0)

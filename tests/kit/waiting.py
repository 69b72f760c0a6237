"""The rig's one way to wait: ask a condition until it holds or the deadline passes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that are waited for what is sure to come: a machine that does much else may take long for it."""

_PAUSE = 0.004  # seconds between two looks; short against what is waited for, long against a look


class WaitTimeoutError(AssertionError):
    """What was waited for didn't come about before the deadline."""


def wait_until(condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """Return the first true value of `condition()`.

    `what` says what was waited for and stands in the error. `timeout` is in seconds.
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

"""Texts about a library's code for log messages: exceptions, places, values, durations."""

from __future__ import annotations

import traceback
from itertools import dropwhile
from typing import Final

from pyd2.errors import HookError

SLOW: Final = 10_000_000
"""Nanoseconds after which a callout is reported: commands and other callouts wait while it runs."""



def explain(error: BaseException) -> str:
    """Return one line about an exception that left a library: type, text and place; of a HookError its text.

    The place is the deepest one in the library's own file.
    """
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except BaseException:  # a library's exception class may do anything
        text = "its text cannot be had"
    text = " ".join(text.split())
    if isinstance(error, HookError):
        return text
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = _place(error)
    return f"{what} ({place})" if place else what


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        return f"{error.filename}:{error.lineno}"
    # The first frames are pyd2's, the next file is the library's: deeper ones say less to its author.
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen ")
    ]
    ours = frames[0][0] if frames else ""
    frames = [*dropwhile(lambda frame: frame[0] == ours, frames)]
    own = [f"{file}:{line}" for file, line in frames if file == frames[0][0]]
    return own[-1] if own else ""


def returned(value: object) -> object:
    """Return a value that a library's function returned, for the log: if it is no number, its type."""
    return value if type(value) in {int, float, bool} else type(value).__name__


def place_of(function: object) -> str:
    """Return where a callout is defined, for Kea's messages, which show an address there.

    ``file:line``, or the object's own ``hook_place``, or else the name of its type.
    """
    place = getattr(function, "hook_place", None)
    if isinstance(place, str):
        return place
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        kind = type(function)
        return f"{kind.__module__}.{kind.__qualname__}"
    return f"{code.co_filename}:{code.co_firstlineno}"


def duration(nanoseconds: int) -> str:
    """Return a duration as Kea prints it: ``0.042 ms``, from one second on ``1.25 s``."""
    microseconds = nanoseconds // 1000
    if microseconds >= 1_000_000:
        return f"{microseconds // 1_000_000}.{microseconds // 10_000 % 100:02} s"
    return f"{microseconds // 1000}.{microseconds % 1000:03} ms"

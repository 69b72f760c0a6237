"""What log messages say of a library's code: exceptions, places, values and durations."""

from __future__ import annotations

import traceback
from itertools import dropwhile
from typing import Final

from pyd2.errors import HookError

SLOW: Final = 10_000_000
"""Nanoseconds after which a callout is reported: commands and other callouts wait while it runs."""



def explain(error: BaseException) -> str:
    """Return in one line what an exception that left a library says: type, text and place.

    The place is the deepest one in the library's own file. Of a HookError it is the text alone.
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
    # The first frame is ours, the next file the library's: what it calls in turn says less to its author.
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
    """Return what the log says of a value that a library's function returned: its type if it is no number."""
    return value if type(value) in {int, float, bool} else type(value).__name__


def place_of(function: object) -> str:
    """Return where a callout stands, ``file:line``, or what it says itself, or its type's name.

    It takes the place of the code address in Kea's messages.
    """
    told = getattr(function, "hook_place", None)
    if isinstance(told, str):
        return told
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

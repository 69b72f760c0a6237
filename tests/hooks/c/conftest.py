"""What the tests of hook libraries in C share: libraries from text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Plain, from_plain
from tests.kit.c_libraries import PRELUDE, compile_text

if TYPE_CHECKING:
    from pathlib import Path

WriteC = Callable[..., HookLibrary]
Counters = Any
"""An array of eight C integers, which a library finds by its parameter ``counters``."""


@pytest.fixture
def write_c(tmp_path: Path) -> WriteC:
    """Return a function that compiles a library and returns its entry; the prelude is put before the text."""
    numbers = count(1)

    def write_c(
        text: str, parameters: Plain = None, *, name: str = "", prelude: str = PRELUDE,
    ) -> HookLibrary:
        path = compile_text(prelude + text, tmp_path / (name or f"lib{next(numbers)}.so"))
        return HookLibrary(str(path), None if parameters is None else from_plain(parameters))

    return write_c


_all_counters: list[Counters] = []
"""They stay: a library may still count when the traceback of a failed test goes."""


@pytest.fixture
def counters() -> Counters:
    _all_counters.append((ctypes.c_int * 8)())
    return _all_counters[-1]


def with_counters(counters: Counters, **parameters: Plain) -> Plain:
    """Return parameters with the addresses of the test's counters."""
    return {"counters": ctypes.addressof(counters), **parameters}

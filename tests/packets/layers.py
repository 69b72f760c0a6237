"""Both packet layers, and what their tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyd2.errors import NcrError, ReplyError
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.plain import PlainLayer

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN, COMPILED = PlainLayer(), CompiledLayer()


def outcome(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what came of it: a value, or the error's text."""
    try:
        return work(*arguments)
    except (NcrError, ReplyError) as error:
        return f"{type(error).__name__}: {error}"

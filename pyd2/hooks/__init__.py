"""Hook libraries: what their authors use. docs/hooks.md is their guide.

The server's side is in ``pyd2.hooks.interface``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.errors import HookError
    from pyd2.hooks.handle import CalloutHandle, LibraryHandle
    from pyd2.hooks.keys import TsigKey
    from pyd2.hooks.points import VERSION, Status

__all__ = ["VERSION", "CalloutHandle", "HookError", "LibraryHandle", "Status", "TsigKey"]

_MODULES = {
    "VERSION": "pyd2.hooks.points",
    "CalloutHandle": "pyd2.hooks.handle",
    "HookError": "pyd2.errors",
    "LibraryHandle": "pyd2.hooks.handle",
    "Status": "pyd2.hooks.points",
    "TsigKey": "pyd2.hooks.keys",
}


def __getattr__(name: str) -> object:
    """Import what a library asks for: a server without libraries needs none of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

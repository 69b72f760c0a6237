"""Hook libraries: what their authors use. docs/hooks.md is their guide.

The server's side is in ``pyd2.hooks.interface``.
"""

from pyd2.errors import HookError
from pyd2.hooks.handle import CalloutHandle, LibraryHandle
from pyd2.hooks.keys import TsigKey
from pyd2.hooks.points import VERSION, Status

__all__ = ["VERSION", "CalloutHandle", "HookError", "LibraryHandle", "Status", "TsigKey"]

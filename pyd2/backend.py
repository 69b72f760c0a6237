"""The back end: the codec, the tries and the datagrams that belong together, chosen here and nowhere else.

There are two. ``compiled`` does the usual work in C, by the batch; an installation with a C compiler has it.
``plain`` is Python alone: the reference, which works everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pyd2.net.datagrams import Datagrams
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.inflight.contract import Tries

NAMES: Final = ("compiled", "plain")
"""The back ends, the preferred one first."""


class Backend(NamedTuple):
    """The parts of a back end, for one engine and its sockets. They have buffers, so it serves one thread."""

    name: str
    packets: PacketLayer
    """The codec: from datagrams to requests, from steps to messages, from replies to response codes."""
    tries: Tries
    """The updates under way; their windows and routes are made by it, too."""
    datagrams: Datagrams
    """The system calls; it makes the outboxes for what the tries post, too."""


def make_backend(name: str = "") -> Backend:
    """Return a back end by its name; without one, the compiled one if it was built, else the plain one.

    Raises ImportError if the compiled one is asked for and was not built, ValueError for another name.
    """
    if name not in ("", *NAMES):
        raise ValueError(f"there is no packet layer {name}: choose {' or '.join(NAMES)}")
    if name != "plain":
        try:
            from pyd2.net.native import NativeDatagrams
            from pyd2.packets.compiled import CompiledLayer
            from pyd2.update.inflight.native import NativeTries
        except ImportError:
            if name:
                raise
        else:
            return Backend("compiled", CompiledLayer(), NativeTries(), NativeDatagrams())
    from pyd2.net.datagrams import PythonDatagrams
    from pyd2.packets.plain import PlainLayer
    from pyd2.update.inflight.python import PythonTries

    return Backend("plain", PlainLayer(), PythonTries(), PythonDatagrams())

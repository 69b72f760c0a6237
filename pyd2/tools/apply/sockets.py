"""Whether a configuration keeps the control socket over which it is set: else there is no way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.tools.apply.difference import differ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.data.element import Element
    from pyd2.tools.channel.command_socket import CommandSocket
    from pyd2.tools.channel.daemon import Channel


def closes(channel: Channel, running: Element, new: Element) -> bool:
    """Say whether a channel would no longer work, or work otherwise, under a new DhcpDdns map.

    Over HTTP every change of the socket counts: its clients may be others then.
    """
    before, after = [*_sockets(channel, running)], [*_sockets(channel, new)]
    if len(after) != 1:
        return True
    return channel.socket.is_http and (len(before) != 1 or differ(before[0], after[0]))


def _sockets(channel: Channel, config: Element) -> Iterator[Element]:
    """Yield the entries of the control socket that a channel uses, as far as the channel's place shows."""
    single = _member(config, "control-socket")
    entries = [single] if single is not None else []
    for there in (_member(config, "control-sockets"),
                  _member(_member(_member(config, "user-context"), "pyd2"), "http")):
        if there is not None and isinstance(there.value, list):
            entries += there.value
    for entry in entries:
        kind = _member(entry, "socket-type")
        used = channel.socket
        if kind is not None and (kind.value != "unix") == used.is_http and _is_place(used, entry):
            yield entry


def _is_place(used: CommandSocket, entry: Element) -> bool:
    if used.is_http:
        port = _member(entry, "socket-port")
        return (8000 if port is None else port.value) == used.port
    name = _member(entry, "socket-name")
    return name is not None and str(name.value).rpartition("/")[2] == used.address.rpartition("/")[2]


def _member(element: Element | None, name: str) -> Element | None:
    return element.value.get(name) if element is not None and isinstance(element.value, dict) else None

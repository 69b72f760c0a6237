"""The commands of Kea's library: gss-tsig-get and the others, with Kea's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pyd2.data.text import to_text
from pyd2.errors import HookError
from pyd2.hooks.gss.keys import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element, Plain
    from pyd2.hooks.gss.keys import KeyRing, ManagedKey
    from pyd2.hooks.gss.manager import Manager
    from pyd2.hooks.handle import CalloutHandle

_SUCCESS: Final = 0
_ERROR: Final = 1
_EMPTY: Final = 3
"""The result when what the command is about does not exist."""


class Commands:
    """The commands; each is a callout that sets ``response``."""

    def __init__(self, manager: Manager, clock: Callable[[], float]) -> None:
        """``clock`` returns seconds since the epoch."""
        self._manager = manager
        self._clock = clock

    def table(self) -> dict[str, Callable[[CalloutHandle], None]]:
        """Return the callouts by the names of their commands."""
        return {
            "gss-tsig-get": self._get,
            "gss-tsig-get-all": self._get_all,
            "gss-tsig-key-del": self._key_del,
            "gss-tsig-key-expire": self._key_expire,
            "gss-tsig-key-get": self._key_get,
            "gss-tsig-list": self._list,
            "gss-tsig-purge": self._purge,
            "gss-tsig-purge-all": self._purge_all,
            "gss-tsig-rekey": self._rekey,
            "gss-tsig-rekey-all": self._rekey_all,
        }

    def _get(self, handle: CalloutHandle) -> None:
        found = self._server(handle)
        if found is not None:
            server_id, ring = found
            _answer(handle, _SUCCESS, f"GSS-TSIG server[{server_id}] found", _shown(ring))

    def _server(self, handle: CalloutHandle) -> tuple[str, KeyRing] | None:
        """Return the server that a command names, by ID; None: there is none, and the answer says so."""
        server_id = _argument(handle, "server-id")
        if server_id is None:
            return None
        ring = self._manager.rings.get(server_id)
        if ring is None:
            _answer(handle, _EMPTY, f"GSS-TSIG server[{server_id}] not found")
            return None
        return server_id, ring

    def _get_all(self, handle: CalloutHandle) -> None:
        servers: list[Plain] = [_shown(ring) for ring in self._manager.rings.values()]
        text = f"{len(servers)} GSS-TSIG servers"
        if servers:
            text += f" and {len(self._manager.all_keys())} keys"
        _answer(handle, _SUCCESS if servers else _EMPTY, text, {"gss-tsig-servers": servers})

    def _list(self, handle: CalloutHandle) -> None:
        servers: list[Plain] = [*self._manager.rings]
        keys: list[Plain] = [key.name for key in self._manager.all_keys()]
        result = _SUCCESS if servers or keys else _EMPTY
        arguments: dict[str, Plain] = {"gss-tsig-servers": servers, "gss-tsig-keys": keys}
        _answer(handle, result, f"{len(servers)} GSS-TSIG servers and {len(keys)} keys", arguments)

    def _key_get(self, handle: CalloutHandle) -> None:
        def show(key: ManagedKey) -> None:
            _answer(handle, _SUCCESS, f"GSS-TSIG key '{key.name}' found", key.plain())

        self._with_key(handle, show)

    def _key_expire(self, handle: CalloutHandle) -> None:
        def expire(key: ManagedKey) -> None:
            if key.state in {State.EXPIRED, State.IN_ERROR}:
                _answer(handle, _EMPTY, f"GSS-TSIG key '{key.name}' can't be expired")
                return
            key.state = State.EXPIRED
            _answer(handle, _SUCCESS, f"GSS-TSIG key '{key.name}' expired")

        self._with_key(handle, expire)

    def _key_del(self, handle: CalloutHandle) -> None:
        def delete(key: ManagedKey) -> None:
            self._manager.remove([key])
            _answer(handle, _SUCCESS, f"GSS-TSIG key '{key.name}' deleted")

        self._with_key(handle, delete)

    def _with_key(self, handle: CalloutHandle, act: Callable[[ManagedKey], None]) -> None:
        name = _argument(handle, "key-name")
        if name is None:
            return
        key = self._manager.key(name)
        if key is None:
            _answer(handle, _EMPTY, f"GSS-TSIG key '{name}' not found")
        else:
            act(key)

    def _purge(self, handle: CalloutHandle) -> None:
        server_id = _argument(handle, "server-id")
        if server_id is None:
            return
        ring = self._manager.rings.get(server_id)
        count = self._remove_unusable([] if ring is None else ring.keys)
        text = f"{count} purged keys for GSS-TSIG server[{server_id}]"
        _answer(handle, _SUCCESS if count else _EMPTY, text)

    def _purge_all(self, handle: CalloutHandle) -> None:
        count = self._remove_unusable(self._manager.all_keys())
        _answer(handle, _SUCCESS if count else _EMPTY, f"{count} purged GSS-TSIG keys")

    def _remove_unusable(self, keys: list[ManagedKey]) -> int:
        now = self._clock()
        unusable = [key for key in keys if not key.usable(now) and key.state is not State.NOT_READY]
        self._manager.remove(unusable)
        return len(unusable)

    def _rekey(self, handle: CalloutHandle) -> None:
        found = self._server(handle)
        if found is not None:
            server_id, ring = found
            self._manager.create_key(ring)
            _answer(handle, _SUCCESS, f"GSS-TSIG server[{server_id}] rekeyed")

    def _rekey_all(self, handle: CalloutHandle) -> None:
        self._manager.process_all(rekey=True)
        _answer(handle, _SUCCESS, "rekeyed")


def _shown(ring: KeyRing) -> Plain:
    keys: list[Plain] = [key.plain() for key in ring.keys]
    return {**ring.server.plain(), "keys": keys}


def _answer(handle: CalloutHandle, result: int, text: str, arguments: Plain = None) -> None:
    response: dict[str, Plain] = {"result": result, "text": text}
    if arguments is not None:
        response["arguments"] = arguments
    handle.set_argument("response", response)


def _argument(handle: CalloutHandle, name: str) -> str | None:
    """Return the argument of a command; None when it is not right: then that is the answer."""
    command = cast("Element", handle.use().get("command"))
    try:
        return _string(command, name)
    except HookError as error:
        _answer(handle, _ERROR, str(error))
        return None


def _string(command: Element, name: str) -> str:
    shown = to_text(command)
    arguments = command.get("arguments")
    if arguments is None:
        raise HookError(f"arguments not found in the '{shown}' command")
    if not isinstance(arguments.value, dict):
        raise HookError(f"arguments in the '{shown}' command are not a map")
    element = arguments.get(name)
    if element is None:
        raise HookError(f"'{name}' is mandatory for the '{shown}' command")
    if not isinstance(element.value, str):
        raise HookError(f"'{name}' must be a string in the '{shown}' command")
    return element.value

"""Handles for tests of a library in Python, which then needs no server. docs/hooks.md has an example.

They check values as the server does, and raise the same errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import parse_address
from pyd2.config.model import DnsServer
from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.callouts import Callouts
from pyd2.hooks.handle import CalloutHandle, LibraryHandle
from pyd2.hooks.points import POINTS, Kind, hook_of_command, kind_of, kinds_at
from pyd2.hooks.python_chain import PythonUse
from pyd2.hooks.values import ACCEPT
from pyd2.messages import OWN_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Plain

__all__ = ["HandleForLoad", "callout_handle", "dns_server", "http_request", "library_handle"]

_NAME: Final = "library.py"
_PREFIX: Final = "PYD2_HOOK_MESSAGE_"


class _Log:
    """Keeps the messages that a library logs."""

    on: Final = frozenset(OWN_MESSAGES)

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        """Keep a message if a library logged it."""
        if message_id.startswith(_PREFIX):
            self.messages.append((message_id.removeprefix(_PREFIX), str(arguments[-1])))


class HandleForLoad(LibraryHandle):
    """The handle for ``load``, with what was registered and logged through it."""

    __slots__ = ("_callouts", "_kept")

    def __init__(self, parameters: Plain) -> None:
        self._kept = _Log()
        self._callouts = Callouts([_NAME], self._kept)
        given = None if parameters is None else from_plain(parameters)
        super().__init__(_NAME, 1, given, self._callouts, self._kept)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """What was logged by ``handle.log``: severity (``ERROR``, ``WARN``, ``INFO``, ``DEBUG``), text."""
        return self._kept.messages

    def callouts(self, hook: str) -> list[Callable[[CalloutHandle], object]]:
        """Return what was registered on a hook point, in order; HookError when there is no such point."""
        return [entry.function for entry in self._callouts.of(hook)]

    def command(self, name: str) -> list[Callable[[CalloutHandle], object]]:
        """Return what was registered for a command."""
        hook = hook_of_command(name)
        return self.callouts(hook) if self._callouts.present(hook) else []


def library_handle(parameters: Plain = None) -> HandleForLoad:
    """Return the handle for ``load``, of an entry with these ``parameters``."""
    return HandleForLoad(parameters)


def callout_handle(hook_name: str, **arguments: object) -> CalloutHandle:
    """Return the handle for a callout on a hook point; that of a command is ``$`` and its name.

    Arguments that are left out are None, texts empty. Raises HookError for an argument that does not fit.
    """
    hook = hook_of_command(hook_name[1:]) if hook_name.startswith("$") else hook_name
    if hook not in POINTS and not hook.startswith("$"):
        raise HookError(f"hook name {hook_name} is not recognized")
    kinds = kinds_at(hook)
    unknown = sorted(set(arguments) - set(kinds))
    if unknown:
        raise HookError(f"hook {hook_name} has no argument {', '.join(unknown)}")
    empty = {name: "" if kind is Kind.TEXT else None for name, kind in kinds.items()}
    given = {name: ACCEPT[kind_of(hook, name)](value) for name, value in (empty | arguments).items()}
    return CalloutHandle(PythonUse(given), hook, 1)


def http_request(body: Plain, headers: dict[str, str] | None = None, **members: Plain) -> dict[str, Plain]:
    """Return the ``request`` of http_auth and http_response: a POST of this body from 127.0.0.1.

    ``members`` are others that docs/hooks.md lists, with ``_`` for ``-``: ``user="admin"``.
    """
    named = {name.lower(): value for name, value in (headers or {}).items()}
    own: dict[str, Plain] = {name.replace("_", "-"): value for name, value in members.items()}
    request: dict[str, Plain] = {
        "method": "POST", "path": "/", "version": "1.1", "headers": {**named}, "body": body,
        "remote-address": "127.0.0.1", "user": "", "tls": False,
    }
    return request | own


def dns_server(address: str, port: int = 53, key_name: str = "") -> DnsServer:
    """Return a server as ``select_key`` gets it. Raises ConfigError for a malformed address."""
    return DnsServer(parse_address(address), port, key_name, None, None)

"""Stand-ins for what the server gives to a library in Python: with them its functions are tested without one.

docs/hooks.md has an example. They check what they are given as the server does, and raise the same errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import parse_address
from pyd2.config.model import DnsServer
from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.callouts import Callouts
from pyd2.hooks.chain import PythonUse
from pyd2.hooks.handle import CalloutHandle, LibraryHandle
from pyd2.hooks.points import Kind, hook_of_command, kind_of, kinds_at
from pyd2.hooks.values import ACCEPT
from pyd2.messages import OWN_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Plain

__all__ = ["HandleForLoad", "callout_handle", "dns_server", "library_handle"]

_NAME: Final = "library.py"
_SAID: Final = "PYD2_HOOK_MESSAGE_"


class _Log:
    """Keeps what a library writes."""

    on: Final = frozenset(OWN_MESSAGES)

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        """Keep a message if it is a library's."""
        if message_id.startswith(_SAID):
            self.said.append((message_id.removeprefix(_SAID), str(arguments[-1])))


class HandleForLoad(LibraryHandle):
    """What ``load`` is given, and what it did with it."""

    __slots__ = ("_callouts", "_kept")

    def __init__(self, parameters: Plain) -> None:
        self._kept = _Log()
        self._callouts = Callouts([_NAME], self._kept)
        given = None if parameters is None else from_plain(parameters)
        super().__init__(_NAME, 1, given, self._callouts, self._kept)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """What was written with ``handle.log``: severity (``ERROR``, ``WARN``, ``INFO``, ``DEBUG``), text."""
        return self._kept.said

    def callouts(self, hook: str) -> list[Callable[[CalloutHandle], object]]:
        """Return what was registered on a hook point, in order; HookError when there is no such point."""
        return [entry.function for entry in self._callouts.of(hook)]

    def command(self, name: str) -> list[Callable[[CalloutHandle], object]]:
        """Return what was registered for a command."""
        hook = hook_of_command(name)
        return self.callouts(hook) if self._callouts.present(hook) else []


def library_handle(parameters: Plain = None) -> HandleForLoad:
    """Return what ``load`` is given, for an entry with these ``parameters``."""
    return HandleForLoad(parameters)


def callout_handle(hook_name: str, **arguments: object) -> CalloutHandle:
    """Return what a callout is given at a hook point; for a command the point is ``$`` and its name.

    Arguments that are left out are None, texts empty. Raises HookError for those that do not fit the point.
    """
    hook = hook_of_command(hook_name[1:]) if hook_name.startswith("$") else hook_name
    kinds = kinds_at(hook)
    if not kinds and hook not in {"context_create", "context_destroy"}:
        raise HookError(f"hook name {hook_name} is not recognized")
    unknown = sorted(set(arguments) - set(kinds))
    if unknown:
        raise HookError(f"hook {hook_name} has no argument {', '.join(unknown)}")
    empty = {name: "" if kind is Kind.TEXT else None for name, kind in kinds.items()}
    given = {name: ACCEPT[kind_of(hook, name)](value) for name, value in (empty | arguments).items()}
    return CalloutHandle(PythonUse(given), hook, 1)


def dns_server(address: str, port: int = 53, key_name: str = "") -> DnsServer:
    """Return a server as ``select_key`` gets it. Raises ConfigError for an address that is none."""
    return DnsServer(parse_address(address), port, key_name, None, None)

"""The arguments of a library's functions: ``CalloutHandle`` in a callout, ``LibraryHandle`` in ``load``.

Both are the same in every chain, which provides a ``Use`` and a ``Registrar`` for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pyd2.data.element import Element, sorted_items
from pyd2.errors import HookError
from pyd2.hooks.points import Status, kinds_at
from pyd2.hooks.values import ACCEPT, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Plain
    from pyd2.messages import Log


class Use(Protocol):
    """One use of hooks by the server: what its callouts share, from context_create to context_destroy."""

    status: Status

    def get(self, name: str) -> object:
        """Return an argument, JSON as an ``Element``; HookError when there is none of that name."""

    def set(self, name: str, value: object) -> None:
        """Set an argument that was checked, JSON as an ``Element``."""

    def names(self) -> list[str]:
        """Return the names of the arguments, sorted."""

    def context(self, library_index: int) -> dict[str, object]:
        """Return the private values of a library, the dict itself."""


class CalloutHandle:
    """A callout's view of the server: arguments, status, and values private to its library.

    It is valid while the callout runs; afterwards all access raises HookError.
    """

    __slots__ = ("_use", "hook_name", "library_index")

    def __init__(self, use: Use, hook_name: str, library_index: int) -> None:
        self._use: Use | None = use
        self.hook_name = hook_name
        """The hook point, such as ``select_key`` or ``$my_command``."""
        self.library_index = library_index
        """The place of the library in ``hooks-libraries``, from 1."""

    def invalidate(self) -> None:
        """End the handle; for the chain."""
        self._use = None

    def _live(self) -> Use:
        if self._use is None:
            raise HookError(f"the handle of a callout on {self.hook_name} was used after the callout ended")
        return self._use

    @property
    def status(self) -> Status:
        """What the server is to do next; CONTINUE before the point's first callout."""
        return self._live().status

    @status.setter
    def status(self, value: Status | int) -> None:
        use = self._live()
        try:
            use.status = Status(value)
        except ValueError as error:
            raise HookError(f"{value!r} is no status") from error

    def get_argument(self, name: str) -> Any:  # noqa: ANN401  its type depends on the name
        """Return an argument (docs/hooks.md lists them); JSON as a fresh copy in plain Python.

        Raises HookError when there is none of that name.
        """
        use = self._use or self._live()
        value = use.get(name)
        return value.plain() if type(value) is Element else value

    def use(self) -> Use:
        """Return what the callouts of this use share; for the handles of libraries in C."""
        return self._live()

    def set_argument(self, name: str, value: object) -> None:
        """Set an argument, for the callouts that follow and, where it is an output, for the server.

        Names that the hook point does not have are shared by the callouts of this use.
        Raises HookError when the value does not fit the argument.
        """
        use = self._use or self._live()
        try:
            use.set(name, ACCEPT[kinds_at(self.hook_name).get(name)](value))
        except HookError as error:
            raise HookError(f"unable to set argument {name}: {error}") from error

    def argument_names(self) -> list[str]:
        """Return the names of the arguments, sorted."""
        return self._live().names()

    def get_context(self, name: str) -> Any:  # noqa: ANN401  whatever the library stored
        """Return a value that this library stored in this use; HookError when there is none of that name."""
        try:
            return self._live().context(self.library_index)[name]
        except KeyError:
            raise HookError(
                f"unable to find callout context item {name} in the context associated with current library",
            ) from None

    def set_context(self, name: str, value: object) -> None:
        """Store a value for this library's other callouts of the same use, context_destroy being the last."""
        self._live().context(self.library_index)[name] = value

    def delete_context(self, name: str) -> None:
        """Forget a stored value; nothing happens when there is none of that name."""
        self._live().context(self.library_index).pop(name, None)

    def context_names(self) -> list[str]:
        """Return the names of the values that this library stored in this use, sorted."""
        return sorted(self._live().context(self.library_index))


class Registrar(Protocol):
    """Where a library's callouts are registered: the chain that is being loaded."""

    def register(self, library_index: int, hook: str, callout: Callable[[CalloutHandle], object]) -> None:
        """Register a callout; HookError when the hook has no such name or the callout cannot be called."""

    def register_command(
        self, library_index: int, command: str, callout: Callable[[CalloutHandle], object],
    ) -> None:
        """Register a command's callout, and its hook point when it is new."""

    def deregister(self, library_index: int, hook: str, callout: Callable[[CalloutHandle], object]) -> bool:
        """Remove a callout wherever the library registered it on the hook; True if it was there."""

    def deregister_all(self, library_index: int, hook: str) -> bool:
        """Remove all callouts of a library from a hook; True if there were any."""


class LibraryLog:
    """Writes messages with the library's name to the server's log, each as one line."""

    __slots__ = ("_library", "_log")

    def __init__(self, library: str, log: Log) -> None:
        self._library = library
        self._log = log

    @property
    def server(self) -> Log:
        """The server's log itself, for a library that is part of pyd2."""
        return self._log

    def error(self, text: str) -> None:
        """Write an ERROR: the library cannot do its work."""
        self._log.emit("PYD2_HOOK_MESSAGE_ERROR", self._library, one_line(text))

    def warn(self, text: str) -> None:
        """Write a WARN."""
        self._log.emit("PYD2_HOOK_MESSAGE_WARN", self._library, one_line(text))

    def info(self, text: str) -> None:
        """Write an INFO."""
        self._log.emit("PYD2_HOOK_MESSAGE_INFO", self._library, one_line(text))

    def debug(self, text: str) -> None:
        """Write a DEBUG of level 45, the level of the callouts' own trace."""
        self._log.emit("PYD2_HOOK_MESSAGE_DEBUG", self._library, one_line(text))


class LibraryHandle:
    """The argument of ``load``: the library's parameters, its log, and the registration of callouts.

    Callouts are registered while ``load`` runs, not later; parameters and log stay usable until ``unload``.
    """

    __slots__ = ("_parameters", "_registrar", "index", "library", "log")

    def __init__(
        self, library: str, index: int, parameters: Element | None, registrar: Registrar, log: Log,
    ) -> None:
        self._parameters = parameters
        self._registrar: Registrar | None = registrar
        self.library = library
        """The entry's ``library``: the full path, or ``python:package.module``."""
        self.index = index
        """The place in ``hooks-libraries``, from 1."""
        self.log = LibraryLog(library, log)

    def seal(self) -> None:
        """Refuse further registrations; for the chain."""
        self._registrar = None

    def _open(self) -> Registrar:
        if self._registrar is None:
            raise HookError("callouts can be registered and deregistered only while load runs")
        return self._registrar

    def get_parameters(self) -> Plain:
        """Return a fresh copy of the entry's ``parameters``; None when the entry has none."""
        return None if self._parameters is None else self._parameters.plain()

    def raw_parameters(self) -> Element:
        """Return the entry's ``parameters`` themselves, else JSON's null; for libraries in C."""
        return Element(None) if self._parameters is None else self._parameters

    def get_parameter(self, name: str, default: Plain = None) -> Any:  # noqa: ANN401  any JSON value
        """Return a fresh copy of one parameter; ``default`` when there is none of that name."""
        if self._parameters is None or not isinstance(self._parameters.value, dict):
            return default
        value = self._parameters.value.get(name)
        return default if value is None else value.plain()

    def parameter_names(self) -> list[str]:
        """Return the names of the parameters in byte order."""
        if self._parameters is None or not isinstance(self._parameters.value, dict):
            return []
        return [name for name, _ in sorted_items(self._parameters.value)]

    def register_callout(self, hook: str, callout: Callable[[CalloutHandle], object]) -> None:
        """Register one more callout on a hook point, after those that the library has there already.

        A callout returns None or 0; anything else counts as an error. Raises HookError for an unknown hook.
        """
        self._open().register(self.index, hook, callout)

    def register_command(self, command: str, callout: Callable[[CalloutHandle], object]) -> None:
        """Register a callout for a command of the control channel, also in place of a built-in one."""
        self._open().register_command(self.index, command, callout)

    def deregister_callout(self, hook: str, callout: Callable[[CalloutHandle], object]) -> bool:
        """Remove a callout of this library; True if it was registered."""
        return self._open().deregister(self.index, hook, callout)

    def deregister_all_callouts(self, hook: str) -> bool:
        """Remove all callouts of this library from a hook point; True if there were any."""
        return self._open().deregister_all(self.index, hook)

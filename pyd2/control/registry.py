"""The commands by name, and the checks of a request before a command runs (contract, section 8).

From a parsed request to its answer: the checks, the choice between hook libraries and built-in commands, and
the ``command_processed`` hook point. Commands of any origin can be added and removed by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from pyd2.control.answer import UNSUPPORTED, answer, error, success
from pyd2.data.element import Element, sorted_items
from pyd2.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyd2.messages import Log

    Handler: TypeAlias = Callable[[Element | None], Element]
    """Carries a command out: gets its ``arguments``, None when absent, and returns the answer.

    It may raise any error; the text of the error becomes the text of the answer.
    """

LIST_COMMANDS = "list-commands"
"""The one command that no hook library can replace."""

_MEMBERS = frozenset({"command", "arguments", "service", "remote-address"})


class CommandHooks(Protocol):
    """What hook libraries do with commands (contract, section 7)."""

    def commands(self) -> Iterable[str]:
        """Return the names of the commands that libraries answer."""

    def has_command(self, name: str) -> bool:
        """Return whether a library answers the command."""

    def run_command(self, name: str, request: Element) -> Element | None:
        """Return the libraries' answer to the whole request; None: no answer is to be sent."""

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None
    ) -> Element | None:
        """Show the libraries a command and its answer; return the answer to send, None for none."""


class CommandRegistry:
    """The commands of the server and of hook libraries, and their execution.

    ``hooks`` may be replaced at any time, as libraries are loaded and unloaded.
    """

    def __init__(self, log: Log, hooks: CommandHooks | None = None) -> None:
        self.hooks = hooks
        self._log = log
        self._handlers: dict[str, Handler] = {}

    def register_list(self) -> None:
        """Add list-commands."""
        self.register(LIST_COMMANDS, self._list_commands)

    def register(self, name: str, handler: Handler) -> None:
        """Add a built-in command. Raises CommandError if the name is taken."""
        if name in self._handlers:
            raise CommandError(f"Handler for command '{name}' is already installed.")
        self._handlers[name] = handler
        self._log.emit("COMMAND_REGISTERED", name)

    def deregister(self, name: str) -> None:
        """Remove a built-in command. Raises CommandError if there is none of the name."""
        if name == LIST_COMMANDS:
            raise CommandError("Can't uninstall internal command 'list-commands'")
        if self._handlers.pop(name, None) is None:
            raise CommandError(f"Handler for command '{name}' not found.")
        self._log.emit("COMMAND_DEREGISTERED", name)

    def has(self, name: str) -> bool:
        """Whether there is a built-in command of the name."""
        return name in self._handlers

    def process(self, request: Element) -> Element | None:
        """Carry out a request and return its answer; None: a hook library wants none to be sent.

        Never raises: every error is logged and becomes an answer, so that no command can end the process.
        """
        try:
            name, arguments = _parse(request)
            self._log.emit("COMMAND_RECEIVED", name)
            response = self._run(name, arguments, request)
            if self.hooks is not None:
                response = self.hooks.command_processed(name, arguments, response)
        except Exception as fault:
            text = str(fault).partition("\0")[0]  # a NUL ends the texts of Kea's exceptions
            self._log.emit("COMMAND_PROCESS_ERROR2", text)
            return error(f"Error during command processing: {text}")
        return response

    def _run(self, name: str, arguments: Element | None, request: Element) -> Element | None:
        if self.hooks is not None and name != LIST_COMMANDS and self.hooks.has_command(name):
            return self.hooks.run_command(name, request)
        handler = self._handlers.get(name)
        if handler is None:
            return answer(UNSUPPORTED, f"'{name}' command not supported.")
        return handler(arguments)

    def _list_commands(self, _arguments: Element | None) -> Element:
        names = set(self._handlers)
        if self.hooks is not None:
            names.update(self.hooks.commands())
        return success(arguments=Element([Element(name) for name in sorted(names)]))


def _parse(request: Element) -> tuple[str, Element | None]:
    """Check the form of a request; return the command's name and its arguments.

    Raises CommandError with Kea's text.
    """
    if request.type_name != "map":
        raise CommandError(
            f"invalid command: expected toplevel entry to be a map, got {request.type_name} instead"
        )
    members = request.map_value()
    if "command" not in members:
        raise CommandError("invalid command: does not contain mandatory 'command'")
    for name, _ in sorted_items(members):
        if name not in _MEMBERS:
            raise CommandError(f"invalid command: unsupported parameter '{name}'")
    command = members["command"]
    if command.type_name != "string":
        # Kea names the type of the request here, not that of the command.
        raise CommandError("invalid command: expected 'command' to be a string, got map instead")
    return command.string_value(), members.get("arguments")

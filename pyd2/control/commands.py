"""The built-in commands of the DHCP-DDNS server (contract, section 8).

Each gets the request's ``arguments`` (None when absent) and returns the answer. ``Server`` is what the
commands need of the daemon, ``Statistics`` what they need of the statistics.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyd2.control.answer import error, failed, success
from pyd2.data.element import Element, sorted_items
from pyd2.data.text import to_text
from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from pyd2.control.registry import CommandRegistry, Handler
    from pyd2.messages import Log

APPLICATION = "DhcpDdns"


class CommandRules(NamedTuple):
    """The commands of a Kea release."""

    names: tuple[str, ...]
    """In the order in which Kea registers them, without list-commands."""
    config_write: str
    """How errors of config-write call it."""
    lists_early: bool
    """Whether list-commands is there before the first configuration, and not registered with the others."""
    socket_failure: int
    """The result of config-set and config-reload when control sockets cannot be opened."""


class ShutdownType(StrEnum):
    """What the server still does before it ends (contract, section 1)."""

    NORMAL = "normal"
    """It finishes the active transactions."""
    DRAIN_FIRST = "drain_first"
    """It finishes the queued requests, too."""
    NOW = "now"
    """Nothing: it drops everything at once."""


class Server(Protocol):
    """What the commands need of the daemon."""

    @property
    def config_file(self) -> str:
        """The configuration file's name as given with -c."""

    @property
    def version(self) -> str:
        """The output of -v, without the newline."""

    @property
    def extended_version(self) -> str:
        """The output of -V, without the last newline."""

    @property
    def build_report(self) -> str:
        """The output of -W, with the last newline."""

    @property
    def uptime(self) -> int:
        """Seconds since the start."""

    @property
    def since_reload(self) -> int:
        """Seconds since a configuration was last applied."""

    def extensions(self) -> Element | None:
        """Return the state of pyd2's own features for status-get; None if none of them is on."""

    def config(self, *, redacted: bool) -> Element:
        """Return a new map ``{ "DhcpDdns": {...} }`` of the running configuration, defaults filled in.

        ``redacted``: with secrets hidden, if the operator asked for that.
        """

    def apply(self, config: Element) -> None:
        """Make the DhcpDdns map the running configuration. Raises Pyd2Error; its text is the answer's."""

    def reload(self) -> None:
        """Read the configuration file and apply it. Raises Pyd2Error; its text is the answer's."""

    def check(self, config: Element) -> None:
        """Check a DhcpDdns map and change nothing. Raises Pyd2Error; its text is the answer's."""

    def set_exit_value(self, value: int) -> None:
        """Set the exit status of the process's normal end; the low 8 bits count."""

    def begin_shutdown(self, kind: ShutdownType) -> None:
        """Begin to shut down; a second call changes the kind."""

    def cancel_shutdown(self) -> None:
        """Call a shutdown off, if one is under way."""


class Statistics(Protocol):
    """What the commands need of the statistics."""

    def get(self, name: str) -> Element:
        """Return a map with the statistic of that name; empty if there is none."""

    def get_all(self) -> Element:
        """Return a map with all statistics."""

    def reset(self, name: str) -> bool:
        """Set a statistic to zero; False if there is none of that name."""

    def reset_all(self) -> None:
        """Set all statistics to zero."""


def config_hash(config: Element) -> str:
    """Return the hash of ``{ "DhcpDdns": {...} }``: SHA-256 over its text, in upper-case hex."""
    import hashlib

    return hashlib.sha256(to_text(config).encode("utf-8", "surrogateescape")).hexdigest().upper()


class Commands:
    """The built-in commands, list-commands excepted: that one is the registry's own."""

    def __init__(self, server: Server, statistics: Statistics, log: Log, rules: CommandRules) -> None:
        self._server = server
        self._statistics = statistics
        self._log = log
        self._rules = rules
        handlers: dict[str, Handler] = {
            "build-report": self.build_report,
            "config-get": self.config_get,
            "config-hash-get": self.config_hash_get,
            "config-reload": self.config_reload,  # applies one: see _RELOADING of hooks/kea/chain.py
            "config-set": self.config_set,
            "config-test": self.config_test,
            "config-write": self.config_write,
            "shutdown": self.shutdown,
            "status-get": self.status_get,
            "version-get": self.version_get,
            "statistic-get": self.statistic_get,
            "statistic-get-all": self.statistic_get_all,
            "statistic-reset": self.statistic_reset,
            "statistic-reset-all": self.statistic_reset_all,
        }
        self._handlers = {name: handlers[name] for name in rules.names}
        self.names = sorted(self._handlers)
        """Their names in Kea's order of deregistration."""

    def register(self, registry: CommandRegistry) -> None:
        """Register all, in Kea's order."""
        if not self._rules.lists_early:
            registry.register_list()
        for name, handler in self._handlers.items():
            registry.register(name, handler)

    def deregister(self, registry: CommandRegistry) -> None:
        """Deregister all, in Kea's order."""
        for name in self.names:
            registry.deregister(name)

    def run(self, name: str, arguments: Element | None) -> Element:
        """Carry out a command for a hook library; LookupError when there is none of the name."""
        return self._handlers[name](arguments)

    def build_report(self, _arguments: Element | None) -> Element:
        """Answer with what -W prints."""
        return success(self._server.build_report)

    def version_get(self, _arguments: Element | None) -> Element:
        """Answer with the version, and the extended one in the arguments."""
        return success(self._server.version, Element({"extended": Element(self._server.extended_version)}))

    def status_get(self, _arguments: Element | None) -> Element:
        """Answer with the process's id, its ages in seconds and the state of pyd2's own features."""
        status = {
            "pid": Element(os.getpid()),
            "uptime": Element(self._server.uptime),
            "reload": Element(self._server.since_reload),
        }
        extensions = self._server.extensions()
        if extensions is not None:
            status["pyd2"] = extensions
        return success(arguments=Element(status))

    def config_get(self, _arguments: Element | None) -> Element:
        """Answer with the running configuration and its hash; the hash covers secrets even if hidden."""
        config = self._server.config(redacted=True)
        config.map_value()["hash"] = Element(self._hash())
        return success(arguments=config)

    def config_hash_get(self, _arguments: Element | None) -> Element:
        """Answer with the running configuration's hash."""
        return success(arguments=Element({"hash": Element(self._hash())}))

    def config_set(self, arguments: Element | None) -> Element:
        """Apply the configuration in the arguments."""
        config, fault = _application_map(arguments)
        if config is None:
            return error(fault)
        self._other_objects(arguments)
        try:
            self._server.apply(config)
        except Pyd2Error as refusal:
            return failed(refusal, self._rules.socket_failure)
        return self._applied()

    def config_reload(self, _arguments: Element | None) -> Element:
        """Apply the configuration file."""
        try:
            self._server.reload()
        except Pyd2Error as refusal:
            return failed(refusal, self._rules.socket_failure)
        return self._applied()

    def config_test(self, arguments: Element | None) -> Element:
        """Check the configuration in the arguments."""
        config, fault = _application_map(arguments)
        if config is None:
            return error(fault)
        others = self._other_objects(arguments)
        if others:
            text = f"'arguments' parameter contains unsupported '{others[0]}' parameter"
            return error(text + "".join(f" (and '{name}')" for name in others[1:]))
        try:
            self._server.check(config)
        except Pyd2Error as refusal:
            return error(str(refusal))
        return success("Configuration check successful")

    def config_write(self, arguments: Element | None) -> Element:
        """Save the running configuration to a file in the configuration file's directory."""
        from pyd2.control.write import write_config

        name = ""
        if arguments is not None:
            if arguments.type_name != "map":
                return error("Argument must be a map")
            filename = arguments.get("filename")
            if filename is not None:
                if filename.type_name != "string":
                    return error("passed parameter 'filename' is not a string")
                name = filename.string_value()
        config = self._server.config(redacted=False)
        return write_config(name, self._server.config_file, config, self._rules.config_write)

    def shutdown(self, arguments: Element | None) -> Element:
        """Begin to shut down; SIGTERM and SIGINT do the same as a command without arguments.

        As with Kea, the exit value counts even when the type is refused, and a refused type calls off a
        shutdown that is under way.
        """
        exit_value = 0
        if arguments is not None:
            if arguments.type_name != "map":
                return error("Argument must be a map")
            value = arguments.get("exit-value")
            if value is not None:
                if value.type_name != "integer":
                    return error("parameter 'exit-value' is not an integer")
                exit_value = value.int_value()
        self._server.set_exit_value(exit_value)
        text = "(no arguments)" if arguments is None else to_text(arguments)
        self._log.emit("DHCP_DDNS_SHUTDOWN_COMMAND", text)
        wanted = arguments.get("type") if arguments is not None else None
        name = ShutdownType.NORMAL.value if wanted is None else wanted.string_value()
        try:
            kind = ShutdownType(name)
        except ValueError:
            self._server.cancel_shutdown()
            return error(f"Invalid Shutdown type: {name}")
        self._server.begin_shutdown(kind)
        return success(f"Shutdown initiated, type is: {kind}")

    def statistic_get(self, arguments: Element | None) -> Element:
        """Answer with one statistic."""
        name, fault = _statistic_name(arguments)
        return error(fault) if name is None else success(arguments=self._statistics.get(name))

    def statistic_get_all(self, _arguments: Element | None) -> Element:
        """Answer with all statistics."""
        return success(arguments=self._statistics.get_all())

    def statistic_reset(self, arguments: Element | None) -> Element:
        """Set one statistic to zero."""
        name, fault = _statistic_name(arguments)
        if name is None:
            return error(fault)
        if self._statistics.reset(name):
            return success(f"Statistic '{name}' reset.")
        return error(f"No '{name}' statistic found")

    def statistic_reset_all(self, _arguments: Element | None) -> Element:
        """Set all statistics to zero."""
        self._statistics.reset_all()
        return success("All statistics reset to neutral values.")

    def _hash(self) -> str:
        return config_hash(self._server.config(redacted=False))

    def _applied(self) -> Element:
        arguments = Element({"hash": Element(self._hash())})
        return success("Configuration applied successfully.", arguments)

    def _other_objects(self, arguments: Element | None) -> list[str]:
        """Log the members of the arguments other than DhcpDdns; return their names."""
        members = arguments.map_value() if arguments is not None else {}
        names = [name for name, _ in sorted_items(members) if name != APPLICATION]
        for name in names:
            text = f"defining anything in global level besides '{APPLICATION}' is no longer supported."
            self._log.emit("DCTL_CONFIG_DEPRECATED", f"'{name}', {text}")
        return names


def _application_map(arguments: Element | None) -> tuple[Element | None, str]:
    """Return the DhcpDdns map of a configuration command, or None and what is wrong.

    Raises ElementTypeError when the arguments are no map.
    """
    if arguments is None:
        return None, "Missing mandatory 'arguments' parameter."
    config = arguments.get(APPLICATION)
    if config is None:
        return None, f"Missing mandatory '{APPLICATION}' parameter."
    if config.type_name != "map":
        return None, f"'{APPLICATION}' parameter expected to be a map."
    return config, ""


def _statistic_name(arguments: Element | None) -> tuple[str | None, str]:
    """Return the name that a statistic command asks for, or None and what is wrong.

    Raises ElementTypeError when the arguments are no map.
    """
    name = arguments.get("name") if arguments is not None else None
    if name is None:
        return None, "Missing mandatory 'name' parameter."
    if name.type_name != "string":
        return None, "'name' parameter expected to be a string."
    return name.string_value(), ""

"""Takes a configuration from its text to being in force, step by step in Kea's order, or not at all.

Contract, section 2.5. Where Kea leaves a half-changed server behind (a failed load of hook libraries, a
refused configuration that stays active, a control channel lost to a bad new one), the old configuration
comes back whole (decisions 13, 18 and "hooks").
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from pyd2.config.control_socket import check_directory
from pyd2.config.defaults import with_defaults
from pyd2.config.files import read_config_file, read_first_config_file
from pyd2.config.loggers import check_sizes, in_new_spelling, parse_loggers
from pyd2.config.parse import DEFAULT_SUMMARY, parse_element, read_file
from pyd2.config.redact import redact
from pyd2.data.text import to_text
from pyd2.errors import ConfigError, ConfigParserError, ConfigSyntaxError, ElementTypeError, HookError
from pyd2.hooks.chain import check_libraries, load_chain
from pyd2.net.control import ControlChannel
from pyd2.queue.interface import InUseError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from pyd2.config.model import Config
    from pyd2.config.paths import Directories
    from pyd2.config.switches import QueueSwitches
    from pyd2.data.element import Element
    from pyd2.hooks.chain import Chain, ServerCommands
    from pyd2.net.control import Session
    from pyd2.observe.log import MessageLog

_PARSING_FAILED = "Configuration parsing failed: "
_NO_TEXT = "Text has to be provided for status_code != 0"


class Applied(Protocol):
    """Who works by the configuration: told when one is in force."""

    def __call__(self, config: Config, chain: Chain, *, restored: bool) -> None:
        """Take the configuration and its hook libraries over. Raises nothing.

        ``restored``: the configuration is that of before, and only its libraries have been loaded anew.
        """


class QueueClaims(Protocol):
    """Who sees to it that no other process has the directory of the durable queue."""

    def claim(self, queue: QueueSwitches) -> None:
        """Lock the directory that a configuration asks for. Raises InUseError."""

    def unclaim(self) -> None:
        """Take back ``claim``."""


class RefusedConfigError(ConfigError):
    """A hook library refused the configuration."""


class Checker:
    """Reads and checks configurations; changes nothing. Enough for ``-t`` and ``config-test``."""

    def __init__(self, log: MessageLog, directories: Directories, *, verbose: bool) -> None:
        self._log = log
        self._directories = directories
        self._verbose = verbose

    def read(self, path: str, *, first: bool = True) -> Element:
        """Return the DhcpDdns map of a file. Raises ConfigSyntaxError.

        ``first``: at the start of a program, where the file may be a pipe. A daemon at work waits for none.
        """
        read = read_first_config_file if first else read_config_file
        return read_file(path, notify=self._log.emit, read=read).map_value()["DhcpDdns"]

    def check(self, dhcp_ddns: Element) -> None:
        """Check a configuration and log the outcome. Raises ConfigError."""
        self._announce("check", dhcp_ddns)
        try:
            config = self._parse(dhcp_ddns)
            self._check_socket(config)
        except ConfigParserError as error:
            self._log.emit("DCTL_PARSER_FAIL", error)
            raise
        except ConfigError as error:
            self._log.emit("DHCP_DDNS_CONFIG_CHECK_FAIL", error)
            self._log.emit("DCTL_CONFIG_CHECK_COMPLETE", DEFAULT_SUMMARY, f"failure(1), text={error}")
            raise
        outcome = "success(0), text=Configuration check successful"
        self._log.emit("DCTL_CONFIG_CHECK_COMPLETE", config.summary(), outcome)

    def _check_socket(self, config: Config) -> None:
        """Check that the control socket could be opened. Raises ConfigParserError, as the start would."""
        if config.control_socket is None:
            return
        try:
            check_directory(self._directories.sockets, must_exist=False)
        except ConfigError as error:
            raise ConfigParserError(str(error)) from None

    def _announce(self, purpose: str, dhcp_ddns: Element) -> None:
        on = self._log.on
        if "DHCP_DDNS_CONFIGURE" in on or "DCTL_CONFIG_START" in on:
            shown = to_text(redact(dhcp_ddns))
            self._log.emit("DHCP_DDNS_CONFIGURE", purpose, shown)
            self._log.emit("DCTL_CONFIG_START", shown)

    def _parse(self, dhcp_ddns: Element) -> Config:
        return parse_element(
            dhcp_ddns,
            self._directories,
            verbose=self._verbose,
            notify=self._log.emit,
            validate_libraries=lambda entries: check_libraries(entries, self._log),
        )


class Configurator(Checker):
    """Holds what is in force: a configuration, its hook libraries and its control channel; and replaces it.

    ``commit`` is told of each change; ``commands`` are the server's own, which libraries may run.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: MessageLog,
        directories: Directories,
        new_session: Callable[[int], Session],
        queue: QueueClaims,
        commit: Applied,
        commands: ServerCommands,
        *,
        verbose: bool,
    ) -> None:
        super().__init__(log, directories, verbose=verbose)
        self._loop = loop
        self._new_session = new_session
        self._queue = queue
        self._commit = commit
        self._commands = commands
        self._applied: tuple[Config, Element] | None = None
        """What libraries are told of the configuration in force: itself, and its map with its defaults."""
        self.config: Config | None = None
        self.chain: Chain = load_chain((), log)
        self.channel: ControlChannel | None = None

    def reload(self, path: str) -> None:
        """Apply a file. Raises Pyd2Error; nothing has changed then."""
        with self._old_log_at_failure():
            try:
                dhcp_ddns = self.read(path, first=self.config is None)
            except ConfigSyntaxError as error:
                raise ConfigError(f"{_PARSING_FAILED}{error}") from error
            self._apply(dhcp_ddns)

    def apply(self, dhcp_ddns: Element) -> None:
        """Apply a DhcpDdns map. Raises Pyd2Error; nothing has changed then."""
        with self._old_log_at_failure():
            self._apply(dhcp_ddns)

    def close_channel(self) -> None:
        """Close the control channel for good."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def unload(self) -> None:
        """Unload the hook libraries, the last step of the daemon's life."""
        self.chain.unload()

    @contextmanager
    def _old_log_at_failure(self) -> Iterator[None]:
        """Log as before when a configuration fails; at start, as for an empty configuration.

        One that libraries refuse at start has been complete, so its own loggers tell of it, as in Kea.
        """
        try:
            yield
        except BaseException as error:
            if self.config is None and isinstance(error, RefusedConfigError):
                raise
            self._log.configure(self.config.loggers if self.config is not None else ())
            raise

    def _apply(self, dhcp_ddns: Element) -> None:
        try:
            # The new loggers come first, so that they tell what is wrong with the rest.
            loggers = parse_loggers(dhcp_ddns, self._directories, self._log.emit, verbose=self._verbose)
            check_sizes(loggers)
        except ConfigParserError as error:
            raise ConfigError(f"{_PARSING_FAILED}{error}") from error
        dhcp_ddns = in_new_spelling(dhcp_ddns)
        self._log.configure(loggers)
        self._announce("update", dhcp_ddns)
        try:
            config = self._parse(dhcp_ddns)
        except ConfigParserError as error:
            self._log.emit("DCTL_PARSER_FAIL", error)
            raise
        except ConfigError as error:
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", error)
            raise
        with ExitStack() as undo:
            chain = self._replace_libraries(config)
            undo.callback(self._take_back_libraries, chain)
            channel = self._open_channel(config)
            undo.callback(self._take_back_channel, channel)
            self._claim_queue(config)
            undo.callback(self._queue.unclaim)
            self._log.emit("DCTL_CONFIG_COMPLETE", config.summary())
            filled = with_defaults(dhcp_ddns)
            accepted, text = chain.configured(config, filled, self._loop)
            if not accepted:
                raise RefusedConfigError(text or _PARSING_FAILED + _NO_TEXT)
            in_force = self._as_changed(chain, config)
            undo.pop_all()
        replaced, self.channel = self.channel, channel
        if replaced is not None and replaced is not channel:
            replaced.close()
        self.config, self.chain, self._applied = in_force, chain, (config, filled)
        self._commit(in_force, chain, restored=False)

    def _as_changed(self, chain: Chain, config: Config) -> Config:
        """Return the configuration as libraries want it. Raises ConfigError when that is none.

        A library compiled for Kea may change Kea's objects, which are what Kea works by.
        """
        changed = chain.changed_config()
        if changed is None:
            return config
        chain.take_changed(changed)
        if changed.loggers != config.loggers:
            self._log.configure(changed.loggers)
        return changed

    def _replace_libraries(self, config: Config) -> Chain:
        """Unload the libraries in force and load the new ones; always, as Kea, also if they are the same."""
        self.chain.unload()
        try:
            return load_chain(config.hooks_libraries, self._log, commands=self._commands)
        except HookError as error:
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", error)
            self._restore_libraries()
            raise

    def _take_back_libraries(self, chain: Chain) -> None:
        """Undo _replace_libraries; at start, when no libraries were there before, ``unload`` does."""
        if self.config is None:
            self.chain = chain
            return
        chain.unload()
        self._restore_libraries()

    def _restore_libraries(self) -> None:
        """Load the libraries of the configuration in force again and tell them of it."""
        if self.config is None or self._applied is None or not self.config.hooks_libraries:
            self.chain = load_chain((), self._log)
        else:
            try:
                self.chain = load_chain(self.config.hooks_libraries, self._log, commands=self._commands)
            except HookError:  # logged; they have been loaded before, but files change
                self.chain = load_chain((), self._log)
            config, filled = self._applied
            self.chain.configured(config, filled, self._loop)
            with suppress(ConfigError):  # it was good before
                self.config = self._as_changed(self.chain, config)
        if self.config is not None:
            self._commit(self.config, self.chain, restored=True)

    def _open_channel(self, config: Config) -> ControlChannel | None:
        """Open the channel of a configuration beside the present one; return that if nothing changes."""
        wanted = config.control_socket
        present = self.config.control_socket if self.config is not None else None
        if wanted is None:
            return None
        if present is not None and wanted.element.plain() == present.element.plain():
            return self.channel
        channel = ControlChannel(
            self._loop, wanted, self._directories, self._new_session, self._log, written=self._log.flush
        )
        try:
            channel.open(self.channel)
        except (ConfigError, ElementTypeError) as error:
            self._log.emit("DCTL_PARSER_FAIL", error)
            raise
        return channel

    def _claim_queue(self, config: Config) -> None:
        queue = config.switches.queue
        try:
            self._queue.claim(queue)
        except InUseError as error:
            fault = ConfigError(f"{error} ({queue.position})")
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", fault)
            raise fault from error

    def _take_back_channel(self, channel: ControlChannel | None) -> None:
        """Undo _open_channel."""
        if channel is None or channel is self.channel:
            return
        if self.channel is not None and self.channel.path == channel.path:
            self.channel.open(channel)
        channel.close()

"""Takes a configuration from its text to being in force, step by step in Kea's order, or not at all.

Contract, section 2.5. Where Kea leaves a half-changed server behind (a failed load of hook libraries, a
refused configuration that stays active, a control channel lost to a bad new one), pyd2 returns to the
whole old configuration (docs/differences.md, 13, 18 and "Hooks").
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from pyd2.config.lexer import read_config_file, read_first_config_file
from pyd2.config.loggers import check_sizes, in_new_spelling, parse_loggers
from pyd2.config.model import UnixSocket
from pyd2.config.parse import DEFAULT_SUMMARY, parse_element, read_file
from pyd2.config.redact import redact
from pyd2.data.text import to_text
from pyd2.disposal import Disposal
from pyd2.errors import (
    ConfigError,
    ConfigParserError,
    ConfigSyntaxError,
    ElementTypeError,
    HookError,
    SocketError,
)
from pyd2.hooks.choice import check_libraries, load_chain
from pyd2.interpreter import no_collection
from pyd2.queue.interface import InUseError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from pyd2.config.model import Config
    from pyd2.config.paths import Directories
    from pyd2.config.switches import QueueSwitches
    from pyd2.data.element import Element
    from pyd2.hooks.interface import Chain, ServerCommands
    from pyd2.metrics.reading import ConfigReading
    from pyd2.net.control import ControlChannels
    from pyd2.observe.log import MessageLog
    from pyd2.profiles.profile import Profile

_PARSING_FAILED = "Configuration parsing failed: "
_NO_TEXT = "Text has to be provided for status_code != 0"


class Applied(Protocol):
    """Puts a configuration into effect."""

    def __call__(self, config: Config, chain: Chain, *, restored: bool) -> None:
        """Work by the configuration and its hook libraries from now on. Raises nothing.

        ``restored``: the configuration is that of before, and only its libraries have been loaded again.
        """


class QueueClaims(Protocol):
    """Keeps other processes from the directory of the durable queue."""

    def claim(self, queue: QueueSwitches) -> None:
        """Lock the directory that a configuration asks for. Raises InUseError."""

    def unclaim(self) -> None:
        """Take back ``claim``."""


class RefusedConfigError(ConfigError):
    """A hook library refused the configuration."""


class Checker:
    """Reads and checks configurations; changes nothing. Enough for ``-t`` and ``config-test``."""

    def __init__(
        self, profile: Profile, log: MessageLog, directories: Directories, *, verbose: bool
    ) -> None:
        self._profile = profile
        self._log = log
        self._directories = directories
        self._verbose = verbose

    def read(self, path: str, *, first: bool = True) -> Element:
        """Return the DhcpDdns map of a file. Raises ConfigSyntaxError.

        ``first``: at the start of a program, where the file may be a pipe. A running daemon waits for none.
        """
        read = read_first_config_file if first else read_config_file
        return read_file(path, self._profile.config, notify=self._log.emit, read=read)

    def check(self, dhcp_ddns: Element) -> None:
        """Check a configuration and log the outcome. Raises ConfigError."""
        self._announce("check", dhcp_ddns)
        try:
            config, filled = self._parse(dhcp_ddns)
            self.discard(dhcp_ddns, config, filled)
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

    def hint(self, path: str) -> str:
        """Return and log what to do if another Kea accepts a file that was refused; else nothing."""
        from pyd2.profiles.other import hint

        text = hint(self._profile, path, self._directories)
        if text:
            self._log.emit("PYD2_CONFIG_OF_OTHER_KEA", text)
        return text

    def _check_socket(self, config: Config) -> None:
        """Check that a UNIX socket could be opened. Raises ConfigParserError, as the start would."""
        if not any(isinstance(socket, UnixSocket) for socket in config.control_sockets):
            return
        try:
            self._profile.config.sockets.unix.check_directory(self._directories.sockets, must_exist=False)
        except ConfigError as error:
            raise ConfigParserError(str(error)) from None

    def _announce(self, purpose: str, dhcp_ddns: Element) -> None:
        on = self._log.on
        if "DHCP_DDNS_CONFIGURE" in on or "DCTL_CONFIG_START" in on:
            shown = to_text(redact(dhcp_ddns))
            self._log.emit("DHCP_DDNS_CONFIGURE", purpose, shown)
            self._log.emit("DCTL_CONFIG_START", shown)

    def _parse(self, dhcp_ddns: Element) -> tuple[Config, Element]:
        """Return the configuration of a DhcpDdns map, and the map with its defaults."""
        filled: list[Element] = []
        try:
            config = parse_element(
                dhcp_ddns,
                self._profile.config,
                self._directories,
                verbose=self._verbose,
                notify=self._log.emit,
                validate_libraries=lambda entries: check_libraries(entries, self._log, self._profile.hooks),
                on_filled=filled.append,
            )
        except BaseException:
            self.discard(*filled)
            raise
        return config, filled[0]

    def discard(self, *wholes: Element | Config | None) -> None:
        """Do nothing: a program that only checks ends soon, and frees all then."""


class Configurator(Checker):
    """Holds what is in force: a configuration, its hook libraries and control channels; and replaces it.

    ``commit`` is called at each change; ``commands`` are the server's own, which libraries may run.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        profile: Profile,
        log: MessageLog,
        directories: Directories,
        channels: ControlChannels,
        queue: QueueClaims,
        commit: Applied,
        commands: ServerCommands,
        *,
        verbose: bool,
    ) -> None:
        super().__init__(profile, log, directories, verbose=verbose)
        self._loop = loop
        self._channels = channels
        self._disposal = Disposal(loop)
        self._queue = queue
        self._commit = commit
        self._commands = commands
        self._applied: tuple[Config, Element] | None = None
        """The configuration in force as libraries get it: the object, and its map with all defaults."""
        self.config: Config | None = None
        self._successful = True
        """Whether the last configuration that was to be applied is in force."""
        self._applied_at = 0.0
        """When the configuration in force was applied, in seconds since the epoch."""
        self.chain: Chain = load_chain((), log)

    def reading(self) -> ConfigReading:
        """Return the configuration in force, for metrics and the web page."""
        from pyd2.metrics.reading import ConfigReading

        assert self.config is not None
        return ConfigReading(self._applied_at, self._successful, self.config)

    def reload(self, path: str) -> None:
        """Apply a file. Raises Pyd2Error; nothing has changed then."""
        with self._old_log_at_failure(), no_collection():
            try:
                dhcp_ddns = self.read(path, first=self.config is None)
            except ConfigSyntaxError as error:
                raise ConfigError(f"{_PARSING_FAILED}{error}") from error
            self._apply(dhcp_ddns)

    def apply(self, dhcp_ddns: Element) -> None:
        """Apply a DhcpDdns map. Raises Pyd2Error; nothing has changed then."""
        with self._old_log_at_failure(), no_collection():
            self._apply(dhcp_ddns)

    def discard(self, *wholes: Element | Config | None) -> None:
        """Free these a part at a time, as soon as nothing else refers to them."""
        self._disposal.add(*wholes)

    def unload(self) -> None:
        """Unload the hook libraries, the last step of the daemon's life."""
        self.chain.unload()

    @contextmanager
    def _old_log_at_failure(self) -> Iterator[None]:
        """Log as before when a configuration fails; at start, as for an empty configuration.

        One that libraries refuse at start has been complete, so its own loggers log that, as in Kea.
        """
        self._successful = False
        try:
            yield
            self._successful = True
        except BaseException as error:
            if self.config is None and isinstance(error, RefusedConfigError):
                raise
            self._log.configure(self.config.loggers if self.config is not None else ())
            raise

    def _apply(self, dhcp_ddns: Element) -> None:
        try:
            # The new loggers come first, so that they report what is wrong with the rest. As in Kea, parsing
            # the rest parses them again: an unknown severity is logged twice.
            loggers = parse_loggers(dhcp_ddns, self._directories, self._log.emit, verbose=self._verbose)
            check_sizes(loggers)
        except ConfigParserError as error:
            raise ConfigError(f"{_PARSING_FAILED}{error}") from error
        self.discard(dhcp_ddns)
        dhcp_ddns = in_new_spelling(dhcp_ddns)
        self._log.configure(loggers)
        self._announce("update", dhcp_ddns)
        try:
            config, filled = self._parse(dhcp_ddns)
        except ConfigParserError as error:
            self._log.emit("DCTL_PARSER_FAIL", error)
            raise
        except ConfigError as error:
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", error)
            raise
        with ExitStack() as undo:
            undo.callback(self.discard, config, filled)
            chain = self._replace_libraries(config)
            undo.callback(self._take_back_libraries, chain)
            self._open_channels(config)
            undo.callback(self._channels.roll_back)
            self._claim_queue(config)
            undo.callback(self._queue.unclaim)
            self._log.emit("DCTL_CONFIG_COMPLETE", config.summary())
            accepted, text = chain.configured(config, filled, self._loop)
            if not accepted:
                raise RefusedConfigError(text or _PARSING_FAILED + _NO_TEXT)
            in_force = self._as_changed(chain, config)
            undo.pop_all()
        self._channels.commit()
        self.discard(self.config, *(self._applied or ()))
        self.config, self.chain, self._applied = in_force, chain, (config, filled)
        self._applied_at = time.time()
        self._commit(in_force, chain, restored=False)

    def _as_changed(self, chain: Chain, config: Config) -> Config:
        """Return the configuration as libraries want it. Raises ConfigError when that is none.

        A library compiled for Kea may change Kea's objects, which are what Kea works by.
        """
        changed = chain.changed_config()
        if changed is None:
            return config
        chain.adopt_changed(changed)
        if changed.loggers != config.loggers:
            self._log.configure(changed.loggers)
        return changed

    def _replace_libraries(self, config: Config) -> Chain:
        """Unload the libraries in force and load the new ones; always, as Kea, also if they are the same."""
        self.chain.unload()
        try:
            return self._load_chain(config)
        except HookError as error:
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", error)
            self._restore_libraries()
            raise

    def _load_chain(self, config: Config) -> Chain:
        rules = self._profile.hooks
        return load_chain(config.hooks_libraries, self._log, commands=self._commands, rules=rules)

    def _take_back_libraries(self, chain: Chain) -> None:
        """Undo _replace_libraries; at start, when no libraries were there before, ``unload`` does."""
        if self.config is None:
            self.chain = chain
            return
        chain.unload()
        self._restore_libraries()

    def _restore_libraries(self) -> None:
        """Load the libraries of the configuration in force again and give it to them."""
        if self.config is None or self._applied is None or not self.config.hooks_libraries:
            self.chain = load_chain((), self._log)
        else:
            try:
                self.chain = self._load_chain(self.config)
            except HookError:  # logged; they have been loaded before, but files change
                self.chain = load_chain((), self._log)
            config, filled = self._applied
            self.chain.configured(config, filled, self._loop)
            with suppress(ConfigError):  # it was good before
                self.config = self._as_changed(self.chain, config)
        if self.config is not None:
            self._commit(self.config, self.chain, restored=True)

    def _open_channels(self, config: Config) -> None:
        """Open the control channels of a configuration beside those that are open."""
        try:
            self._channels.prepare(config.control_sockets)
        except (ConfigError, ElementTypeError) as error:
            self._log.emit("DCTL_PARSER_FAIL", error)
            raise SocketError(str(error)) from error

    def _claim_queue(self, config: Config) -> None:
        queue = config.switches.queue
        try:
            self._queue.claim(queue)
        except InUseError as error:
            fault = ConfigError(f"{error} ({queue.position})")
            self._log.emit("DHCP_DDNS_CONFIG_FAIL", fault)
            raise fault from error

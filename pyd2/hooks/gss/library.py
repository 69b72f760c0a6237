"""GSS-TSIG as a hook library that is part of pyd2: its callouts at Kea's hook points."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

from pyd2.errors import ConfigError, ElementTypeError, HookError
from pyd2.hooks.gss.commands import Commands
from pyd2.hooks.gss.gssapi import GssError, library
from pyd2.hooks.gss.manager import Left, Manager
from pyd2.hooks.gss.messages import GssLog
from pyd2.hooks.gss.parameters import parse_parameters
from pyd2.hooks.points import VERSION, Status
from pyd2.update.drive.server_choice import KeySource, Selection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.config.model import Config, DnsServer
    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.gss.messages import ServerLog
    from pyd2.hooks.handle import CalloutHandle, LibraryHandle
    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log

_FAILED: Final = 1
"""What a callout and ``load`` return in Kea when they have logged why they fail."""

_left: Left = {}
"""The keys of the library that was unloaded last, for the one that is loaded in its place: so a new
configuration loses no update while its own keys are not there yet."""


class GssTsigLibrary(KeySource):
    """The library; a ``pyd2.hooks.library.Library``.

    While no other library chooses keys, the update thread asks it itself.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log: GssLog | None = None
        self._manager: Manager | None = None
        self._chooser: Manager | None = None
        """What chooses keys: the manager, and when that is unloaded as it was then."""

    @property
    def logs_each(self) -> bool:
        """See KeySource."""
        return self._log is not None and self._log.debug

    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        """Return the server's newest key; without one, skip the server or use the configured key."""
        return self._choose(server, key, here=True)

    def _choose(self, server: DnsServer, key: SigningKey | None, *, here: bool) -> Selection:
        if self._chooser is None:
            return Selection(key)
        found = self._chooser.find(server, here=here)
        if found.key is not None:
            return Selection(found.key)
        return Selection(key, found.ring is not None and not found.ring.server.fallback)

    def function(self, name: str) -> Callable[..., object] | None:
        """Return a function of the library, None when it has none of that name."""
        functions: dict[str, Callable[..., object]] = {
            "version": lambda: VERSION, "load": self._load, "unload": self._unload,
            "command_processed": _command_processed, "d2_srv_configured": self._configured,
            "select_key": self._select_key,
        }
        return functions.get(name)

    def wrong_version(self, _version: object, _rules: HookRules) -> None:
        """Return None: it fits."""

    def attach(self, loop: asyncio.AbstractEventLoop, _log: Log) -> None:
        """Use this loop for timers."""
        self._loop = loop

    def close(self) -> None:
        """Do nothing: ``unload`` has ended it."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Add its statistics to those of the server."""
        if self._manager is not None:
            statistics.providers.append(self._manager.statistics)
            self._manager.on_removed = statistics.forget_library_key

    def _load(self, handle: LibraryHandle) -> int:
        log = self._log = GssLog(cast("ServerLog", handle.log.server))
        log.server.emit("PYD2_GSS_TSIG_BUILTIN")
        try:
            library()
            raw = handle.raw_parameters()
            parameters = parse_parameters(None if raw.value is None else raw)
        except (ConfigError, ElementTypeError, GssError) as error:
            log.emit("GSS_TSIG_LOAD_FAILED", error)
            return _FAILED
        manager = self._manager = self._chooser = Manager(parameters, log)
        manager.take_over(_left)
        for name, callout in Commands(manager, time.time).table().items():
            handle.register_command(name, callout)
        log.emit("GSS_TSIG_LOAD_OK")
        return 0

    def _unload(self) -> int:
        manager, self._manager = self._manager, None
        if manager is not None:
            left = manager.stop()
            _left.clear()
            _left.update(left)
        if self._log is not None:
            self._log.emit("GSS_TSIG_UNLOAD_OK")
        return 0

    def _configured(self, handle: CalloutHandle) -> int:
        """Find the servers that are meant, and begin; refuse the configuration if it does not have them."""
        manager = self._manager
        if handle.status is not Status.CONTINUE or manager is None:
            return 0
        try:
            manager.match(cast("Config", handle.get_argument("server_config")))
        except HookError as error:
            handle.set_argument("error", f"gss_tsig config mismatch: {error}")
            handle.status = Status.DROP
            return _FAILED
        if self._loop is not None:
            self._loop.call_soon(self._start, manager)
        return 0

    def _start(self, manager: Manager) -> None:
        if manager is self._manager and self._loop is not None:
            manager.start(self._loop)

    def _select_key(self, handle: CalloutHandle) -> None:
        """See ``__call__``; as a callout, on the main thread."""
        if handle.status is not Status.CONTINUE or self._manager is None:
            return
        given = cast("SigningKey | None", handle.get_argument("tsig_key"))
        server = cast("DnsServer", handle.get_argument("current_server"))
        selection = self._choose(server, given, here=False)
        if selection.skip:
            handle.status = Status.SKIP
        elif selection.key is not given:
            handle.set_argument("tsig_key", selection.key)


def _command_processed(handle: CalloutHandle) -> None:
    """Say in the answer to status-get that there is GSS-TSIG."""
    if handle.get_argument("name") != "status-get":
        return
    response = handle.get_argument("response")
    if isinstance(response, dict) and isinstance(response.get("arguments"), dict):
        response["arguments"]["gss-tsig"] = True
        handle.set_argument("response", response)

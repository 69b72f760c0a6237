"""A chain through Kea's own HooksManager, of libraries compiled for Kea, in Python and in plain C.

It is a ``pyd2.hooks.interface.Chain``. There is at most one at a time, and only the hook thread uses it
(contract, section 7).
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakSet

from pyd2.config.hooks_libraries import GSS_TSIG, PYTHON_PREFIX
from pyd2.errors import BridgeError, HookError
from pyd2.hooks.hook_thread import hook_thread
from pyd2.hooks.interface import FAILED
from pyd2.hooks.kea import callbacks
from pyd2.hooks.kea import log as kea_log
from pyd2.hooks.kea.arguments import Arguments
from pyd2.hooks.kea.changed_config import changed
from pyd2.hooks.kea.http import KeaHttpUse
from pyd2.hooks.kea.io_pump import Pump
from pyd2.hooks.kea.keys import Keys
from pyd2.hooks.kea.loaded import lib
from pyd2.hooks.kea.servers import Servers, with_loaded_libraries
from pyd2.hooks.kea.slots import Slot
from pyd2.hooks.kea.start import shim
from pyd2.hooks.kea.statistics import KeaStatistics
from pyd2.hooks.library import is_for_kea
from pyd2.hooks.points import RULES, HookRules, Status
from pyd2.hooks.release import free_closed
from pyd2.update.drive.server_choice import Selection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.config.model import Config, DnsServer, HookLibrary
    from pyd2.data.element import Element
    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.interface import ServerCommands, Statistics
    from pyd2.hooks.kea.bridge import CData
    from pyd2.hooks.kea.log import ServerLog
    from pyd2.messages import Log
    from pyd2.update.drive.server_choice import SelectKey

# Messages of Kea on a slot that the slot's own code has logged already, with the true reason.
_LOGGED_BY_SLOTS: Final = frozenset({
    "HOOKS_INCORRECT_VERSION", "HOOKS_LIBRARY_VERSION", "HOOKS_LOAD_ERROR", "HOOKS_LOAD_EXCEPTION",
    "HOOKS_LOAD_FRAMEWORK_EXCEPTION", "HOOKS_LOAD_SUCCESS", "HOOKS_UNLOAD_ERROR", "HOOKS_UNLOAD_EXCEPTION",
    "HOOKS_UNLOAD_FRAMEWORK_EXCEPTION", "HOOKS_UNLOAD_SUCCESS", "HOOKS_VERSION_EXCEPTION",
})

# In messages on callouts, the places of library index, hook, address and duration among the arguments.
_CALLOUT_MESSAGES: Final = {
    "HOOKS_CALLOUT_CALLED": (0, 1, 2, 3),
    "HOOKS_CALLOUT_ERROR": (1, 0, 2, 3),
    "HOOKS_CALLOUT_EXCEPTION": (1, 0, 2, 4),
}


_RELOADING: Final = frozenset({"config-reload", "config-set"})
_OTHER_KEY: Final[int] = lib.KB_OTHER_KEY
_SKIP: Final[int] = lib.KB_SKIP


class KeaChain:
    """The libraries in Kea's HooksManager; a ``Chain``."""

    def __init__(
        self, entries: Sequence[HookLibrary], log: Log, clock: Callable[[], int] = perf_counter_ns, *,
        commands: ServerCommands | None = None, rules: HookRules = RULES,
    ) -> None:
        """Load the libraries in order; ``clock`` gives nanoseconds, ``commands`` are the server's own.

        Raises HookError with the reason when one fails to load, then none is loaded; BridgeError when the
        bridge does not work here.
        """
        self._log = cast("ServerLog", log)
        self._commands = commands
        self._shim = shim(rules.version)
        self._keys = Keys(self._shim)
        self._servers = Servers(self._shim)
        self.config: Config | None = None
        self.io_context: object = None
        self._context: CData = None
        self._changed: Element | None = None
        self._pump: Pump | None = None
        self._statistics: KeaStatistics | None = None
        self._other_key = self._shim.ffi.new("uintptr_t *")
        self.server: Callable[[int], DnsServer] = self._servers.server
        """Returns the server of a C++ object; HookError when it is unknown."""
        arguments = Arguments(self._shim, self._keys, self)
        self._http_uses: WeakSet[KeaHttpUse] = WeakSet()
        self._links = ""
        self._unopened: set[str] = set()
        self._compiled = any(is_for_kea(entry.library) for entry in entries)
        self._slots = {
            index: Slot(self._shim, arguments, entry, index, log, clock, rules)
            for index, entry in enumerate(entries, start=1)
            if not is_for_kea(entry.library)
        }
        self._numbers = {
            hex(self._shim.lib.kb_callout_address(number)): number
            for number in range(self._shim.lib.KB_MOST_CALLOUTS)
        }
        self._loaded = False
        callbacks.serve(self)
        self._log.followers.append(self._follow_levels)
        try:
            self._follow_levels()
            self._offer_commands()
            self._load(entries)
        except BaseException:
            self._forget()
            raise

    def _load(self, entries: Sequence[HookLibrary]) -> None:
        ffi, lib = self._shim.ffi, self._shim.lib
        module = self._shim.text(lib.kb_module_path())
        # Kea's messages name a library by its path: so each slot gets a link whose name ends like its entry.
        with self._shim.links() as directory:
            self._links = directory
            listed = ffi.new("kb_entry[]", len(entries))
            alive = []
            for index, entry in enumerate(entries):
                slot = index + 1 in self._slots
                path = self._link(module, entry.library) if slot else entry.library
                text = ffi.new("char[]", os.fsencode(path))
                parameters = self._shim.element(entry.parameters)
                alive.append((text, parameters))
                listed[index].path = text
                listed[index].parameters = parameters
                listed[index].slot = slot
            failed = self._shim.check(lib.kb_load(listed, len(entries)))
        if failed:
            raise HookError(FAILED)
        self._loaded = True

    def _link(self, module: str, library: str) -> str:
        link = Path(f"{self._links}/{library.lstrip('/')}")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(module)
        return str(link)

    # select_key.

    @property
    def select_key(self) -> SelectKey | None:
        """Chooses the key for a server, or skips the server; None when no library has such a callout.

        A compiled library may register one at any time, so with such a library this is never None.
        """
        return self._select_key if self._compiled or self._present("select_key") else None

    def _present(self, hook: str) -> bool:
        return self._shim.check(self._shim.lib.kb_callouts_present(hook.encode())) > 0

    def _select_key(self, server: DnsServer, key: SigningKey | None) -> Selection:
        shim, keys = self._shim, self._keys
        handles = self._servers.of(server)
        if key is None:
            given = shim.ffi.NULL
        else:
            given = keys.kept(key)
            if given is None:
                if handles.key:  # the configured key, whose object libraries have seen
                    keys.keep(key, handles.key)
                given = keys.handle_of(key)
        decided = shim.lib.kb_select_key(handles.handle, given, self._other_key)
        if decided < 0:
            raise HookError(str(shim.error()))
        self._done()
        if decided == _OTHER_KEY:
            key = keys.key_of(self._other_key[0], shim.lib.kb_selected_key)
        return Selection(key, decided == _SKIP)

    # Commands.

    def _offer_commands(self) -> None:
        if self._commands is not None:
            names = "".join(f"{name}\n" for name in self._commands.names)
            with callbacks.logging_to(lambda *_: None):  # the server has logged the registration
                self._shim.check(self._shim.lib.kb_commands_offer(names.encode()))

    def run_server_command(self, name: str, arguments: Element | None) -> Element:
        """Run one of the server's own commands for a library."""
        if self._commands is None or name in _RELOADING:
            raise HookError(f"a hook library cannot run {name}: it would be unloaded meanwhile")
        return self._commands.run(name, arguments)

    def commands(self) -> list[str]:
        """Return the names of the commands that libraries answer, sorted."""
        return self._shim.text(self._shim.lib.kb_command_names()).split("\n")[:-1]

    def has_command(self, name: str) -> bool:
        """Say whether a library answers a command; ``-`` and ``_`` are the same in its name."""
        text = self._shim.bytes(name)
        return b"\0" not in text and self._shim.check(self._shim.lib.kb_command_present(text)) > 0

    def run_command(self, name: str, request: Element) -> Element | None:
        """Run the callouts of a command that libraries registered; return their answer, None to send none."""
        self._update_statistics()
        response = self._shim.ffi.new("kb_element **")
        element = self._shim.element(request)
        self._shim.check(self._shim.lib.kb_command_run(self._shim.bytes(name), element, response))
        answer = self._shim.value(response[0])
        self._done()
        return answer

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,
    ) -> Element | None:
        """Run command_processed for a command and its answer; return the answer to send, None for none."""
        if not self._present("command_processed"):
            return response
        given = self._shim.element(response)
        left = self._shim.ffi.new("kb_element **", given)
        self._shim.check(self._shim.lib.kb_command_processed(
            self._shim.bytes(name), self._shim.element(arguments), left))
        answer = self._shim.value(left[0])
        self._done()
        return answer

    def http_use(self) -> KeaHttpUse | None:
        """Begin the use for a request over HTTP; None when no library has a callout for one."""
        if not (self._present("http_auth") or self._present("http_response")):
            return None
        use = KeaHttpUse(self._shim, self._done)
        self._http_uses.add(use)
        return use

    # d2_srv_configured.

    def configured(self, config: Config, element: Element, io_context: object = None) -> tuple[bool, str]:
        """Run d2_srv_configured; False and the reason, maybe empty, if a library refuses it."""
        shim, lib = self._shim, self._shim.lib
        parsed = shim.element(with_loaded_libraries(element, config))
        try:
            context = shim.own(lib.kb_config_parse(parsed), lib.kb_config_free)
        except BridgeError as error:
            return False, f"Kea's parser refuses the configuration: {error}"
        self.config, self.io_context, self._context = config, io_context, context
        self._servers.replace(config, context)
        if io_context is not None:
            for slot in self._slots.values():
                slot.attach(cast("asyncio.AbstractEventLoop", io_context))
        status, text, made = shim.ffi.new("int *"), shim.ffi.new("char **"), shim.ffi.new("kb_element **")
        try:
            shim.check(lib.kb_configured(shim.element(element), context, status, text, made))
            self._changed = shim.value(made[0])
            error_text = shim.text(text[0])
            refused = status[0] == Status.DROP
            if refused:
                self._log.emit("DHCP_DDNS_CONFIGURED_CALLOUT_DROP", error_text)
        finally:
            lib.kb_configured_end()
        self._done()
        if refused:
            return False, error_text
        # Work that libraries postponed until the configuration is complete runs now, as in Kea.
        if lib.kb_io_poll_registered() < 0:
            return False, f"Error initializing hooks: {shim.error()}"
        self._start_pump()
        return True, ""

    def changed_config(self) -> Config | None:
        """Return the configuration as libraries changed it in d2_srv_configured; None: they did not."""
        assert self.config is not None
        return None if self._changed is None else changed(self.config, self._changed)

    def adopt_changed(self, config: Config) -> None:
        """Use the changed configuration from now on."""
        self.config = config
        self._servers.replace(config, self._context)

    def _start_pump(self) -> None:
        if self.io_context is not None and self._compiled and self._pump is None:
            loop = cast("asyncio.AbstractEventLoop", self.io_context)
            self._pump = Pump(self._shim, loop, self._report_handler, self._do_regular_work)

    def _do_regular_work(self) -> None:
        """Do what is due regularly, whether libraries ran or not."""
        self._collect_log()
        self._shim.free_deferred()
        self._keys.forget_unused()
        self._update_statistics()

    def share_statistics(self, statistics: Statistics) -> None:
        """Connect the server's statistics and those of libraries, both ways."""
        self._statistics = KeaStatistics(self._shim, statistics, self._keys.forget_unused)
        self._statistics.update()
        statistics.providers.append(self._statistics)
        for slot in self._slots.values():
            slot.share_statistics(statistics)

    def _update_statistics(self) -> None:
        if self._statistics is not None:
            self._statistics.update()

    def _report_handler(self, text: str) -> None:
        self._log.emit("PYD2_HOOK_IO_ERROR", text)

    # The end.

    def unload(self) -> None:
        """Unload all libraries, the last first. The chain is empty then; faults are only logged."""
        if self._pump is not None:
            self._pump.stop()
            self._pump = None
        if not self._loaded:
            return
        self._loaded = False
        for use in list(self._http_uses):
            use.unload()
        # Free unused objects of the libraries before these are unloaded: all others keep them mapped.
        hook_thread.run_posted()
        self._keys.clear()
        self._servers.clear()
        self._context = None
        if self._shim.check(self._shim.lib.kb_unload()):
            self._log.emit("DCTL_UNLOAD_LIBRARIES_ERROR", "a callout is still running")
        self._forget()

    def _forget(self) -> None:
        self._keys.clear()
        for slot in self._slots.values():
            slot.close()
        self._collect_log()
        self._log.followers.remove(self._follow_levels)
        callbacks.serve(None)
        free_closed()

    # For the callbacks.

    def open_slot(self, slot: int) -> bool:
        """Open a library and check its version; a fault is logged."""
        opened = self._slots[slot].open()
        if not opened and not self._slots[slot].found:
            self._unopened.add(self._slots[slot].entry.library)
        return opened

    def load_slot(self, slot: int, library: CData) -> bool:
        """Load the library; a fault is logged."""
        return self._slots[slot].load(library)

    def unload_slot(self, slot: int) -> None:
        """Unload the library; a fault is logged."""
        self._slots[slot].unload()

    def run_callout(self, slot: int, hook: int, number: int, handle: CData) -> bool:
        """Run a callout; False when it returned an error. Raises what it raises."""
        return self._slots[slot].run(hook, number, handle)

    def _done(self) -> None:
        """Do what is due after each run of libraries."""
        self._shim.free_deferred()
        if self._pump is not None:
            self._pump.wake()

    # The log.

    def _follow_levels(self) -> None:
        kea_log.follow_levels(self._shim, self._log)

    def _collect_log(self) -> None:
        lost = self._shim.lib.kb_log_collect()
        if lost:
            self._log.emit("PYD2_HOOK_MESSAGES_LOST", lost)

    def write_log(self, severity: int, logger: str, text: str) -> None:
        """Write a message of Kea or of a compiled library."""
        of_slot = bool(self._links) and self._links in text
        if of_slot:
            for name in (PYTHON_PREFIX, GSS_TSIG):
                text = text.replace(f"{self._links}/{name}", name)
            text = text.replace(self._links, "")
        message = kea_log.parse(self._log.messages, severity, logger, text)
        if message is None:
            kea_log.write(self._log, severity, logger, text)
            return
        message_id, arguments = message
        if of_slot and message_id in _LOGGED_BY_SLOTS:
            return
        if of_slot and message_id == "HOOKS_LIBRARY_CLOSED" and arguments[0] in self._unopened:
            self._unopened.remove(arguments[0])
            return
        if message_id in _CALLOUT_MESSAGES:
            arguments = self._in_words_of_slot(message_id, arguments)
        self._log.emit(message_id, *arguments)

    def _in_words_of_slot(self, message_id: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Put the place and duration that the slot knows into the arguments of a message on its callout."""
        index, hook, address, took = _CALLOUT_MESSAGES[message_id]
        if not arguments[index].isdecimal():  # a library's own message
            return arguments
        slot = self._slots.get(int(arguments[index]))
        number = self._numbers.get(arguments[address])
        if slot is None or number is None:
            return arguments
        changed = list(arguments)
        changed[address] = slot.place(arguments[hook], number)
        changed[took] = slot.took_text()
        return tuple(changed)

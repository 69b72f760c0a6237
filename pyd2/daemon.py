"""The daemon: the one place where the parts are put together, started and stopped (contract, section 1).

``launch.py`` starts it as a process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING, Final

from pyd2 import __version__, interpreter, standard
from pyd2.backend import make_backend
from pyd2.captures import Captures
from pyd2.channels import ChannelMaker, offer_operations
from pyd2.config.addresses import SystemInterfaces
from pyd2.config.output import to_element, to_shown_element
from pyd2.config.paths import Directories
from pyd2.configurator import Configurator
from pyd2.control.commands import Commands, ShutdownType
from pyd2.control.registry import CommandRegistry
from pyd2.counters import Counters
from pyd2.data.element import from_plain
from pyd2.errors import ConfigError, Pyd2Error
from pyd2.hooks.hook_thread import hook_thread
from pyd2.net.control import ControlChannels
from pyd2.observe.statistics import Statistics
from pyd2.service import Service
from pyd2.update.drive.server_choice import KeySource, Selection

if TYPE_CHECKING:
    from pyd2.backend import Backend
    from pyd2.config.model import Config, DnsServer
    from pyd2.data.element import Element
    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.interface import Chain, HttpUse
    from pyd2.metrics.reading import Facts
    from pyd2.net.systemd import ServiceManager
    from pyd2.observe.log import MessageLog
    from pyd2.profiles.profile import Profile

APPLICATION: Final = "DhcpDdns"
"""Kea's name for the server in its messages."""

PACKET_LAYER: Final = "PYD2_PACKET_LAYER"
"""The environment variable that chooses the packet layer: ``compiled`` or ``plain``."""


class LaunchError(Exception):
    """The daemon cannot start; the text follows ``Service failed: ``, and the hint is on the next line."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def _choose_backend() -> Backend:
    """Return the back end that the environment asks for, else the best there is."""
    name = os.environ.get(PACKET_LAYER, "")
    try:
        return make_backend(name)
    except (ImportError, ValueError) as error:
        raise LaunchError(f"{PACKET_LAYER} is {name}: {error}") from error


class Daemon:
    """The running server; it is the ``Server`` of the commands."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        profile: Profile,
        config_file: str,
        log: MessageLog,
        manager: ServiceManager,
        *,
        verbose: bool,
    ) -> None:
        log.emit("DCTL_INIT_PROCESS", APPLICATION)
        self.version: Final = profile.release.version
        self.config_file: Final = config_file
        self._release = profile.release
        self._restricted = profile.config.paths.restricted
        self.exit_value = 0
        self._loop = loop
        self._log = log
        self._manager = manager
        counters = self._counters = Counters(time.time())
        backend = _choose_backend()
        self._packet_layer: Final = backend.packets.name
        backend.packets.interfaces = SystemInterfaces()
        self._packet_problem: Final = backend.packets.problem
        hook_thread.use_loop(loop)
        self._left = asyncio.Event()
        self._service = Service(loop, counters, log, backend, manager, self._report_fault, self._left.set)
        self._registry = CommandRegistry(log)
        if profile.commands.lists_early:
            self._registry.register_list()
        self._statistics = Statistics(counters, profile.statistics, time.time, self._service.consistently)
        self._commands = Commands(self, self._statistics, log, profile.commands)
        self._channels = ControlChannels(
            ChannelMaker(loop, log, self._process, self._http_use, self._facts, self._share_more),
            log,
        )
        directories = Directories.from_environment(os.environ, profile.config.paths)
        self._captures = Captures(self._registry, self._service, log, directories)
        self._configurator = Configurator(
            loop, profile, log, directories, self._channels, self._service, self._commit, self._commands,
            verbose=verbose,
        )
        self._started_at = self._applied_at = time.monotonic()
        self._serving = False
        self._leaving: ShutdownType | None = None
        log.emit("DCTL_STANDALONE", APPLICATION)

    # Its life.

    def start(self) -> None:
        """Start the update thread, read the configuration and put it in force. Raises LaunchError."""
        self._service.start()
        try:
            self._configurator.reload(self.config_file)
        except Pyd2Error as error:
            self._log.emit("DCTL_CONFIG_FILE_LOAD_FAIL", APPLICATION, error)
            hint = self._configurator.hint(self.config_file)
            self._configurator.unload()
            raise LaunchError(f"Could Not load configuration file: {error}", hint) from error
        self._started_at = time.monotonic()
        self._loop.set_exception_handler(self._report_fault)
        # uvloop forgets a signal that comes before it runs.
        signal.pthread_sigmask(signal.SIG_BLOCK, standard.SIGNALS)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_reload_signal)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_shutdown_signal, number)

    async def serve(self) -> None:
        """Work until the shutdown is complete."""
        standard.deliver_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, standard.SIGNALS)
        self._log.start_writer()
        self._log.emit("DCTL_RUN_PROCESS", APPLICATION)
        self._log.emit("DHCP_DDNS_STARTED", self.version)
        if not self._restricted:
            self._log.emit("DHCP_DDNS_SECURITY_CHECKS_DISABLED")
        if self._packet_problem:
            self._log.emit("PYD2_LIBCRYPTO_MISSING", self._packet_problem)
        self._commands.register(self._registry)
        self._serving = True
        self._listen()
        self._say_ready("")
        self._manager.watch(self._loop, self._service.when_alive)
        while not self._left.is_set():
            try:
                await self._left.wait()
            except asyncio.CancelledError:  # by a library that cancels all tasks that there are
                message = "the server's task was cancelled, most likely by a hook library; it continues"
                self._report_fault(self._loop, {"message": message})
        self._manager.stopping()
        self._service.stop_listening()
        self._captures.end("the server stops")
        self._channels.close()
        self._commands.deregister(self._registry)
        self._service.close()
        self._log.emit("DHCP_DDNS_RUN_EXIT")

    def end(self) -> None:
        """Unload the hook libraries, after the server's last message."""
        self._configurator.unload()
        self._service.log_end()

    def end_service(self) -> None:
        """End the update thread if it has not ended: the daemon could not start, or fails."""
        self._service.end()

    def _facts(self) -> Facts:
        """Return where metrics and the web page get their numbers."""
        import platform

        from pyd2.metrics.reading import Facts

        service = self._service
        build = (
            ("version", __version__), ("kea", self.version), ("packet_layer", self._packet_layer),
            ("python", platform.python_version()),
        )
        return Facts(
            self._counters, service.consistently, service.reading, self._configurator.reading,
            self._log.lines_lost, service.history, service.commit_seconds,
            self._statistics.of_gss, build, lambda: self.uptime,
            service.failures,
        )

    def _http_use(self) -> HttpUse | None:
        """Begin the use of hook libraries for a request over HTTP."""
        return self._configurator.chain.http_use()

    def _process(self, request: Element) -> Element | None:
        self._service.settle()
        self._share_more()
        return self._registry.process(request)

    def _share_more(self) -> None:
        """Give the update thread the interpreter sooner until this pass of the loop ends."""
        interpreter.share_more()
        self._loop.call_soon(interpreter.share)

    def _commit(self, config: Config, chain: Chain, *, restored: bool) -> None:
        self._registry.hooks = chain
        self._statistics.providers.clear()
        chain.share_statistics(self._statistics)
        self._captures.allow(allowed=config.switches.capture)
        select_key = chain.select_key
        asks_others = select_key is not None and not isinstance(select_key, KeySource)
        self._service.configure(config, self._select_key if asks_others else select_key)
        offer_operations(config, self._registry, self._service)
        if not restored:
            self._applied_at = time.monotonic()
            if self._serving:
                # On the next pass, as with Kea: the answer to the command goes out first.
                self._loop.call_soon(self._listen)

    def _select_key(self, server: DnsServer, key: SigningKey | None) -> Selection:
        """Ask the libraries that there are now: they may be others than when the question came up."""
        select_key = self._configurator.chain.select_key
        return Selection(key) if select_key is None else select_key(server, key)

    def _listen(self) -> None:
        config = self._configurator.config
        if self._leaving is None and config is not None:
            self._service.listen(config.ip_address, config.port)

    def _on_reload_signal(self) -> None:
        self._log.emit("DCTL_CFG_FILE_RELOAD_SIGNAL_RECVD", int(signal.SIGHUP), self.config_file)
        self._manager.reloading()
        self._share_more()
        failure = ""
        try:
            self._configurator.reload(self.config_file)
        except Pyd2Error as error:
            self._log.emit("DCTL_CFG_FILE_RELOAD_ERROR", error)
            self._configurator.hint(self.config_file)
            failure = f"; the reload failed: {error}"
        except Exception as error:  # the service manager must not wait for ever
            self._log.emit("PYD2_INTERNAL_ERROR", "reload", traceback.format_exc())
            failure = f"; the reload failed: internal error ({type(error).__name__}), see the log"
        # After what the new configuration has put off to the next pass, the change of the port above all.
        self._loop.call_soon(self._say_ready, failure)

    def _say_ready(self, remark: str) -> None:
        self._manager.ready(f"{self._service.state}{remark}")

    def _on_shutdown_signal(self, number: signal.Signals) -> None:
        self._log.emit("DCTL_SHUTDOWN_SIGNAL_RECVD", int(number))
        self._commands.shutdown(None)

    def _report_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Log an exception that no other part has caught; the server continues."""
        fault = context.get("exception")
        trace = "".join(traceback.format_exception(fault)) if isinstance(fault, BaseException) else ""
        self._log.emit("PYD2_INTERNAL_ERROR", context.get("message"), trace)

    # What the commands ask for.

    @property
    def extended_version(self) -> str:
        """The output of -V, without the last newline."""
        from pyd2 import report

        return report.version_report(self._release)

    @property
    def build_report(self) -> str:
        """The output of -W, with the last newline."""
        from pyd2 import report

        return report.build_report(self._release) + "\n"

    @property
    def uptime(self) -> int:
        """Seconds since the start."""
        return int(time.monotonic() - self._started_at)

    @property
    def since_reload(self) -> int:
        """Seconds since a configuration was last applied."""
        return int(time.monotonic() - self._applied_at)

    def extensions(self) -> Element | None:
        """Return the state of durable queue, retries and fail-over, as far as they are on."""
        status = self._service.status()
        return None if status is None else from_plain(status)

    def config(self, *, redacted: bool) -> Element:
        """Return the running configuration as a map with the member DhcpDdns."""
        config = self._configurator.config
        assert config is not None
        with interpreter.no_collection():
            whole = to_shown_element(config) if redacted else to_element(config)
            self._configurator.discard(whole)
        return whole

    def apply(self, config: Element) -> None:
        """Make the DhcpDdns map the running configuration. Raises Pyd2Error."""
        self._configurator.apply(config)

    def reload(self) -> None:
        """Read the configuration file and apply it. Raises Pyd2Error."""
        try:
            self._configurator.reload(self.config_file)
        except ConfigError:
            self._configurator.hint(self.config_file)
            raise

    def check(self, config: Element) -> None:
        """Check a DhcpDdns map and change nothing. Raises Pyd2Error."""
        self._configurator.check(config)

    def set_exit_value(self, value: int) -> None:
        """Set the exit status of the normal end; the low 8 bits count."""
        self.exit_value = value

    def begin_shutdown(self, kind: ShutdownType) -> None:
        """Begin to leave; called again, the kind changes."""
        self._leaving = kind
        self._loop.call_soon(self._shut_down)

    def cancel_shutdown(self) -> None:
        """Stay after all, if a shutdown is under way."""
        if self._leaving is not None and self._service.stay():
            self._leaving = None
            self._loop.call_soon(self._listen)

    def _shut_down(self) -> None:
        if self._leaving is not None:
            self._service.leave(self._leaving)

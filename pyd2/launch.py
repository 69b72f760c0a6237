"""Starts the daemon as a process and says how it ended; with ``-t`` checks a file (contract, section 1)."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import uvloop

from pyd2 import interpreter, standard
from pyd2.config.paths import Directories
from pyd2.configurator import Checker
from pyd2.control.registry import LIST_COMMANDS
from pyd2.daemon import APPLICATION, Daemon, LaunchError
from pyd2.data.controls import escaped
from pyd2.errors import ConfigError, ConfigSyntaxError
from pyd2.hooks.hook_thread import run_through
from pyd2.net.systemd import ServiceManager
from pyd2.observe.log import MessageLog
from pyd2.pidfile import AlreadyRunningError, PidFile, PidFileError, file_stem

if TYPE_CHECKING:
    from pyd2.profiles.profile import Profile


def run(profile: Profile, config_file: str, *, verbose: bool, remark: str = "") -> int:
    """Run the daemon until a signal or a command ends it; return the exit status.

    ``remark`` is logged at the start: what an operator should know of the choice of the profile.
    """
    log = MessageLog(profile.messages, profile.log, verbose=verbose)
    try:
        return _run(profile, config_file, log, remark, verbose=verbose)
    except LaunchError as error:
        log.flush()
        return _fail(f"Service failed: {error}", error.hint)
    finally:
        log.close()


def check(profile: Profile, config_file: str, *, verbose: bool) -> int:
    """Check a configuration file (``-t``); return the exit status."""
    interpreter.collect_less()
    log = MessageLog(profile.messages, profile.log, verbose=verbose, check_only=True)
    directories = Directories.from_environment(os.environ, profile.config.paths)
    checker = Checker(profile, log, directories, verbose=verbose)
    try:
        if not config_file:
            return _fail("JSON configuration file not specified")
        try:
            dhcp_ddns = checker.read(config_file)
        except ConfigSyntaxError as error:
            return _fail(f"Syntax check failed with: {error}", checker.hint(config_file))
        if verbose:
            _complain("Syntax check OK")
        log.emit("DCTL_INIT_PROCESS", APPLICATION)
        if profile.commands.lists_early:
            log.emit("COMMAND_REGISTERED", LIST_COMMANDS)
        try:
            checker.check(dhcp_ddns)
        except ConfigError as error:
            return _fail(f"Error encountered: {error}", checker.hint(config_file))
        return 0
    finally:
        log.close()


def _fail(text: str, hint: str = "") -> int:
    _complain(text)
    if hint:
        _complain(hint)
    return 1


def _complain(text: str) -> None:
    standard.write(standard.STDERR, f"{escaped(text)}\n")


def _raise_descriptor_limit() -> None:
    """Allow as many file descriptors as the system does: each DNS server takes some five, each client one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run(profile: Profile, config_file: str, log: MessageLog, remark: str, *, verbose: bool) -> int:
    manager = ServiceManager(os.environ, log)
    _raise_descriptor_limit()
    interpreter.collect_less()
    try:
        _check_file_name(config_file)
    except LaunchError as error:
        log.emit("DCTL_CONFIG_FILE_LOAD_FAIL", APPLICATION, error)
        raise LaunchError(f"Launch Failed: {error}") from error
    pid_file = PidFile(config_file)
    try:
        pid_file.create()
    except AlreadyRunningError as error:
        log.emit("DCTL_ALREADY_RUNNING", "kea-dhcp-ddns", error)
        raise LaunchError(f"Launch Failed: {error}") from error
    except PidFileError as error:
        log.emit("DCTL_PID_FILE_ERROR", APPLICATION, error)
        raise LaunchError(f"Launch failed: {error}") from error
    try:
        release = profile.release
        log.emit("DCTL_STARTING", APPLICATION, os.getpid(), release.version, release.package_type)
        if remark:
            log.emit("PYD2_KEA_UNKNOWN", remark)
        loop = uvloop.new_event_loop()
        try:
            daemon = Daemon(loop, profile, config_file, log, manager, verbose=verbose)
            try:
                daemon.start()
                run_through(loop, daemon.serve(), standard.SIGNALS)
            finally:
                daemon.end_service()
            log.emit("DCTL_SHUTDOWN", APPLICATION, os.getpid(), release.version)
            daemon.end()
        finally:
            # The loop gives the signals back to their default action, which would kill a finished server.
            signal.pthread_sigmask(signal.SIG_BLOCK, standard.SIGNALS)
            loop.close()
        return daemon.exit_value & 0xFF
    finally:
        pid_file.remove()


def _check_file_name(config_file: str) -> None:
    if not config_file:
        raise LaunchError("config file name is not set")
    if not file_stem(config_file):
        raise LaunchError(f"config file:{config_file} is missing file name")

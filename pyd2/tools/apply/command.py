"""The command: reads and tests the configuration, shows what it changes, sets it, watches, and goes back."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final, NoReturn

from pyd2.config.lexer import read_first_config_file
from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.control.commands import APPLICATION
from pyd2.data.controls import escaped, escaped_lines
from pyd2.data.counted import counted
from pyd2.data.element import Element
from pyd2.data.secrets import HIDDEN, is_secret_name
from pyd2.errors import ConfigError, Pyd2Error, without_secrets
from pyd2.profiles.known import profile_of
from pyd2.profiles.release import UnknownReleaseError, release_of
from pyd2.tools.apply import sockets
from pyd2.tools.apply.difference import difference
from pyd2.tools.apply.watch import FEW, MANY, Counts, read_counts, worse
from pyd2.tools.channel.daemon import Channel, ChannelError, add_channel_options, to_json
from pyd2.tools.kea import add_kea_option, kea_profile
from pyd2.tools.lint.hints import hint
from pyd2.tools.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pyd2.profiles.profile import Profile

NOT_SET: Final = 1
"""The exit status when the earlier configuration is in force."""
UNKNOWN: Final = 3
"""The exit status when it is not known which one is."""

NOTHING_SEEN: Final = "no update was sent in this time, so this says nothing of the DNS servers"
MOST_BEFORE: Final = 5.0
"""Seconds to watch the counters before anything is set: half as long as afterwards, but no longer."""
_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PAUSE: Final = 0.5
"""Seconds between two readings of the counters."""
_MOST_SILENT: Final = 4
"""So many looks in vain, one after the other, mean that the daemon no longer answers."""
_BACK_TRIES: Final = 5


class ApplyError(Pyd2Error):
    """The configuration is not in force; the text says why."""

    def __init__(self, text: str, status: int = NOT_SET) -> None:
        super().__init__(text)
        self.status: Final = status


class _Interrupted(Exception):  # noqa: N818  it is a wish, not a fault
    """A signal asks to end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl apply``."""
    parser.add_argument("config", metavar="FILE", help="the configuration that is to be in force")
    add_channel_options(parser)
    add_kea_option(parser)
    parser.add_argument("--watch", type=_seconds, default=10.0, metavar="SECONDS",
                        help="how long to watch the daemon's counters afterwards (default: 10; 0: not at "
                             "all, and there is no way back)")
    parser.add_argument("--write", action="store_true",
                        help="at the end let the daemon write it to its configuration file (config-write)")
    parser.add_argument("--dry-run", action="store_true", help="only test it and show what it changes")
    parser.add_argument("--back", metavar="FILE",
                        help="the configuration to go back to (default: the one that runs), if the daemon "
                             "hides its secrets")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"below zero: {text}")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Carry it out; exit status 0 if the new configuration is in force, or with ``--dry-run`` could be."""
    try:
        application = _Application(arguments)
        with _on_endings(_interrupt):
            application.run()
    except _Interrupted:
        print(f"pyd2ctl apply: interrupted: {application.state}", file=sys.stderr)
        return application.status
    except ApplyError as error:
        print(f"pyd2ctl apply: {_shown(str(error))}", file=sys.stderr)
        return error.status
    except ChannelError as error:
        print(f"pyd2ctl apply: {_shown(str(error))}: {application.state}", file=sys.stderr)
        return application.status
    return 0


class _Application:
    """One configuration on its way into a daemon."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        try:
            self._channel = Channel(arguments)
        except ChannelError as error:
            raise ApplyError(str(error)) from None
        self.state = "nothing was set"
        self.status = NOT_SET
        """The exit status, should it end now."""

    def run(self) -> None:
        """Raises ApplyError, ChannelError, _Interrupted."""
        arguments, channel = self._arguments, self._channel
        profile = self._profile()
        with Progress("reading and testing"):
            new = _read(arguments.config, profile)
            self._test(new, profile)
            running = self._running()
            lines = difference(running, new, profile.config.defaults)
        print(*(f"{escaped(without_secrets(line))}\n" for line in lines), sep="", end="", flush=True)
        if not lines:
            print(f"{arguments.config} changes nothing in the configuration that runs")
            return
        if arguments.dry_run:
            print(f"tested only: {counted(len(lines), 'change')}")
            return
        if arguments.watch:
            if sockets.closes(channel, running, new):
                raise ApplyError(f"nothing was set: the new configuration closes or changes {channel}, so "
                                 "that there would be no way back; use another control socket, or --watch 0")
            self._set_and_watch(new, self._way_back(running, profile))
        else:
            self._set(new)
            print("in force, and not watched")
        self.state, self.status = "the new configuration is in force", 0
        self._keep()

    def _profile(self) -> Profile:
        """Return the profile of the daemon that runs, by whose rules the file is read."""
        version = self._channel.command("version-get").text
        if self._arguments.kea is None:
            with contextlib.suppress(UnknownReleaseError):
                return profile_of(release_of(version))
        return kea_profile(self._arguments)

    def _test(self, new: Element, profile: Profile) -> None:
        answer = self._channel.command("config-test", _whole(new))
        if answer.result != 0:
            raise ApplyError(f"nothing was set: the daemon refuses the configuration: {answer.text}"
                             f"{_where(new, profile)}")

    def _running(self) -> Element:
        answer = self._channel.command("config-get")
        running = answer.member(APPLICATION)
        if answer.result != 0 or running is None:
            raise ApplyError(f"nothing was set: the daemon does not show its configuration: {answer.text}")
        return running

    def _way_back(self, running: Element, profile: Profile) -> Element:
        """Return the configuration to go back to, which the daemon would take."""
        back = running
        if self._arguments.back:
            back = _read(self._arguments.back, profile)
        elif _hides_secrets(running):
            raise ApplyError("nothing was set: the daemon hides its secrets (redact-secrets, or the role "
                             "read), so there is no way back to what runs; name that configuration with "
                             "--back FILE, or use --watch 0")
        answer = self._channel.command("config-test", _whole(back))
        if answer.result != 0:
            raise ApplyError("nothing was set: there would be no way back, because the daemon refuses "
                             f"{self._arguments.back or 'the configuration that runs'}: {answer.text}")
        return back

    def _set(self, new: Element) -> None:
        self.state, self.status = "see which configuration is in force", UNKNOWN
        with Progress("setting"):
            answer = self._channel.command("config-set", _whole(new))
        if answer.result != 0:
            raise ApplyError("the daemon could not set the configuration, and keeps the earlier one: "
                             f"{answer.text}")

    def _set_and_watch(self, new: Element, back: Element) -> None:
        seconds = self._arguments.watch
        pid, start = read_counts(self._channel, timeout=10.0)
        with Progress("watching the earlier configuration") as progress:
            _, middle = self._watch(min(seconds / 2, MOST_BEFORE), pid, start, progress)
        before = middle.since(start)
        try:
            self._set(new)
            print(f"set; watching for {seconds:g} s", flush=True)
            with Progress("watching") as progress:
                reason, end = self._watch(seconds, pid, middle, progress, before)
        except (_Interrupted, ChannelError, OSError) as error:
            self._go_back(back, str(error) or "interrupted")
        if reason:
            self._go_back(back, reason)
        print(f"in force: {end.since(middle)} in {seconds:g} s")
        if not end.since(middle).sent:
            print(NOTHING_SEEN)

    def _watch(self, seconds: float, pid: int, start: Counts, progress: Progress,
               before: Counts | None = None) -> tuple[str, Counts]:
        """Look at the counters for a time; return what got worse than before, and the last counts.

        Raises ChannelError when the daemon no longer answers.
        """
        end = time.monotonic() + seconds
        silent, counts, reason = 0, start, ""
        while not reason and (left := end - time.monotonic()) > 0:
            time.sleep(min(_PAUSE, left))
            try:
                now, counts = read_counts(self._channel, timeout=2.0)
            except ChannelError:
                silent += 1
                if silent == _MOST_SILENT:
                    raise
                continue
            silent = 0
            progress.note = str(counts.since(start))
            if now != pid:
                reason = f"the daemon has ended, and another one runs (pid {now} instead of {pid})"
            elif before is not None:
                reason = worse(before, counts.since(start), MANY)
        if before is not None and not reason:
            reason = worse(before, counts.since(start), FEW)
        return reason, counts

    def _go_back(self, back: Element, why: str) -> NoReturn:
        """Set the earlier configuration again; always raises ApplyError, with what came of it."""
        fault = ""
        with _on_endings(signal.SIG_IGN):
            with contextlib.suppress(OSError):  # the terminal may be gone
                print(f"pyd2ctl apply: going back: {_shown(why)}", file=sys.stderr)
            for attempt in range(_BACK_TRIES):
                time.sleep(attempt)
                try:
                    answer = self._channel.command("config-set", _whole(back))
                except ChannelError as error:
                    fault = str(error)
                    continue
                if answer.result == 0:
                    raise ApplyError("the earlier configuration is in force again")
                fault = answer.text
            kept = _kept(back)
        raise ApplyError(f"COULD NOT GO BACK: {fault}. The earlier configuration is in {kept}, with its "
                         "secrets: see which one is in force, and set it", UNKNOWN)

    def _keep(self) -> None:
        if not self._arguments.write:
            print(f"not written: unless {self._arguments.config} is the file that the daemon was started "
                  "with, a restart brings the earlier configuration back (--write)")
            return
        answer = self._channel.command("config-write")
        if answer.result != 0:
            text = f"the new configuration is in force, but was not written: {answer.text}"
            raise ApplyError(text, UNKNOWN)
        print(answer.text)


def _read(file: str, profile: Profile) -> Element:
    """Return the DhcpDdns map of a file. Raises ApplyError."""
    try:
        return read_file(file, profile.config, read=read_first_config_file)
    except ConfigError as error:
        instead = hint(str(error), profile.config.grammar)
        raise ApplyError(f"nothing was set: {error}{'; instead: ' * bool(instead)}{instead}") from None


def _where(config: Element, profile: Profile) -> str:
    """Return where in its file the fault of a configuration is, if the same fault is found here."""
    try:
        parse_element(config, profile.config, Directories.from_environment(os.environ, profile.config.paths))
    except ConfigError as error:
        return f"\nhere: {error}"
    return ""


def _whole(dhcp_ddns: Element) -> Element:
    return Element({APPLICATION: dhcp_ddns})


def _hides_secrets(element: Element) -> bool:
    """Say whether a secret of a configuration is hidden."""
    if isinstance(element.value, list):
        return any(map(_hides_secrets, element.value))
    if not isinstance(element.value, dict):
        return False
    return any((is_secret_name(name) and item.value == HIDDEN) or _hides_secrets(item)
               for name, item in element.value.items())


def _kept(config: Element) -> str:
    """Write a configuration to a file of its own that only this user can read; return its name."""
    descriptor, name = tempfile.mkstemp(prefix="pyd2-earlier-", suffix=".json")
    with os.fdopen(descriptor, "w") as file:
        file.write(to_json(_whole(config)))
    return name


def _shown(text: str) -> str:
    return escaped_lines(without_secrets(text))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _ENDINGS:  # a second one must not disturb the way back
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted


@contextlib.contextmanager
def _on_endings(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """Have the signals that ask a program to end handled so while the block lasts."""
    before = [(number, signal.signal(number, handler)) for number in _ENDINGS]
    try:
        yield
    finally:
        for number, earlier in before:
            signal.signal(number, earlier)

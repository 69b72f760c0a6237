"""The log of the daemon: Kea's loggers, levels and outputs (contract, section 10).

Loggers form a tree by the dots in their names. A logger without an entry of its own in ``loggers`` has the
level and outputs of its nearest ancestor with an entry; the root always has one. A logger with an entry
writes only to its own outputs.

Every thread may use the log, except where a docstring says otherwise. Until ``start_writer`` there is only
the main thread.
"""

from __future__ import annotations

import os
import time
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.config.model import Logger, OutputOption
from pyd2.data.controls import escaped, escaped_lines, indented_lines
from pyd2.messages import OWN_MESSAGES, ROOT_LOGGER, Severity
from pyd2.observe.appenders import LAST_TIMEOUT, WRITE_TIMEOUT, make_output
from pyd2.observe.entries import Known, Target
from pyd2.observe.environment import initial_logger
from pyd2.observe.lockfile import LockFile
from pyd2.observe.pattern import SOURCE, Source
from pyd2.observe.template import prepare
from pyd2.observe.writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pyd2.messages import LoggedRequest, Message
    from pyd2.observe.appenders import Output

_SHOWS_REQUEST: Final = frozenset({
    "DHCP_DDNS_ADD_FAILED", "DHCP_DDNS_ADD_SUCCEEDED", "DHCP_DDNS_FWD_REQUEST_IGNORED",
    "DHCP_DDNS_NO_FWD_MATCH_ERROR", "DHCP_DDNS_NO_REV_MATCH_ERROR", "DHCP_DDNS_REMOVE_FAILED",
    "DHCP_DDNS_REMOVE_SUCCEEDED", "DHCP_DDNS_REQUEST_DROPPED", "DHCP_DDNS_REV_REQUEST_IGNORED",
    "PYD2_REQUEST_EXPIRED", "PYD2_REQUEST_SUPERSEDED", "PYD2_RETRY_ABANDONED",
})  # fmt: skip
"""Messages that show a valid request, in several lines as Kea does; those of _BUILD_FAILURE do so, too. Its
fields hold no control characters.
"""
_BUILD_FAILURE: Final = "_BUILD_FAILURE"
"""The end of the IDs of messages about updates that could not be made."""


class LogRules(NamedTuple):
    """How a Kea release writes its log."""

    lock_directory: str
    """The directory of the lock file, unless KEA_LOCKFILE_DIR names one."""
    syslog_names: bool
    """Whether ``syslog:NAME`` logs under the name, where NAME is no facility. Else the name has no effect."""
    source: Source = SOURCE
    """What the conversions of patterns show as the place in the source."""


class _Settings(NamedTuple):
    """The settings of an entry of ``loggers``."""

    severity: Severity | None
    """None: the level is inherited."""
    debuglevel: int
    outputs: tuple[Output, ...]


_Targets: TypeAlias = "dict[tuple[str, Severity, int], Target | None]"
"""The target of messages by logger, severity and debug level; None: they are not written."""


class MessageLog:
    """Writes messages; it implements ``pyd2.messages.Log``.

    Until the first ``configure`` messages go where KEA_LOGGER_DESTINATION says (stdout when it is not set),
    at INFO, or with ``verbose`` (``-d``) at DEBUG 99. ``check_only`` (``-t``) leaves the lock file alone
    unless KEA_LOCKFILE_DIR names its directory.

    Each line is written at once until ``start_writer`` starts the log thread. From then on no caller waits
    for a disk.
    """

    def __init__(
        self,
        messages: Mapping[str, Message],
        rules: LogRules,
        environ: Mapping[str, str] = os.environ,
        *,
        verbose: bool = False,
        check_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.messages: Final[Mapping[str, Message]] = {**messages, **OWN_MESSAGES}
        """The catalogue: the messages of Kea and pyd2's own, by ID."""
        self.followers: list[Callable[[], None]] = []
        """``configure`` calls these after each change of the levels."""
        self._started = clock()
        self._rules = rules
        lock_file = _lock_file(environ, rules.lock_directory, check_only=check_only)
        self._writer = LogWriter(lock_file, self.emit, clock)
        self._lock = self._writer.lock
        self._tree: dict[str, _Settings] = {}
        self._targets: _Targets = {}
        self._known: dict[str, Known] = {}
        """The messages that are written, by ID."""
        self.on: AbstractSet[str] = self._known.keys()
        self.configure((initial_logger(environ, verbose=verbose, bad_severity=self._emit_bad_severity),))

    def configure(self, loggers: Sequence[Logger]) -> None:
        """Switch to the ``loggers`` of a configuration; without any, the root writes INFO to stderr.

        All outputs are reopened, so that a file that was moved away begins again. After a failed
        reconfiguration, give the loggers of the configuration in force; without one, give none, as Kea does.

        Earlier messages go to the earlier outputs. Returns when that is done and the new outputs are open, or
        after a second: the rest happens when the disk answers.
        """
        root = next((logger for logger in loggers if logger.name == ROOT_LOGGER), None)
        # An entry without outputs uses those of the root's entry. If the root has no entry, it writes
        # nothing: the default of the root does not count.
        lent = root.outputs if root else ()
        outputs: dict[OutputOption, Output] = {}
        tree = {ROOT_LOGGER: self._settings(root or _UNCONFIGURED, lent, outputs)}
        for logger in loggers:
            if logger.name != ROOT_LOGGER:
                tree[full_name(logger.name)] = self._settings(logger, lent, outputs)
        targets: _Targets = {}
        known = {}
        for message in self.messages.values():
            key = message.logger, message.severity, message.debuglevel
            if key not in targets:
                targets[key] = _find(tree, *key)
            if target := targets[key]:
                template = f"{message.message_id} {message.text}"
                escape = _escape(message.message_id)
                known[message.message_id] = Known(template, *prepare(template), target, escape)
        with self._lock:
            self._put_in_force(tree, targets, known)
            self._writer.switch(tuple(outputs.values()), WRITE_TIMEOUT)
        self._writer.flush()
        for follow in self.followers:
            follow()

    def _put_in_force(self, tree: dict[str, _Settings], targets: _Targets, known: dict[str, Known]) -> None:
        self._tree, self._targets = tree, targets
        # Other threads look into ``on`` meanwhile: an ID that stays in it must never be missing.
        for message_id in self._known.keys() - known.keys():
            del self._known[message_id]
        self._known.update(known)

    def _emit_bad_severity(self, severity: str) -> None:
        """Log it on stderr, since the log has no configuration yet."""
        self.configure(())
        self.emit("LOG_BAD_SEVERITY", severity)

    def levels(self) -> dict[str, tuple[Severity, int]]:
        """Return the severity and debug level of each logger that has its own, by full name."""
        return {
            name: (settings.severity, settings.debuglevel)
            for name, settings in self._tree.items() if settings.severity is not None
        }

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write a message of the catalogue; nothing happens when its ID is not in ``on``."""
        message = self._known.get(message_id)
        if message is None:
            return
        text = message.text(arguments)
        with self._lock:
            message = self._known.get(message_id)  # there may be another configuration now
            if message is not None:
                self._writer.put(message.target, text)

    def emit_requests(self, message_id: str, requests: Iterable[LoggedRequest]) -> None:
        """See RequestLog. The lines of requests that follow each other are made together."""
        for show_many, some in groupby(requests, attrgetter("show_many")):
            if show_many is None:
                for request in some:
                    self.emit(message_id, request.request_id, request.text())
            else:
                with self._lock:
                    self._writer.tell(message_id, [*some], self._known)

    def logger(self, name: str) -> NamedLogger:
        """Return the logger of a hook library; ``name`` is as in a ``loggers`` entry."""
        return NamedLogger(self, full_name(name))

    def enabled(self, logger: str, severity: Severity, debuglevel: int) -> bool:
        """Return whether messages of a logger (full name) are written."""
        with self._lock:
            return self._target(logger, severity, debuglevel) is not None

    def write(self, logger: str, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message that is not in the catalogue, if ``enabled``. It may have several lines."""
        with self._lock:
            target = self._target(logger, severity, debuglevel)
            if target is not None:
                self._writer.put(target, f"{message_id} {escaped_lines(text)}")

    def _target(self, logger: str, severity: Severity, debuglevel: int) -> Target | None:
        key = logger, severity, debuglevel
        if key not in self._targets:
            self._targets[key] = _find(self._tree, *key)
        return self._targets[key]

    def start_writer(self) -> None:
        """Start the log thread, which writes from now on.

        It gathers lines for 20 ms, but writes WARN and above within 5 ms. At most 16 MiB wait for it. Lines
        beyond that are dropped and counted, and the count is logged when writing works again. The main thread
        calls this, once.
        """
        self._writer.start()

    def flush(self) -> None:
        """Return when all earlier messages are written, or after a second.

        After one timeout it does not wait again until the disk has answered. Only the main thread calls this.
        """
        self._writer.flush()

    def after_written(self, call: Callable[[], object]) -> None:
        """Run ``call`` when all earlier messages are written, or lost.

        The log thread runs it. The caller runs it at once if nothing waits to be written, if there is no log
        thread, or if so much waits that lines are being dropped.
        """
        self._writer.after_written(call)

    def lines_lost(self) -> int:
        """Return how many lines could not be written since the start."""
        return self._writer.lines_lost

    def close(self) -> None:
        """Write all that waits and close all outputs. Later messages are dropped.

        Takes little more than a second, whatever the disk does. Only the main thread calls this.
        """
        with self._lock:
            self._put_in_force({}, {}, {})
        self._writer.close(LAST_TIMEOUT)

    def _settings(
        self, logger: Logger, lent: Sequence[OutputOption], opened: dict[OutputOption, Output]
    ) -> _Settings:
        outputs = []
        for option in logger.outputs or lent:
            if option not in opened:
                opened[option] = make_output(option, self._started, syslog_names=self._rules.syslog_names,
                                             source=self._rules.source)
            outputs.append(opened[option])
        severity = Severity[logger.severity] if logger.severity else None
        return _Settings(severity, logger.debuglevel, tuple(outputs))


class NamedLogger:
    """A logger of a hook library: its messages are not in the catalogue."""

    def __init__(self, log: MessageLog, name: str) -> None:
        self._log = log
        self.name = name
        """The full name."""

    def enabled(self, severity: Severity, debuglevel: int = 0) -> bool:
        """Return whether such messages are written under the present configuration."""
        return self._log.enabled(self.name, severity, debuglevel)

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message, if ``enabled``. ``debuglevel`` counts for DEBUG only."""
        self._log.write(self.name, severity, debuglevel, message_id, text)


def _escape(message_id: str) -> Callable[[str], str]:
    """Return the function that makes the control characters of a message visible."""
    if message_id in _SHOWS_REQUEST or message_id.endswith(_BUILD_FAILURE):
        return escaped_lines
    several = message_id == "PYD2_INTERNAL_ERROR" or message_id.endswith("_DETAILS")
    return indented_lines if several else escaped


def full_name(name: str) -> str:
    """Return a logger's full name: a name that is not below the root is put there."""
    return name if name == ROOT_LOGGER or name.startswith(ROOT_LOGGER + ".") else f"{ROOT_LOGGER}.{name}"


def _ancestry(name: str) -> list[str]:
    """Return a logger's full name and those of its ancestors, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _find(tree: Mapping[str, _Settings], logger: str, severity: Severity, debuglevel: int) -> Target | None:
    """Return the target of messages of a logger (full name); None: they are not written."""
    path = [tree[name] for name in _ancestry(logger) if name in tree]
    level = next((settings for settings in path if settings.severity is not None), None)
    if level is None or level.severity is None or severity < level.severity:
        return None
    if severity == Severity.DEBUG and debuglevel > level.debuglevel:
        return None
    outputs = path[0].outputs
    if not outputs:
        return None
    writers = tuple((output, output.writer(logger, severity)) for output in outputs)
    return Target(writers, severity >= Severity.WARN)


_UNCONFIGURED: Final = Logger(
    name=ROOT_LOGGER, severity="INFO", debuglevel=0, outputs=(OutputOption("stderr"),), user_context=None
)
"""The root logger of a configuration that has no entry for it."""


def _lock_file(environ: Mapping[str, str], directory: str, *, check_only: bool) -> LockFile:
    """Return the lock that every Kea process holds while it writes; it is not open yet."""
    directory = environ.get("KEA_LOCKFILE_DIR", "none" if check_only else directory)
    path = "" if directory.lower() == "none" else f"{directory}/logger_lockfile"
    return LockFile(path, 0o660, whatever_umask=True)

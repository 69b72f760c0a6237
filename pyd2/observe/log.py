"""The log of the daemon: Kea's loggers, levels and outputs (contract, section 10).

Loggers form a tree by the dots in their names. A logger without an entry of its own in ``loggers`` takes
level and outputs from the nearest one above that has an entry; the root always has one. A logger with an
entry writes to its own outputs only.

All of it may be used from any thread, but for what says otherwise. Until ``start_writer`` there is only one.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.config.model import Logger, OutputOption
from pyd2.data.controls import escaped, escaped_lines, indented_lines
from pyd2.messages import OWN_MESSAGES, ROOT_LOGGER, Severity
from pyd2.observe.appenders import LAST_PATIENCE, PATIENCE, make_output
from pyd2.observe.entries import Known, Target
from pyd2.observe.environment import initial_logger
from pyd2.observe.lockfile import LockFile
from pyd2.observe.template import prepare
from pyd2.observe.writer import LogWriter
from pyd2.packets.packed import PackedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pyd2.messages import LoggedRequest, Message
    from pyd2.observe.appenders import Output

_LOCK_DIRECTORY: Final = "/var/run/kea"
_SHOWS_REQUEST: Final = re.compile(
    "DHCP_DDNS_(?:ADD_FAILED|ADD_SUCCEEDED|REMOVE_FAILED|REMOVE_SUCCEEDED|FWD_REQUEST_IGNORED|NO_FWD_MATCH_ERROR|"
    "NO_REV_MATCH_ERROR|REQUEST_DROPPED|REV_REQUEST_IGNORED|[A-Z_]+_BUILD_FAILURE)|"
    "PYD2_(?:REQUEST_EXPIRED|REQUEST_SUPERSEDED|RETRY_ABANDONED)"
)
"""Messages that show a valid request, in Kea's form of several lines. No field of one holds a control."""


class _Settings(NamedTuple):
    """What an entry of ``loggers`` sets."""

    severity: Severity | None
    """None: the level is inherited."""
    debuglevel: int
    outputs: tuple[Output, ...]


_Targets: TypeAlias = "dict[tuple[str, Severity, int], Target | None]"
"""By logger, severity and debug level where messages go; None: they are not written."""


class MessageLog:
    """Writes messages; it implements ``pyd2.messages.Log``.

    Until the first ``configure`` messages go where KEA_LOGGER_DESTINATION says (stdout when it is not set),
    at INFO, or with ``verbose`` (``-d``) at DEBUG 99. ``check_only`` (``-t``) leaves the lock file alone
    unless KEA_LOCKFILE_DIR names its directory.

    Each line is written at once, until ``start_writer`` lets a thread do that: from then on nobody who logs
    waits for a disk.
    """

    def __init__(
        self,
        messages: Mapping[str, Message],
        environ: Mapping[str, str] = os.environ,
        *,
        verbose: bool = False,
        check_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.messages: Final[Mapping[str, Message]] = {**messages, **OWN_MESSAGES}
        """The catalogue: the messages of Kea and pyd2's own, by ID."""
        self.followers: list[Callable[[], None]] = []
        """Called after each change of the levels, by who calls ``configure``."""
        self._started = clock()
        self._writer = LogWriter(_lock_file(environ, check_only=check_only), self.emit, clock)
        self._lock = self._writer.lock
        self._tree: dict[str, _Settings] = {}
        self._targets: _Targets = {}
        self._known: dict[str, Known] = {}
        """By message ID, those that are written."""
        self.on: AbstractSet[str] = self._known.keys()
        self.configure((initial_logger(environ, verbose=verbose, bad_severity=self._emit_bad_severity),))

    def configure(self, loggers: Sequence[Logger]) -> None:
        """Switch to the ``loggers`` of a configuration; without any, the root writes INFO to stderr.

        Outputs are opened anew, so that a file that was moved away begins again. To go back after a failed
        reconfiguration, give the loggers of the configuration in force; when there is none yet, Kea takes
        those of an empty one.

        What was emitted before goes to the outputs of before. Returns when that is done and the new outputs
        are open, or after a second: the rest happens when the disk answers.
        """
        root = next((logger for logger in loggers if logger.name == ROOT_LOGGER), None)
        # Only an entry of the root lends its outputs to others. Without one, an entry that has no outputs
        # writes nothing: the root's default is not lent.
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
            self._writer.switch(tuple(outputs.values()), PATIENCE)
        self._writer.flush()
        for follow in self.followers:
            follow()

    def _put_in_force(self, tree: dict[str, _Settings], targets: _Targets, known: dict[str, Known]) -> None:
        self._tree, self._targets = tree, targets
        # Others look into ``on`` meanwhile: what was in it and stays in it must not be missing.
        for message_id in self._known.keys() - known.keys():
            del self._known[message_id]
        self._known.update(known)

    def _emit_bad_severity(self, severity: str) -> None:
        """Log it before there is a configuration of the log: on stderr."""
        self.configure(())
        self.emit("LOG_BAD_SEVERITY", severity)

    def levels(self) -> dict[str, tuple[Severity, int]]:
        """Return what each logger with a level of its own lets pass, by full name: severity, debug level."""
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

    def emit_request(self, message_id: str, request: LoggedRequest) -> None:
        """See Log; the lines of requests that are told of in a row are made together."""
        if isinstance(request, PackedRequest):
            with self._lock:
                self._writer.tell(message_id, request, self._known)
        else:
            self.emit(message_id, request.request_id, request.text())

    def logger(self, name: str) -> NamedLogger:
        """Return the logger of a hook library; ``name`` is taken as in a ``loggers`` entry."""
        return NamedLogger(self, full_name(name))

    def enabled(self, logger: str, severity: Severity, debuglevel: int) -> bool:
        """Return whether messages of a logger (full name) are written."""
        with self._lock:
            return self._target(logger, severity, debuglevel) is not None

    def write(self, logger: str, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message that is not in the catalogue, as ``enabled`` says. It may have several lines."""
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
        """Let a thread write from now on, which gathers lines for 20 ms, WARN and above excepted.

        What waits for it takes 16 MiB at most; lines beyond that are dropped, counted and reported when
        writing works again. The main thread calls this, once.
        """
        self._writer.start()

    def flush(self) -> None:
        """Return when all that was emitted before is written, or after a second.

        A disk that does not answer is waited for once, and not again until it has answered. The main thread
        calls this, or who ends the process.
        """
        self._writer.flush()

    def after_written(self, call: Callable[[], object]) -> None:
        """Run ``call`` when all that was emitted before is written, or lost.

        The writer's thread runs it; this one does, and at once, if nothing waits to be written, if there is
        no such thread, and if so much waits that lines are being dropped.
        """
        self._writer.after_written(call)

    def close(self) -> None:
        """Write what is left and close all outputs; nothing is written any more.

        Takes little more than a second, whatever the disk does. The main thread calls this.
        """
        with self._lock:
            self._put_in_force({}, {}, {})
        self._writer.close(LAST_PATIENCE)

    def _settings(
        self, logger: Logger, lent: Sequence[OutputOption], opened: dict[OutputOption, Output]
    ) -> _Settings:
        outputs = []
        for option in logger.outputs or lent:
            if option not in opened:
                opened[option] = make_output(option, self._started)
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
        """Write a message, if such messages are written. ``debuglevel`` counts for DEBUG only."""
        self._log.write(self.name, severity, debuglevel, message_id, text)


def _escape(message_id: str) -> Callable[[str], str]:
    """Return what makes the control characters of a message visible."""
    if _SHOWS_REQUEST.fullmatch(message_id):
        return escaped_lines
    return indented_lines if message_id == "PYD2_INTERNAL_ERROR" else escaped


def full_name(name: str) -> str:
    """Return a logger's full name; what is not below the root already is put there."""
    return name if name == ROOT_LOGGER or name.startswith(ROOT_LOGGER + ".") else f"{ROOT_LOGGER}.{name}"


def _ancestry(name: str) -> list[str]:
    """Return a logger's full name and those of its ancestors, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _find(tree: Mapping[str, _Settings], logger: str, severity: Severity, debuglevel: int) -> Target | None:
    """Return where messages of a logger (full name) go, or None when they are not written."""
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


def _lock_file(environ: Mapping[str, str], *, check_only: bool) -> LockFile:
    """Return the lock that all Kea processes take around each write; it is not open yet."""
    directory = environ.get("KEA_LOCKFILE_DIR", "none" if check_only else _LOCK_DIRECTORY)
    path = "" if directory.lower() == "none" else f"{directory}/logger_lockfile"
    return LockFile(path, 0o660, whatever_umask=True)

"""The log of the daemon: Kea's loggers, levels and outputs (contract, section 10).

Loggers form a tree by the dots in their names. A logger without an entry of its own in ``loggers`` takes
level and outputs from the nearest one above that has an entry; the root always has one. A logger with an
entry writes to its own outputs only.

Use it from one thread.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import MESSAGES, ROOT_LOGGER, Severity
from pyd2.observe.appenders import LAST_PATIENCE, PATIENCE, open_output
from pyd2.observe.environment import initial_logger
from pyd2.observe.lockfile import LockFile
from pyd2.packets.packed import PackedRequest, show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pyd2.messages import Told
    from pyd2.observe.appenders import Output
    from pyd2.observe.pattern import LineWriter

_LOCK_DIRECTORY: Final = "/var/run/kea"
_HOLE: Final = "\0"
"""Where the message goes in a line that is made without it."""
_MARK: Final = "%"
_MARKS: Final = tuple(f"{_MARK}{number}" for number in range(10))


class Target(NamedTuple):
    """Where the messages of one logger at one severity go."""

    writers: tuple[tuple[list[str], LineWriter, bool], ...]
    """For each output: where its lines wait, what makes one, and whether messages stand in it as they are."""
    urgent: bool
    """WARN and above are written at once."""


class _Settings(NamedTuple):
    """What an entry of ``loggers`` sets."""

    severity: Severity | None
    """None: the level is inherited."""
    debuglevel: int
    outputs: tuple[Output, ...]


class MessageLog:
    """Writes messages; it implements ``pyd2.messages.Log``.

    Until the first ``configure`` messages go where KEA_LOGGER_DESTINATION says (stdout when it is not set),
    at INFO, or with ``verbose`` (``-d``) at DEBUG 99. ``check_only`` (``-t``) leaves the lock file alone
    unless KEA_LOCKFILE_DIR names its directory.

    Set ``scheduler`` to a callable that runs its argument at the end of the event loop's pass
    (``loop.call_soon``): lines are then written once a pass. Without it each line is written at once.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        verbose: bool = False,
        check_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.scheduler: Callable[[Callable[[], None]], object] | None = None
        self.followers: list[Callable[[], None]] = []
        """Called after each change of the levels."""
        self._clock = clock
        self._started = clock()
        self._scheduled = False
        self._lock = _lock_file(environ, check_only=check_only)
        self._lock_opened = False
        self._outputs: dict[OutputOption, Output] = {}
        self._tree: dict[str, _Settings] = {}
        self._known: dict[tuple[str, Severity, int], Target | None] = {}
        self._targets: dict[str, tuple[str, str, int, Target]] = {}
        """By message ID: its template, the same for ``%`` with the number of arguments, and the target."""
        self.on: AbstractSet[str] = self._targets.keys()
        self._told: list[PackedRequest] = []
        """Requests that a message is still to be written of, all with the same ID."""
        self._told_id = ""
        self.configure((initial_logger(environ, verbose=verbose, bad_severity=self._emit_bad_severity),))

    def configure(self, loggers: Sequence[Logger]) -> None:
        """Switch to the ``loggers`` of a configuration; without any, the root writes INFO to stderr.

        Outputs are opened anew, so that a file that was moved away begins again. To go back after a failed
        reconfiguration, give the loggers of the configuration in force; when there is none yet, Kea takes
        those of an empty one.
        """
        self._write_told()
        self._close_outputs(PATIENCE)
        root = next((logger for logger in loggers if logger.name == ROOT_LOGGER), None)
        # Only an entry of the root lends its outputs to others. Without one, an entry that has no outputs
        # writes nothing: the root's default is not lent.
        lent = root.outputs if root else ()
        self._tree = {ROOT_LOGGER: self._settings(root or _UNCONFIGURED, lent)}
        for logger in loggers:
            if logger.name != ROOT_LOGGER:
                self._tree[full_name(logger.name)] = self._settings(logger, lent)
        self._targets.clear()
        self._known.clear()
        for message in MESSAGES.values():
            if target := self.target(message.logger, message.severity, message.debuglevel):
                template = f"{message.message_id} {message.text}"
                self._targets[message.message_id] = template, *_prepare(template), target
        for follow in self.followers:
            follow()

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
        found = self._targets.get(message_id)
        if found is not None:
            template, form, count, target = found
            text = form % arguments if len(arguments) == count else _MARK
            # A mark in an argument may be one that Kea replaces.
            self.write(target, text if _MARK not in text else substitute(template, arguments))

    def emit_request(self, message_id: str, request: Told) -> None:
        """See Log; the lines of requests that are told of in a row are made together."""
        if not isinstance(request, PackedRequest):
            self.emit(message_id, request.request_id, request.text())
            return
        if message_id != self._told_id:
            self._write_told()
            self._told_id = message_id
        self._told.append(request)
        self._plan_flush()

    def _write_told(self) -> None:
        """Make the lines of the requests that are still to be told of."""
        told, self._told = self._told, []
        found = self._targets.get(self._told_id)
        if not told or found is None:
            return
        template, form, _, target = found
        before, between, after = form.split("%s")
        now = self._clock()
        for pending, line, framed in target.writers:
            head, *tail = line(_HOLE, now).split(_HOLE)
            lines = show(told, head + before, between, after + tail[0]) if framed and len(tail) == 1 else []
            if not lines or any(_MARK in text for text in lines):
                texts = (substitute(template, (request.request_id, request.text())) for request in told)
                lines = [line(text, now) for text in texts]
            pending.extend(lines)

    def logger(self, name: str) -> NamedLogger:
        """Return the logger of a hook library; ``name`` is taken as in a ``loggers`` entry."""
        return NamedLogger(self, full_name(name))

    def write(self, target: Target, text: str) -> None:
        """Write a text, which begins with its message ID, where a target says."""
        if self._told:
            self._write_told()
        now = self._clock()
        for pending, line, _ in target.writers:
            pending.append(line(text, now))
        if target.urgent:
            self.flush()
        else:
            self._plan_flush()

    def _plan_flush(self) -> None:
        """Write the lines at the end of the event loop's pass, or now if there is none."""
        if self.scheduler is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self.scheduler(self.flush)

    def target(self, logger: str, severity: Severity, debuglevel: int) -> Target | None:
        """Return where messages of a logger (full name) go, or None when they are not written."""
        key = logger, severity, debuglevel
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, logger: str, severity: Severity, debuglevel: int) -> Target | None:
        path = [self._tree[name] for name in _ancestry(logger) if name in self._tree]
        level = next((settings for settings in path if settings.severity is not None), None)
        if level is None or level.severity is None or severity < level.severity:
            return None
        if severity == Severity.DEBUG and debuglevel > level.debuglevel:
            return None
        outputs = path[0].outputs
        if not outputs:
            return None
        return Target(
            tuple((output.pending, output.writer(logger, severity), output.framed) for output in outputs),
            severity >= Severity.WARN,
        )

    def flush(self) -> None:
        """Write the lines collected so far; report lines that were lost once writing works again."""
        self._scheduled = False
        self._write_told()
        self._open_lock()
        with self._lock:
            for output in self._outputs.values():
                output.flush()
        for output in self._outputs.values():
            if output.lost and not output.reason:
                lost, output.lost = output.lost, 0
                self.emit("PYD2_LOG_LINES_LOST", lost, output.name)

    def _open_lock(self) -> None:
        """Create the lock file with the first line, as Kea does; one that cannot be used costs no line."""
        if self._lock_opened:
            return
        self._lock_opened = True
        try:
            self._lock.open()
        except OSError as error:
            self.emit("PYD2_LOCKFILE_UNUSABLE", self._lock.path, error.strerror)

    def close(self) -> None:
        """Write what is left and close all outputs; nothing is written any more."""
        self._write_told()
        self._targets.clear()
        self._known.clear()
        self._tree.clear()
        self._close_outputs(LAST_PATIENCE)
        self._lock.close()

    def _settings(self, logger: Logger, lent: Sequence[OutputOption]) -> _Settings:
        outputs = []
        for option in logger.outputs or lent:
            if option not in self._outputs:
                self._outputs[option] = open_output(option, self._started)
            outputs.append(self._outputs[option])
        severity = Severity[logger.severity] if logger.severity else None
        return _Settings(severity, logger.debuglevel, tuple(outputs))

    def _close_outputs(self, patience: float) -> None:
        """Close all outputs, which may wait for as many seconds in all for those who read them."""
        ends = time.monotonic() + patience
        with self._lock:
            for output in self._outputs.values():
                output.close(max(0.0, ends - time.monotonic()))
        self._outputs.clear()


class NamedLogger:
    """A logger of a hook library: its messages are not in the catalogue."""

    def __init__(self, log: MessageLog, name: str) -> None:
        self._log = log
        self.name = name
        """The full name."""

    def enabled(self, severity: Severity, debuglevel: int = 0) -> bool:
        """Return whether such messages are written under the present configuration."""
        return self._log.target(self.name, severity, debuglevel) is not None

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message, if such messages are written. ``debuglevel`` counts for DEBUG only."""
        target = self._log.target(self.name, severity, debuglevel)
        if target is not None:
            self._log.write(target, f"{message_id} {text}")


def full_name(name: str) -> str:
    """Return a logger's full name; what is not below the root already is put there."""
    return name if name == ROOT_LOGGER or name.startswith(ROOT_LOGGER + ".") else f"{ROOT_LOGGER}.{name}"


def _ancestry(name: str) -> list[str]:
    """Return a logger's full name and those of its ancestors, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _prepare(template: str) -> tuple[str, int]:
    """Return a template for the operator ``%`` and how many arguments it takes; -1: it is not that plain."""
    marks = re.findall("%.?", template, re.DOTALL)
    if marks != [*_MARKS[1 : len(marks) + 1]]:
        return "", -1
    return re.sub("%.", "%s", template), len(marks)


def substitute(template: str, arguments: Sequence[object]) -> str:
    """Replace %1, %2, ... by the arguments, one after the other, and complain inside the text as Kea does.

    An argument that holds a later mark has it replaced too: so does Kea's.
    """
    number = 1
    for argument in arguments:
        mark = _MARKS[number]
        if mark in template:
            template = template.replace(mark, str(argument))
        else:
            template += f" @@Missing logger placeholder '{mark}' for value '{argument}'@@"
        number += 1
    if _MARKS[number] in template:
        template += f" @@Excess logger placeholder '{_MARKS[number]}' still exists@@"
    return template


_UNCONFIGURED: Final = Logger(
    name=ROOT_LOGGER, severity="INFO", debuglevel=0, outputs=(OutputOption("stderr"),), user_context=None
)
"""The root logger of a configuration that has no entry for it."""


def _lock_file(environ: Mapping[str, str], *, check_only: bool) -> LockFile:
    """Return the lock that all Kea processes take around each write; it is not open yet."""
    directory = environ.get("KEA_LOCKFILE_DIR", "none" if check_only else _LOCK_DIRECTORY)
    path = "" if directory.lower() == "none" else f"{directory}/logger_lockfile"
    return LockFile(path, 0o660, whatever_umask=True)

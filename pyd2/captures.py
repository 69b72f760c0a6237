"""The commands that begin and end a capture, where the configuration allows them."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.config.paths import confine
from pyd2.control.answer import error, success
from pyd2.data.element import Element
from pyd2.errors import CommandError, ConfigError

if TYPE_CHECKING:
    from pyd2.capture.writer import Capture, Summary
    from pyd2.config.paths import Directories
    from pyd2.control.registry import CommandRegistry
    from pyd2.messages import Log

START: Final = "pyd2-capture-start"
STOP: Final = "pyd2-capture-stop"

MOST_SECONDS: Final = 3600
MOST_OCTETS: Final = 1 << 30
_REQUESTS, _UPDATES, _BOTH = "requests", "updates", "both"
_NUMBERS: Final = {"seconds": (60, MOST_SECONDS), "max-bytes": (64 << 20, MOST_OCTETS)}
"""By argument: the default, and the highest value."""


class CapturedService(Protocol):
    """What a capture needs of the update service."""

    def capture(self, capture: Capture | None, *, requests: bool = False, updates: bool = False) -> None:
        """Note requests and updates from now on; None: no more."""


class Captures:
    """One capture at a time. The methods are for the main thread."""

    def __init__(
        self, registry: CommandRegistry, service: CapturedService, log: Log, directories: Directories
    ) -> None:
        self._registry = registry
        self._service = service
        self._log = log
        self._directories = directories
        self._allowed = False
        self._capture: Capture | None = None
        """The last one."""
        self._path = ""

    def allow(self, *, allowed: bool) -> None:
        """Offer the commands, or withdraw them; then a capture that is under way ends."""
        if allowed == self._allowed:
            return
        self._allowed = allowed
        if allowed:
            self._registry.register(START, self._start)
            self._registry.register(STOP, self._stop)
        else:
            self._registry.deregister(START)
            self._registry.deregister(STOP)
            self.end("the configuration no longer allows it")

    def end(self, reason: str) -> None:
        """End the capture that is under way, if there is one."""
        if self._capture is not None and not self._capture.ended:
            self._capture.end(reason)

    def _start(self, arguments: Element | None) -> Element:
        if self._capture is not None and not self._capture.ended:
            return error(f"a capture into {self._path} is under way: end it with {STOP}")
        try:
            name, what, numbers = _read(arguments)
            path = confine(name, self._directories.logs, self._directories.rules)
            file = _create(path)
        except (CommandError, ConfigError) as fault:
            return error(str(fault))
        from pyd2.capture.writer import Capture, Limits

        seconds, octets = numbers["seconds"], numbers["max-bytes"]
        capture = Capture(file, Limits(seconds, octets), partial(self._ended, path))
        self._capture, self._path = capture, path
        self._service.capture(capture, requests=what != _UPDATES, updates=what != _REQUESTS)
        capture.start()
        named = "requests and updates" if what == _BOTH else what
        self._log.emit("PYD2_CAPTURE_STARTED", named, path, seconds, octets)
        return success(f"capturing {named}", Element({"file": Element(path)}))

    def _stop(self, _arguments: Element | None) -> Element:
        if self._capture is None:
            return error("no capture is under way")
        self.end(f"command {STOP}")
        summary = self._capture.summary
        return success(f"ended: {summary.reason or 'the disk does not answer'}", Element({
            "file": Element(self._path), "lines": Element(summary.lines), "bytes": Element(summary.octets),
            "lost": Element(summary.lost),
        }))  # fmt: skip

    def _ended(self, path: str, summary: Summary) -> None:
        """Note nothing more; called in the capture's thread."""
        self._service.capture(None)
        message = "PYD2_CAPTURE_LOST" if summary.lost else "PYD2_CAPTURE_ENDED"
        lost = (summary.lost,) if summary.lost else ()
        self._log.emit(message, path, summary.reason, summary.lines, summary.octets, *lost)


def _read(arguments: Element | None) -> tuple[str, str, dict[str, int]]:
    """Return file, what, and the numbers. Raises CommandError, or ElementTypeError for another type."""
    members = {} if arguments is None else arguments.map_value()
    if "file" not in members:
        raise CommandError("missing parameter 'file': the name of a new file in the directory of the logs")
    unknown = [name for name in members if name not in {"file", "what", *_NUMBERS}]
    if unknown:
        raise CommandError(f"unknown parameter '{unknown[0]}'")
    what = members["what"].string_value() if "what" in members else _REQUESTS
    if what not in {_REQUESTS, _UPDATES, _BOTH}:
        raise CommandError(f"parameter 'what' is '{what}': expected {_REQUESTS}, {_UPDATES} or {_BOTH}")
    numbers = {}
    for name, (default, most) in _NUMBERS.items():
        numbers[name] = members[name].int_value() if name in members else default
        if not 1 <= numbers[name] <= most:
            raise CommandError(f"parameter '{name}' is {numbers[name]}: expected 1 to {most}")
    return members["file"].string_value(), what, numbers


def _create(path: str) -> int:
    """Return the descriptor of a new file. Raises CommandError."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except FileExistsError:
        raise CommandError(f"{path} exists: name a new file") from None
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise CommandError(f"{path} cannot be made: {reason}") from None

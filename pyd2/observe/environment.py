"""The log before the first configuration, as Kea's variables KEA_LOGGER_* set it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.observe.appenders import complain, is_facility

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEBUG_LEVEL: Final = 99
_INT32: Final = range(-(1 << 31), 1 << 31)
_NUMBER: Final = re.compile(r"[-+]?[0-9]+")


def initial_logger(
    environ: Mapping[str, str], *, verbose: bool, bad_severity: Callable[[str], None]
) -> Logger:
    """Return the root logger in force before the first configuration.

    Unusable values are reported on stderr, an unusable severity by ``bad_severity``.
    """
    debuglevel = _debuglevel(environ.get("KEA_LOGGER_DBGLEVEL"))
    severity = environ.get("KEA_LOGGER_SEVERITY", "DEBUG" if verbose else "INFO")
    if severity.upper() not in Severity.__members__:
        bad_severity(severity)
        severity = "INFO"
    destination = environ.get("KEA_LOGGER_DESTINATION", "stdout")
    if destination == "syslog:":
        complain(
            "**ERROR** value for KEA_LOGGER_DESTINATION of syslog: is invalid, syslog will be used instead"
        )
    elif destination.startswith("syslog:") and not is_facility(destination[7:]):
        destination = "syslog:user"  # here, a name that is no facility is no ident either
    outputs = (OutputOption(destination, maxsize=0),)
    return Logger(ROOT_LOGGER, severity.upper(), debuglevel, outputs, user_context=None)


def _debuglevel(text: str | None) -> int:
    if text is None:
        return MAX_DEBUG_LEVEL
    if not _NUMBER.fullmatch(text) or len(text) > 99 or (level := int(text)) not in _INT32:
        complain("**ERROR** Unable to translate KEA_LOGGER_DBGLEVEL - a value of 0 will be used")
        return 0
    nearest = min(max(level, 0), MAX_DEBUG_LEVEL)
    if nearest != level:
        complain(f"**ERROR** debug level of {level} is invalid - a value of {nearest} will be used")
    return nearest

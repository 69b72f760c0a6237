"""The ``loggers`` (contract, sections 2.2 and 10)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pyd2.config.model import Logger, OutputOption
from pyd2.config.paths import confine
from pyd2.config.values import reason
from pyd2.data.element import Element
from pyd2.data.text import to_text
from pyd2.errors import ConfigError, ConfigParserError, ElementTypeError

if TYPE_CHECKING:
    from pyd2.config.paths import Directories
    from pyd2.config.values import Notify

_SEVERITIES: Final = frozenset({"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"})
_NUMBER: Final = re.compile(r"-?[0-9]+")
_BAD_CAST: Final = "bad lexical cast: source type value could not be interpreted as target"
_NEW_SPELLING: Final = {"output_options": "output-options"}
_INT32: Final = range(-(1 << 31), 1 << 31)
_UINT64: Final = 1 << 64
_LARGEST_SIZE: Final = 2147483647
"""The largest size of a log file, in its unit: bytes, kilobytes or megabytes."""


def parse_loggers(
    dhcp_ddns: Element, directories: Directories, notify: Notify, *, verbose: bool
) -> tuple[Logger, ...]:
    """Return the loggers of the DhcpDdns map; none if it has no ``loggers``.

    Kea parses the loggers before all else. With ``verbose`` (-d) each logger writes everything, whatever is
    configured. Raises ConfigParserError.
    """
    loggers = dhcp_ddns.get("loggers")
    if loggers is None:
        return ()
    try:
        return tuple(_logger(entry, directories, notify, verbose=verbose) for entry in loggers.list_value())
    except (ConfigError, ElementTypeError) as error:
        raise ConfigParserError(reason(error)) from None


def in_new_spelling(dhcp_ddns: Element) -> Element:
    """Return the DhcpDdns map with ``output-options`` where its loggers say ``output_options``.

    Kea renames the key when it applies the configuration of a command, so its messages and libraries never
    see the old name. The loggers must have passed parse_loggers.
    """
    loggers = dhcp_ddns.get("loggers")
    if loggers is None or all(entry.get("output_options") is None for entry in loggers.list_value()):
        return dhcp_ddns
    renamed: list[Element] = []
    for entry in loggers.list_value():
        members = {_NEW_SPELLING.get(name, name): value for name, value in entry.map_value().items()}
        renamed.append(Element(members, entry.position))
    changed = {**dhcp_ddns.map_value(), "loggers": Element(renamed, loggers.position)}
    return Element(changed, dhcp_ddns.position)


def check_sizes(loggers: tuple[Logger, ...]) -> None:
    """Check that log4cplus could roll each file. Kea notices this fault only when it applies the loggers.

    Raises ConfigParserError.
    """
    for output in (output for logger in loggers for output in logger.outputs):
        megabytes = output.maxsize // 1_000_000
        if output.is_file and megabytes > _LARGEST_SIZE:
            raise ConfigParserError(f"expected maxsize < {_LARGEST_SIZE}MB, but instead got {megabytes}MB")


def check_severities(loggers: tuple[Logger, ...]) -> None:
    """Check that each logger has a severity. Kea notices this fault only when it prints the configuration.

    Raises ConfigParserError.
    """
    if any(not logger.severity for logger in loggers):
        raise ConfigParserError("illegal severity: 0")


def _logger(entry: Element, directories: Directories, notify: Notify, *, verbose: bool) -> Logger:
    context = entry.get("user-context")
    name = entry.get("name")
    if name is None:
        raise ConfigError(f"loggers entry does not have a mandatory 'name' element ({entry.position})")
    name_text = name.string_value()
    severity = _severity(entry.get("severity"), notify)
    debuglevel = _debuglevel(entry.get("debuglevel"))
    if verbose:
        severity, debuglevel = "DEBUG", 99
    options = entry.get("output-options")
    old_options = entry.get("output_options")
    if old_options is not None:
        if options is not None:
            raise ConfigError("Only one of 'output-options' and 'output_options' may be specified.")
        notify("DCTL_DEPRECATED_OUTPUT_OPTIONS")
        options = old_options
    entries = [] if options is None else options.list_value()
    outputs = tuple(_output(entry, directories) for entry in entries)
    return Logger(name_text, severity, debuglevel, outputs, context)


def _severity(element: Element | None, notify: Notify) -> str:
    """Return the severity in capitals: empty if absent, INFO if unknown."""
    if element is None:
        return ""
    text = element.string_value()
    if text.upper() in _SEVERITIES:
        return text.upper()
    notify("LOG_BAD_SEVERITY", text)
    return "INFO"


def _debuglevel(element: Element | None) -> int:
    if element is None:
        return 0
    level = element.int_value()
    if not 0 <= level <= 99:
        raise ConfigError(f"Unsupported debuglevel value {level}, expected 0-99 ({element.position})")
    return level


def _output(option: Element, directories: Directories) -> OutputOption:
    output = option.get("output")
    if output is None:
        raise ConfigError(
            f"output-options entry does not have a mandatory 'output' element ({option.position})"
        )
    destination = output.string_value()
    if OutputOption(destination).is_file:
        try:
            destination = confine(destination, directories.logs, directories.rules)
        except ConfigError as error:
            raise ConfigError(f"invalid path in `output`: {reason(error)} ({option.position})") from None
        if "\0" in destination:
            fault = "it must not contain a NUL character"
            raise ConfigError(f"invalid path in `output`: {fault} ({output.position})")
    settings: dict[str, Any] = {}
    if (maxver := option.get("maxver")) is not None:
        settings["maxver"] = _cast(maxver)
        if settings["maxver"] not in _INT32:
            raise ConfigError(_BAD_CAST)
    if (maxsize := option.get("maxsize")) is not None:
        size = _cast(maxsize)
        if abs(size) >= _UINT64:
            raise ConfigError(_BAD_CAST)
        settings["maxsize"] = size % _UINT64
    if (flush := option.get("flush")) is not None:
        settings["flush"] = flush.bool_value()
    if (pattern := option.get("pattern")) is not None:
        settings["pattern"] = pattern.string_value()
    return OutputOption(destination, **settings)


def _cast(element: Element) -> int:
    """Return the number in the printed form of a value, as Kea reads ``maxver`` and ``maxsize``."""
    text = to_text(element)
    if not _NUMBER.fullmatch(text):
        raise ConfigError(_BAD_CAST)
    return int(text)

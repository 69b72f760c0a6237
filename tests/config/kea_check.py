"""What a check of a configuration file comes to: by the real server, and by pyd2's functions in its words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyd2.config.parse import DEFAULT_SUMMARY
from pyd2.config.paths import Directories
from pyd2.errors import ConfigError, ConfigParserError, ConfigSyntaxError
from tests.kit import kea
from tests.kit.profile import MESSAGES, RULES, parse_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.config.model import HookLibrary


_LINE = re.compile(r"^[-0-9]+ [:.0-9]+ (\w+) +\[([^/\]]+)/\d+\.\d+\] (\S+) ?", re.ASCII)


@dataclass(frozen=True)
class Outcome:
    """How a check ends: exit status, standard error and log entries (severity, logger, ID, text)."""

    exit: int
    stderr: str
    log: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return all of it as one text."""
        return json.dumps([self.exit, self.stderr, self.log])


def kea_outcome(path: str, environment: Mapping[str, str]) -> Outcome:
    """Return what the real server says of a file in the working directory."""
    done = subprocess.run(
        [kea.chosen().program("kea-dhcp-ddns"), "-t", path],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )
    entries: list[list[str]] = []
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines(keepends=True):
        if start := _LINE.match(line):
            entries.append([*start.groups(), line[start.end() :]])
        else:
            entries[-1][-1] += line
    log = tuple((*entry[:-1], entry[-1].removesuffix("\n")) for entry in entries)
    return Outcome(done.returncode, done.stderr.decode("utf-8", "surrogateescape"), log)


def our_outcome(path: str, environment: Mapping[str, str]) -> Outcome:
    """Return the same from pyd2's functions, put together as -t of the command line does."""
    log: list[tuple[str, ...]] = []

    def notify(message_id: str, *arguments: object) -> None:
        message = MESSAGES[message_id]
        text = re.sub(r"%(\d)", lambda place: str(arguments[int(place[1]) - 1]), message.text)
        log.append((message.severity.name, message.logger, message_id, text))

    def validate(libraries: Sequence[HookLibrary]) -> list[str]:
        return [entry.library for entry in libraries if not _is_library(entry.library)]

    summary, error = DEFAULT_SUMMARY, ""
    try:
        config = parse_file(
            path, Directories.from_environment(environment, RULES.paths),
            notify=notify, validate_libraries=validate,
        )
        summary = config.summary()
    except ConfigSyntaxError as fault:
        return Outcome(1, f"Syntax check failed with: {fault}\n", tuple(log))
    except ConfigParserError as fault:
        notify("DCTL_PARSER_FAIL", fault)
        return Outcome(1, f"Error encountered: {fault}\n", tuple(log))
    except ConfigError as fault:
        error = str(fault)
        notify("DHCP_DDNS_CONFIG_CHECK_FAIL", fault)
    result = f"failure(1), text={error}" if error else "success(0), text=Configuration check successful"
    notify("DCTL_CONFIG_CHECK_COMPLETE", summary, result)
    return Outcome(1 if error else 0, f"Error encountered: {error}\n" if error else "", tuple(log))


def _is_library(path: str) -> bool:
    try:
        return Path(path).read_bytes()[:4] == b"\x7fELF"
    except OSError:
        return False


_SECRET_FAULT = re.compile(
    r"Cannot make D2TsigKey: (?:attempt to decode a value not in base64 char set|"
    r"pad mixed with digits in base64|non-zero bits left over|too many pad characters for base64|"
    r"Incomplete input for base64|"
    r"TSIG key with non-numeric digestbits)[^()]*?(?= \()"
)
_USER = re.compile(r"(user must not contain a ':': '[^':]*:)[^']*'")
_TOKEN = re.compile(r"(Failed to convert )\S+( to an? )")
_NO_KEY = re.compile(r"Cannot make D2TsigKey: .*?(?= \([^()]*:\d+:\d+\))", re.DOTALL)


def without_secrets(theirs: str, ours: str) -> tuple[str, str]:
    """Return what Kea and pyd2 say without the reason why a secret is none: only Kea shows the secret.

    pyd2 also hides what follows the colon in the name of a user, which is most likely the password, and
    tokens that cannot be read and may be secrets.
    """
    theirs = _USER.sub(r"\1*****'", theirs)
    if _TOKEN.sub(r"\1*****\2", ours) == ours:
        theirs = _TOKEN.sub(r"\1*****\2", theirs)
    if not _SECRET_FAULT.search(ours):
        return theirs, ours
    return _NO_KEY.sub("NO KEY", theirs), _NO_KEY.sub("NO KEY", ours)


def copy_case(case: dict[str, Any], data: Path, directory: Path) -> str:
    """Copy a recorded case's files into the directory; return the name of its configuration file."""
    for name in [case["file"], *case.get("files", ())]:
        if (data / name).exists():
            shutil.copy(data / name, directory)
    return Path(case["file"]).name

"""What differs from run to run (times, pids, descriptors, directories, ports) is masked here.

The masks are those of the recorded cases: @DIR@ @PID@ @TID@ @FD@ @TIME@ @HASH@ @N@.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from tests.kit.ports import PortLease

_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+)\s+\[([^/\]]+)/\d+\.\d+\] (\S+) ?(.*)$")
_MASKS = [
    (re.compile(r"\b(pid|PID): \d+"), r"\1: @PID@"),
    (re.compile(r"\b(over command socket|Opened socket|Closed socket|command socket|over socket) \d+"),
     r"\1 @FD@"),
    (re.compile(r"(\[system:\d+) at [^\]]*\]"), r"\1]"),  # a place in the sources of Boost
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"), "@TIME@"),
    (re.compile(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+ +\[[^/\]]+)/\d+\.\d+\]"),
     r"@TIME@ \1/@PID@.@TID@]"),
]
_CONFIG_GET = re.compile(rb'"arguments": (\{ "DhcpDdns": .*), "hash": "([0-9A-F]{64})" \}', re.DOTALL)
# The ports of the recorded cases. A hex string or a number with more digits is not one.
_RECORDED_PORT = re.compile(r"(?<![0-9A-Za-z])539[789]\d(?![0-9A-Za-z])")


def mask(text: str, directory: str) -> str:
    """Mask what depends on the run in an output text or an answer."""
    text = text.replace(directory, "@DIR@")
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def mask_response(text: str, directory: str) -> str:
    """Mask an answer of the control channel."""
    text = re.sub(r'"(pid|uptime|reload)": \d+', r'"\1": "@N@"', mask(text, directory))
    return re.sub(r'("text": ")[^"]*Kea source configure results(?:[^"\\]|\\.)*"', r'\1@OUTPUT OF -W@"', text)


def log_entries(text: str, directory: str) -> list[list[str]]:
    """Split a log into [severity, logger, id, text]; a line without a head belongs to the one before."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        found = _LOG_LINE.match(line)
        if found:
            entries.append(list(found.groups()))
        elif entries:
            entries[-1][3] += "\n" + line
        elif line:
            entries.append(["", "", "", line])
    for entry in entries:
        entry[3] = mask(entry[3], directory)
    return entries


def is_log(text: str) -> bool:
    """Whether a text begins with a log line."""
    return bool(_LOG_LINE.match(text.split("\n", 1)[0]))


class PortMap:
    """Replaces the ports of a recorded case by free ones, and back in what the server says.

    A configuration's hash depends on its ports: see `learn_hash`.
    """

    def __init__(self, lease: PortLease, texts: Iterable[str], *, recorded: bool = False) -> None:
        found = sorted({port for text in texts for port in _RECORDED_PORT.findall(text)})
        ports = [lease.take_exactly(int(port)) if recorded else lease.take() for port in found]
        self._there = dict(zip(found, map(str, ports), strict=True))
        self._back = {new: old for old, new in self._there.items()}
        self._token = re.compile(r"(?<![0-9A-Za-z])(?:\d{5}|[0-9A-F]{64})(?![0-9A-Za-z])")

    def __getitem__(self, recorded: int) -> int:
        return int(self._there[str(recorded)])

    def __contains__(self, recorded: int) -> bool:
        return str(recorded) in self._there

    def apply(self, text: str) -> str:
        """Recorded ports to free ports."""
        return _RECORDED_PORT.sub(lambda found: self._there.get(found.group(), found.group()), text)

    def learn_hash(self, config_get: bytes) -> None:
        """Make `undo` turn the hash in an answer to config-get into that of the recorded configuration.

        A hash that isn't that of the configuration beside it (contract, section 2.4) stays as it is.
        """
        found = _CONFIG_GET.search(config_get)
        if found is None:
            return
        body = found.group(1) + b" }"
        if hashlib.sha256(body).hexdigest().upper() == found.group(2).decode():
            recorded = self.undo(body.decode("latin-1")).encode("latin-1")
            self._back[found.group(2).decode()] = hashlib.sha256(recorded).hexdigest().upper()

    def undo(self, value: Any) -> Any:
        """Put the recorded ports and hashes back into all strings of a JSON-like value."""
        if isinstance(value, str):
            return self._token.sub(lambda found: self._back.get(found.group(), found.group()), value)
        if isinstance(value, list):
            return [self.undo(item) for item in value]
        if isinstance(value, dict):
            return {key: self.undo(item) for key, item in value.items()}
        return value

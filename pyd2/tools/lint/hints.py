"""Hints for frequent mistakes: what to write instead, in addition to Kea's error text."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Final

from pyd2.config.grammar import List, Map
from pyd2.config.lexer import read_config_file
from pyd2.config.switches import known_parameters
from pyd2.dns.tsig import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pyd2.config.grammar import Value

_CUTOFF: Final = 0.7
"""How similar a wrong key and a right one must be (difflib.SequenceMatcher)."""

_OTHERS: Final = {
    "logging": 'loggers belong in DhcpDdns: move the list there, as "loggers": [ ... ]',
    "dhcp4": "this daemon reads only DhcpDdns: each Kea server has its own file",
    "dhcp6": "this daemon reads only DhcpDdns: each Kea server has its own file",
    "control-agent": "this daemon reads only DhcpDdns: each Kea server has its own file",
    "control-sockets": "Kea 3.0 has this list (lint --kea 3.0); Kea 2.6 has one socket: "
                       '"control-socket": { "socket-type": "unix", "socket-name": ... }',
}  # fmt: skip
"""Hints by keys in lower case, for mistakes that are no misspelling."""

_PLACE: Final = re.compile(r"^(?P<file>.*?):(?P<line>\d+)\.(?P<column>\d+)(?:-\d+)?(?: \(near \d+\))?: ")
_NO_KEY: Final = re.compile(r'got unexpected keyword "(.*)" in ([\w-]+) map\.$')
_NO_PARAMETER: Final = re.compile(r"^unknown parameter '(.*)' in (pyd2[\w.-]*) map ")
_NO_LIBRARY_PARAMETER: Final = re.compile(r"^unknown hooks library parameter: (.*)\(")
_NO_ALGORITHM: Final = re.compile(r"Unknown TSIG Key algorithm: (.*) \(")
_NO_FILE: Final = re.compile(r"(?:Unable to open|Can't open include) file (.*)$")
_NO_PLACE: Final = re.compile(r"(\S+) .*?invalid path specified: '.*', supported path is '(.*?)'")
_KEY: Final = re.compile(rb'"([^"\\\x00-\x1f]*)"\s*:')


def hint(error: str, grammar: Map) -> str:
    """Return what to write instead of the cause of an error; empty if there is no hint."""
    found: re.Match[str] | None
    for pattern, advice in _ADVICE:
        if found := pattern.search(error):
            return advice(*found.groups())
    if found := _NO_KEY.search(error):
        return _of_map_key(found[1], found[2], dict(_maps(grammar)))
    if "unexpected constant string" in error and (place := _PLACE.match(error)):
        key = _key_at(place["file"], int(place["line"]), int(place["column"]))
        return _of_key(key, [known for _, map_ in _maps(grammar) for known in map_.keys])
    return ""


def _of_key(key: str, known: Iterable[str]) -> str:
    if key.lower() in _OTHERS:
        return _OTHERS[key.lower()]
    alike = difflib.get_close_matches(key.lower().replace("_", "-"), {*known} - {key}, 1, _CUTOFF)
    return f'write "{alike[0]}"' if alike else ""


def _of_map_key(key: str, map_name: str, maps: Mapping[str, Map]) -> str:
    here = _of_key(key, [*maps[map_name].keys]) if map_name in maps else ""
    if here:
        return here
    owners = [name for name, map_ in maps.items() if key in map_.keys]
    return f"{key} belongs in {' or '.join(owners)}, not in {map_name}" if owners else ""


def _of_algorithm(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("hmac")
    names = [known.upper() for known in ALGORITHMS]
    for known in names:
        if known.lower().replace("-", "").removeprefix("hmac") in (bare, bare.removesuffix("sigalgregint")):
            return f'write "{known}"'
    alike = difflib.get_close_matches(name.upper(), names, 1, _CUTOFF)
    return f'write "{alike[0]}"' if alike else f"one of {', '.join(names)}"


def _of_file(path: str) -> str:
    path = path.partition(": it is no")[0]
    if path.startswith("/"):
        return "" if os.path.lexists(path) else f"there is no {path}"
    return (f"{path} is looked for in the working directory of the program, here {os.getcwd()}: "  # noqa: PTH109
            "write an absolute path")


def _of_place(part: str, directory: str) -> str:
    """Return where a file may lie; ``part`` is the beginning of Kea's text."""
    variables = {"invalid": "KEA_LOG_FILE_DIR", "'socket-name'": "KEA_CONTROL_SOCKET_DIR"}
    variable = variables.get(part, "")
    other = f"; the environment variable {variable} of the daemon names another directory" * bool(variable)
    return f"write the name alone: the file lies in {directory}{other}"


def _key_at(file: str, line: int, column: int) -> str:
    """Return the key of a member that begins at a place of a file; empty when there is none."""
    try:
        text = read_config_file(file).split(b"\n")[line - 1]
    except (OSError, ValueError, IndexError):
        return ""
    found = _KEY.match(text, column - 1)
    return found[1].decode("utf-8", "replace") if found else ""


def _maps(value: Value) -> Iterator[tuple[str, Map]]:
    if isinstance(value, List):
        value = value.entry
    if isinstance(value, Map):
        yield value.name, value
        for member in value.keys.values():
            yield from _maps(member)


_ADVICE: Final[tuple[tuple[re.Pattern[str], Callable[..., str]], ...]] = (
    (_NO_PARAMETER, lambda key, name: _of_key(key, [*known_parameters(name)])),
    (_NO_LIBRARY_PARAMETER, lambda key: _of_key(key, ["library", "parameters"])),
    (_NO_ALGORITHM, _of_algorithm),
    (_NO_FILE, _of_file),
    (_NO_PLACE, _of_place),
)

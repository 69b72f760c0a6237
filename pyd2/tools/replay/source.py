"""The requests of a capture file: pcap, pcapng, or JSON lines.

A line of JSON is one of a capture of the daemon (``pyd2-capture-start``), or a request itself, as
``pyd2ctl queue export`` writes it and ``pyd2ctl send --file`` reads it.
"""

from __future__ import annotations

import binascii
import math
import re
import stat
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pyd2.data.json import from_json
from pyd2.errors import JsonError
from pyd2.tools.replay.errors import CaptureError, CutShortError
from pyd2.tools.replay.frames import LeftOut, datagram_of
from pyd2.tools.replay.pcap import MAGICS, read_packets
from pyd2.tools.requests import datagram

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

LONGEST_LINE: Final = 1 << 20
"""Octets."""
LONGEST_DATAGRAM: Final = 65507
"""Octets that UDP can carry over IPv4."""
_CAPTURED: Final = frozenset({"request", "datagram", "update"})
"""Of these, a line of a capture has one beside its time."""
_OURS: Final = re.compile(rb'\{"at":[0-9]+\.[0-9]+,"request":(\{.*\})\}')


class Request(NamedTuple):
    """A request as it arrived."""

    at: float | None
    """Seconds since the epoch; None if the file does not say."""
    datagram: bytes
    """The octets of the datagram, well-formed or not."""


class Source:
    """A file with requests; ``port`` is where they went, for packets."""

    def __init__(self, path: Path, port: int) -> None:
        self._path = path
        self._port = port
        self.left_out: Counter[str] = Counter()
        """What was left out when the file was read last, and how often."""
        self.cut_short = ""
        """Where the file ends too early; empty if it does not."""

    def __str__(self) -> str:
        return f"{self._path}, to UDP port {self._port}"

    def read(self) -> Iterator[Request]:
        """Read the file from its beginning.

        Raises OSError, and CaptureError with the name of the file and the place.
        """
        self.left_out.clear()
        self.cut_short = ""
        if not stat.S_ISREG(self._path.stat().st_mode):
            raise CaptureError(f"{self._path}: it is no regular file")
        with self._path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            try:
                yield from self._packets(file) if magic in MAGICS else self._lines(file)
            except CutShortError as error:
                self.cut_short = f"{self._path}: {error}"
            except CaptureError as error:
                raise CaptureError(f"{self._path}: {error}") from None

    def _packets(self, file: BinaryIO) -> Iterator[Request]:
        for packet in read_packets(file):
            found = datagram_of(packet)
            if isinstance(found, LeftOut):
                self.left_out[found] += 1
            elif found.port != self._port:
                self.left_out[LeftOut.OTHER] += 1
            else:
                yield Request(packet.at, found.payload)

    def _lines(self, file: BinaryIO) -> Iterator[Request]:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise CaptureError(f"line {number}: longer than {LONGEST_LINE} octets")
            whole = line.endswith(b"\n")
            if not (line := line.strip()):
                continue
            try:
                request = _request(line)
            except ValueError as error:
                if not whole and isinstance(error, orjson.JSONDecodeError):
                    raise CutShortError(f"line {number}: the file ends within it") from None
                raise CaptureError(f"line {number}{_column(error)}") from None
            if request is None:
                self.left_out["updates"] += 1
            else:
                yield request


def _column(error: ValueError) -> str:
    if isinstance(error, orjson.JSONDecodeError):
        return f", column {error.colno}: {error.msg}"
    return f": {error}"


def _request(line: bytes) -> Request | None:
    """Return the request of a line; None if it holds an update. Raises ValueError."""
    try:
        value: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:  # Kea takes more for JSON than others
            if from_json(line, "").type_name == "map":
                return Request(None, datagram(line))
        except JsonError:
            pass
        raise
    if not isinstance(value, dict):
        raise ValueError("it is no map")  # noqa: TRY004  a value from outside is wrong
    if "at" not in value or not _CAPTURED & set(value):
        return Request(None, datagram(line))
    at = value["at"]
    if type(at) not in {int, float} or not math.isfinite(at) or at < 0:
        raise ValueError("'at' is no time in seconds")
    if "datagram" in value:
        return Request(at, _octets(value["datagram"]))
    if "request" in value:
        return Request(at, datagram(_text(line, value["request"])))
    return None


def _octets(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("'datagram' is no string")  # noqa: TRY004  a value from outside is wrong
    try:
        octets = binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("'datagram' is no base64") from None
    if len(octets) > LONGEST_DATAGRAM:
        raise ValueError(f"'datagram' has {len(octets)} octets, more than a datagram can have")
    return octets


def _text(line: bytes, value: object) -> bytes:
    """Return the text of the request in a line: as it is written there, if the line has the daemon's form."""
    if not isinstance(value, dict):
        raise ValueError("'request' is no map")  # noqa: TRY004  a value from outside is wrong
    match = _OURS.fullmatch(line)
    if match is not None:
        try:
            if orjson.loads(match[1]) == value:
                return match[1]
        except orjson.JSONDecodeError:
            pass
    return orjson.dumps(value)

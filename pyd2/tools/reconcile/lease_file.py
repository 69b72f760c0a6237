"""The lease files of Kea's memfile backend, read beside the running server.

The server appends a row for each change, so the last row of an address counts. Its cleanup process (LFC) puts
older rows into other files: those that the server reads at its start are read here, in the same order.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER, Row, octets, pack_address
from pyd2.tools.requests import Identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

COLUMNS: Final = {
    4: ("address", "hwaddr", "client_id", "valid_lifetime", "expire", "subnet_id", "fqdn_fwd", "fqdn_rev",
        "hostname", "state", "user_context", "pool_id"),
    6: ("address", "duid", "valid_lifetime", "expire", "subnet_id", "pref_lifetime", "lease_type", "iaid",
        "prefix_len", "fqdn_fwd", "fqdn_rev", "hostname", "hwaddr", "state", "user_context", "hwtype",
        "hwaddr_source", "pool_id"),
}
"""The columns of both kinds of file; a file of an older Kea ends earlier, one of a newer Kea later."""
_NEEDED: Final = "hostname"
"""The last column that every file has."""
_DECLINED: Final = 1
_PREFIX: Final = "2"
"""The ``lease_type`` of a delegated prefix, for which no request is sent."""
_ETHERNET: Final = b"\x01"
_ESCAPE: Final = re.compile("&#x([0-9A-Fa-f]{2})")
_NUMBER: Final = re.compile("[0-9]{1,20}")
_LIMITS: Final = {"valid_lifetime": FOREVER, "expire": 2**64 - 1, "subnet_id": 2**32 - 1, "state": 2**32 - 1}
_FLAGS: Final = {"0": False, "1": True}
_MOST_FAULTS: Final = 20
"""Faults that are shown."""
_READINGS: Final = 5
"""How often reading begins anew because the cleanup process moved the files."""


class Removed(NamedTuple):
    """A row that removes the lease of an address."""

    address: bytes


class RowReader:
    """Makes rows of the lines of one file, behind its header."""

    def __init__(self, family: int, header: str) -> None:
        """Take the header's columns. Raises ValueError when it is none of Kea's."""
        known = COLUMNS[family]
        names = header.split(",")
        for name, expected in zip(names, known, strict=False):
            if name != expected:
                raise ValueError(f"the header has the column {name!r} instead of {expected!r}: "
                                 f"not a lease file of kea-dhcp{family}")
        needed = known.index(_NEEDED) + 1
        if len(names) < needed:
            raise ValueError(f"the header has {len(names)} columns, at least {needed} are needed")
        self._family = family
        self._at = {name: number for number, name in enumerate(known)}
        self._fewest = min(len(names), len(known))
        self._most = max(len(names), len(known))

    def row(self, line: str) -> Row | Removed | None:
        """Return what a line says; None for a delegated prefix. Raises ValueError for what Kea skips."""
        values = line.split(",")
        if not self._fewest <= len(values) <= self._most:
            raise ValueError(f"it has {len(values)} columns instead of {self._fewest}")
        return self._row4(values) if self._family == 4 else self._row6(values)

    def _row4(self, values: Sequence[str]) -> Row | Removed:
        address = pack_address(4, values[0])
        hardware, client = octets(values[1]), octets(values[2])
        state = self._number(values, "state")
        if not hardware and not client and state != _DECLINED:
            raise ValueError("it has neither a client identifier nor a hardware address")
        if client:
            return self._finished(values, address, Identifier.CLIENT_ID, client, state)
        identifier = _ETHERNET + hardware if hardware else b""
        return self._finished(values, address, Identifier.HARDWARE_ADDRESS, identifier, state)

    def _row6(self, values: Sequence[str]) -> Row | Removed | None:
        if values[self._at["lease_type"]] == _PREFIX:
            return None
        address = pack_address(6, values[0])
        state = self._number(values, "state")
        duid = octets(values[1])
        if len(duid) < 3 or (duid == bytes(3) and state != _DECLINED):
            raise ValueError(f"not a DUID: {values[1]}")
        return self._finished(values, address, Identifier.DUID, duid, state)

    def _finished(self, values: Sequence[str], address: bytes, kind: Identifier, identifier: bytes,
                  state: int) -> Row | Removed:
        lifetime = self._number(values, "valid_lifetime")
        expires = self._number(values, "expire")
        subnet = self._number(values, "subnet_id")
        forward, reverse = self._flag(values, "fqdn_fwd"), self._flag(values, "fqdn_rev")
        if lifetime == 0:
            return Removed(address)
        hostname = _unescaped(values[self._at["hostname"]])
        return Row(address, kind, identifier, lifetime, expires, subnet, forward, reverse, hostname, state)

    def _number(self, values: Sequence[str], name: str) -> int:
        at = self._at[name]
        if at >= len(values):
            return 0  # the default of each column that older files lack
        text = values[at]
        if not _NUMBER.fullmatch(text) or int(text) > _LIMITS[name]:
            raise ValueError(f"{name} is not a number from 0 to {_LIMITS[name]}: {text}")
        return int(text)

    def _flag(self, values: Sequence[str], name: str) -> bool:
        text = values[self._at[name]]
        if text not in _FLAGS:
            raise ValueError(f"{name} is neither 0 nor 1: {text}")
        return _FLAGS[text]


def _unescaped(text: str) -> str:
    """Return a text without Kea's ``&#x2c``, which stand for octets."""
    if "&#x" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1]).decode("ascii", "surrogateescape"), text)


class Memfile:
    """The leases in the files of one DHCP server; a ``LeaseSource``."""

    resends = False

    def __init__(self, path: str, family: int) -> None:
        self.path = path
        self.family = family
        self.faults: list[str] = []
        self._rows: dict[bytes, Row] = {}
        self._files: _Files | None = None
        self._reader: RowReader | None = None
        self._offset = 0
        """Octets of the newest file that have been read: whole lines."""
        self._line = 0

    def __str__(self) -> str:
        return self.path

    def read(self) -> Iterable[Row]:
        """Return the leases of all files. Raises ReconcileError."""
        for _ in range(_READINGS):
            before = self._found()
            if self._read_all(before) and self._found() == before:
                self._files = before
                return self._rows.values()
        raise ReconcileError(f"{self.path}: the lease files change all the time: "
                             "is the cleanup process (kea-lfc) in a loop?")

    def at(self, address: bytes) -> Row | None:
        """Return the present row of an address: what was appended meanwhile counts. Raises ReconcileError."""
        if self._found() != self._files:
            self.read()
        else:
            self._read_appended()
        return self._rows.get(address)

    def resend(self, address: bytes) -> None:
        """Fail: a file sends nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _found(self) -> _Files:
        """Return which files there are, by their identity."""
        found = []
        for suffix in (".completed", ".2", ".1", ""):
            try:
                status = Path(self.path + suffix).stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ReconcileError(f"{self.path}{suffix}: {error.strerror}") from None
            found.append((suffix, status.st_dev, status.st_ino))
        if not found:
            raise ReconcileError(f"{self.path}: there is no such lease file")
        return tuple(found)

    def _read_all(self, files: _Files) -> bool:
        """Read the files that count; return whether none of them was moved away meanwhile."""
        self._rows, self.faults = {}, []
        self._reader, self._offset, self._line = None, 0, 0
        present = {suffix for suffix, *_ in files}
        older = [".completed"] if ".completed" in present else [s for s in (".2", ".1") if s in present]
        try:
            for suffix in older:
                with Path(self.path + suffix).open("rb") as file:
                    self._take(file, self.path + suffix)
                self._reader, self._offset, self._line = None, 0, 0
            if "" in present:
                self._read_appended()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ReconcileError(f"{error.filename or self.path}: {error.strerror}") from None
        return True

    def _read_appended(self) -> None:
        """Read what the newest file has behind what has been read."""
        with Path(self.path).open("rb") as file:
            if os.fstat(file.fileno()).st_size > self._offset:
                file.seek(self._offset)
                self._take(file, self.path)

    def _take(self, file: BinaryIO, path: str) -> None:
        """Read the rest of a file; a last line without its end is still being written."""
        for octet_line in file:
            if not octet_line.endswith(b"\n"):
                break
            self._offset += len(octet_line)
            self._line += 1
            line = octet_line[:-1].decode("utf-8", "surrogateescape")
            if not line:
                continue
            if self._reader is None:
                try:
                    self._reader = RowReader(self.family, line)
                except ValueError as error:
                    raise ReconcileError(f"{path}:{self._line}: {error}") from None
                continue
            try:
                row = self._reader.row(line)
            except ValueError as error:
                self._fault(f"{path}:{self._line}: {error}")
                continue
            if isinstance(row, Row):
                self._rows[row.address] = row
            elif row is not None:
                self._rows.pop(row.address, None)

    def _fault(self, text: str) -> None:
        """Note a row that Kea skips, too."""
        self.faults.append(text)


_Files = tuple[tuple[str, int, int], ...]
"""The suffix, device and inode of each file."""


def shown_faults(faults: Sequence[str]) -> Iterator[str]:
    """Return the first faults, and how many there are beside these."""
    yield from faults[:_MOST_FAULTS]
    if len(faults) > _MOST_FAULTS:
        yield f"and {len(faults) - _MOST_FAULTS} more"

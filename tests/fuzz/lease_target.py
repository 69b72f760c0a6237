"""What DHCP servers say of their leases: lease files, and answers to commands."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.tools.reconcile.channel import Channel
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import lease_of
from pyd2.tools.reconcile.lease_commands import LeaseCommands
from pyd2.tools.reconcile.lease_file import COLUMNS, Memfile
from tests.fuzz.mutate import any_bytes, mutate_bytes
from tests.fuzz.runner import ACCEPTED

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pyd2.tools.reconcile.lease import LeaseSource
    from tests.fuzz.runner import Input

_HOSTS = ("h1.example.com.", "H&#x2c1.example.com", "", "a..b", "x" * 64, ".", "é.example.")
_NUMBERS = ("0", "1", "3600", "4294967295", "4294967296", "-1", "1e3", "", "00", "9" * 30)
_IDENTIFIERS = ("02:00:00:00:00:01", "01:02", "ff:00:00:00:01:00:01:02", "ff", "", "0:1:2", "zz", "00:00:00",
                ":".join(["ab"] * 140))


class LeaseTarget:
    """An input is the kind of source (its first octet), and two readings of a file, or answers in a row."""

    name = "lease"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name, "leases.csv")

    def reset(self) -> None:
        """Begin anew: nothing is kept between inputs."""

    def close(self) -> None:
        """Leave nothing behind."""
        self._folder.cleanup()

    # Making.

    def make(self, rng: random.Random) -> Input:
        kind = rng.randrange(4)
        family = 6 if kind & 1 else 4
        make = _file if kind < 2 else _answer
        parts = [make(family, rng) for _ in range(rng.choice([1, 2, 2, 3]))]
        return (bytes([kind]), *(mutate_bytes(part, rng, parts) if rng.random() < 0.3 else
                                 any_bytes(rng) if rng.random() < 0.02 else part for part in parts))

    # Running.

    def run(self, data: Input) -> Iterator[str]:
        kind = data[0][0] & 3 if data and data[0] else 0
        family, parts = (6 if kind & 1 else 4), list(data[1:])
        if kind < 2:
            yield from self._read_file(family, parts)
        else:
            source = LeaseCommands(_Scripted(parts), family)
            yield from _outcomes(source, source.read)

    def _read_file(self, family: int, parts: list[bytes]) -> Iterator[str]:
        """Read a file whose parts come one after the other, and as a whole: the leases are the same."""
        self._file.write_bytes(parts[0] if parts else b"")
        memfile = Memfile(str(self._file), family)
        yield from _outcomes(memfile, memfile.read)
        if len(parts) < 2:
            return
        with self._file.open("ab") as file:
            file.write(b"".join(parts[1:]))
        try:
            memfile.at(bytes((family == 4 and 4) or 16))
            appended = list(memfile._rows.values())
            whole = Memfile(str(self._file), family)
            assert {*whole.read()} == {*appended}
            assert whole.faults == memfile.faults
        except ReconcileError as error:
            yield str(error).replace(str(self._file), "file")


def _outcomes(source: LeaseSource, read: Any) -> Iterator[str]:
    try:
        rows = list(read())
    except ReconcileError as error:
        yield str(error).rpartition(".csv:")[2]
        return
    for row in rows:
        assert len(row.address) == (4 if source.family == 4 else 16)
        try:
            lease = lease_of(row)
        except ValueError as error:
            yield str(error)
            continue
        assert len(lease.dhcid) == 35
        assert lease.name.endswith(b"\0")
        yield ACCEPTED
    yield from (fault.rpartition(".csv:")[2].partition(": ")[2] for fault in source.faults)
    if not rows and not source.faults:
        yield "nothing"


class _Scripted(Channel):
    """A channel that gives one answer after the other."""

    def __init__(self, answers: Iterable[bytes]) -> None:
        super().__init__("unix:fuzz", "dhcp4")
        self._answers = list(answers)

    def exchange(self, command: bytes) -> bytes:
        return self._answers.pop(0) if self._answers else b'{"result": 3}'


def _address(family: int, rng: random.Random) -> str:
    if rng.random() < 0.05:
        return rng.choice(["", "192.0.2", "2001:db8::1", "192.0.2.1", "x"])
    number = rng.randrange(20)
    return f"192.0.2.{number}" if family == 4 else f"2001:db8::{number:x}"


def _file(family: int, rng: random.Random) -> bytes:
    names = COLUMNS[family][: rng.choice([99, 99, 99, 12, 9, 5])]
    header = ",".join(names) + rng.choice(["", "", "", ",new_column"])
    lines = [header, *(_row(family, rng) for _ in range(rng.randrange(8)))]
    return ("\n".join(lines) + rng.choice(["\n", "\n", ""])).encode()


def _row(family: int, rng: random.Random) -> str:
    def number(usual: str) -> str:
        return rng.choice(_NUMBERS) if rng.random() < 0.1 else usual

    good = rng.random() < 0.7
    values = {"address": _address(family, rng), "hwaddr": _IDENTIFIERS[0], "client_id": "",
              "duid": _IDENTIFIERS[2], "hostname": _HOSTS[0], "fqdn_fwd": "1", "fqdn_rev": "1",
              "lease_type": "0"}
    if not good:
        values |= {name: rng.choice(_IDENTIFIERS) for name in ("hwaddr", "client_id", "duid")}
        values |= {"hostname": rng.choice(_HOSTS), "fqdn_fwd": rng.choice("012"),
                   "lease_type": rng.choice("0129")}
    values |= {name: number(usual) for name, usual in (("valid_lifetime", "3600"), ("expire", "2000000000"),
                                                       ("subnet_id", "1"), ("state", "0"))}
    row = [values.get(name, "") for name in COLUMNS[family]]
    return ",".join(row[: rng.choice([99, 99, 99, 99, 9, 3])])


def _answer(family: int, rng: random.Random) -> bytes:
    leases = sorted((_lease(family, rng) for _ in range(rng.randrange(5))),
                    key=lambda one: str(one.get("ip-address")))
    answer: Any = {"result": rng.choice([0, 0, 0, 0, 1, 3, "0"]), "text": "t",
                   "arguments": {"leases": leases, "count": len(leases)}}
    if rng.random() < 0.1:
        answer = rng.choice([[answer], [answer, answer], [], {}, 1,
                             {"result": 0, "arguments": {"leases": {}}}])
    return json.dumps(answer).encode()


def _lease(family: int, rng: random.Random) -> dict[str, Any]:
    lease: dict[str, Any] = {"ip-address": _address(family, rng), "cltt": 1000, "valid-lft": 3600,
                             "subnet-id": 1, "fqdn-fwd": True, "fqdn-rev": True, "hostname": _HOSTS[0],
                             "state": 0, "hw-address": _IDENTIFIERS[0], "duid": _IDENTIFIERS[2],
                             "type": "IA_NA"}
    if rng.random() < 0.4:
        name = rng.choice(list(lease))
        lease[name] = rng.choice([*_HOSTS, *_IDENTIFIERS, -1, 2**64, 1.5, True, None, [], {}, "IA_PD"])
    if rng.random() < 0.2:
        lease["client-id"] = rng.choice(_IDENTIFIERS)
    if rng.random() < 0.1:
        del lease[rng.choice(list(lease))]
    return lease

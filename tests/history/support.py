"""What the tests of the history share: rows, and a store that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.history import FILE
from pyd2.history.store import Limits, Store
from pyd2.update.model.faults import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LIMITS: Final = Limits(1000, 1 << 30, 10_000)
CLIENT: Final = bytes.fromhex("000101AAAAAAAA0000000000000000000000")
AT: Final = 1_790_000_000_000  # in 2026

DONE: Final[tuple[Any, ...]] = (
    AT,
    0,
    "host.example.com.",
    bytes((192, 0, 2, 10)),
    CLIENT,
    int(Result.DONE),
    15,
    "",
    "REPLACING_REV_PTRS",
    "2.0.192.in-addr.arpa.",
    "192.0.2.53 port:53",
    "k.example.",
    1,
    2500,
    None,
)
ADD_FAILED: Final[tuple[Any, ...]] = (
    AT,
    0,
    "host.example.com.",
    bytes((192, 0, 2, 10)),
    CLIENT,
    int(Result.FAILED),
    3,
    "NXRRSET",
    "REPLACING_FWD_ADDRS",
    "example.com.",
    "192.0.2.53 port:53",
    "",
    1,
    1000,
    "NXRRSET from 192.0.2.53 port:53",
)
GIVEN_UP: Final[tuple[Any, ...]] = (
    AT,
    4,
    "host.example.com.",
    bytes((192, 0, 2, 10)),
    CLIENT,
    int(Result.EXPIRED),
    3,
    "expired",
    "",
    "example.com.",
    "",
    "",
    0,
    None,
    "its lease has ended",
)


def filled(directory: Path, rows: Iterable[tuple[Any, ...]], limits: Limits = LIMITS) -> Path:
    """Write a history with these rows, whose words are texts; return its path."""
    store = Store(str(directory), limits)
    try:
        write(store, rows)
    finally:
        store.close()
    return directory / FILE


def write(store: Store, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add rows, whose words are texts."""
    store.begin()
    store.add([(*row[:7], *map(store.word, row[7:12]), *row[12:]) for row in rows])
    store.commit()

"""The undo file: before each change, what nsupdate needs to take it back."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pyd2.dns.names import lower, name_text
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.records import data_text, type_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyd2.tools.reconcile.d2_config import Server, Zone
    from pyd2.tools.reconcile.difference import Difference
    from pyd2.tools.reconcile.records import Node


_ANY_NAME: Final = "check-names off"
"""Else nsupdate refuses names with characters that host names do not have, and with them all that follows."""


class Touched(NamedTuple):
    """A name that a request may change, as it is before."""

    zone: Zone
    server: Server
    node: Node
    types: tuple[int, ...]
    """Which of its records may be changed."""


class UndoFile:
    """A file that is made by the first change, readable by its owner and group only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._written: set[tuple[bytes, int]] = set()
        """Names and types: only the first state of each is restored."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def is_made(self) -> bool:
        """Whether something was written."""
        return self._descriptor >= 0

    def write(self, difference: Difference, touched: Iterable[Touched]) -> None:
        """Write how to bring back what these names have now; it is on disk on return.

        Raises ReconcileError: without it nothing is changed.
        """
        lines = [f"; {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {difference}"]
        for zone, server, node, changed in touched:
            types = [one for one in changed if (lower(node.owner), one) not in self._written]
            if not types:
                continue
            self._written.update((lower(node.owner), one) for one in types)
            owner = name_text(node.owner)
            lines += [f"server {server.endpoint.address} {server.endpoint.port}", f"zone {zone.text}"]
            for rdtype in types:
                kind = type_text(rdtype)
                lines.append(f"update delete {owner} {kind}")
                rrset = node.rrsets.get(rdtype)
                if rrset is not None:
                    lines += [f"update add {owner} {rrset.ttl} {kind} {data_text(rdtype, data)}"
                              for data in rrset.data]
            lines.append("send")
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
                lines.insert(0, _ANY_NAME)
            os.write(self._descriptor, ("\n".join(lines) + "\n").encode())
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise ReconcileError(f"{self.path}: {error.strerror}: without the undo file nothing is "
                                 "changed") from None

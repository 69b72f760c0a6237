"""Late requests by what they change: the names at which they keep their order, and the addresses."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pyd2.update.late import BEHIND, FREE, GUARDED

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.late import Late


class Lines:
    """Who comes behind whom."""

    def __init__(self) -> None:
        self._names: dict[bytes, deque[Late]] = {}
        """Those with a forward change left, by name; only the first of each line may begin."""
        self._addresses: dict[bytes | tuple[bytes, bytes], list[Late]] = {}
        """Those with a reverse change left, by address; guarded ones by address and name."""

    def at_name(self, name: bytes) -> deque[Late] | None:
        """Return those that stand in line at a name, in lower case; None: nobody does."""
        return self._names.get(name)

    def at_address(self, ncr: Request, name: bytes) -> list[Late]:
        """Return those whose reverse change a newer request overwrites, which is for this name."""
        guarded = ncr.kind in GUARDED
        return [
            *self._addresses.get((ncr.address, name), ()),
            *(late for late in self._addresses.get(ncr.address, ()) if late.name == name or not guarded),
        ]

    def enter(self, late: Late) -> None:
        """Let a request stand where it has changes left; its state says then whether it may begin."""
        late.state = FREE
        if late.forward_left:
            line = self._names.get(late.name)
            if line is None:
                self._names[late.name] = deque((late,))
            else:
                line.append(late)
                late.state = BEHIND
        if late.reverse_left:
            self._addresses.setdefault(_address_key(late), []).append(late)

    def leave_name(self, late: Late) -> Late | None:
        """Let a request leave its line; return the next one if that may begin now."""
        line = self._names[late.name]
        first = line[0] is late
        if first:
            line.popleft()
        elif line[-1] is late:
            line.pop()
        else:
            line.remove(late)
        if not line:
            del self._names[late.name]
        elif first and line[0].state == BEHIND:
            line[0].state = FREE
            return line[0]
        return None

    def leave_address(self, late: Late) -> None:
        """Let a request have nothing more to do with its address."""
        key = _address_key(late)
        others = self._addresses.get(key)
        if others is not None and late in others:
            others.remove(late)
            if not others:
                del self._addresses[key]


def _address_key(late: Late) -> bytes | tuple[bytes, bytes]:
    address = late.ncr.address
    return (address, late.name) if late.guarded else address

"""Late requests by what they change: the names at which they keep their order, and the addresses."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pyd2.update.late import BEHIND, FREE, GUARDED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from pyd2.packets.layer import Request
    from pyd2.update.late import Late, Place

Line: TypeAlias = "OrderedDict[Late, None]"
"""Those with a forward change left at one name, in their order."""


class Lines:
    """Who comes behind whom. Each step costs the same, however many there are at a name or an address."""

    def __init__(self) -> None:
        self._names: dict[bytes, Line] = {}
        """By name; only the first of each line may begin."""
        self._places: dict[Place, dict[Late, None]] = {}
        """Those with a reverse change left."""
        self._unguarded: dict[bytes, dict[bytes, int]] = {}
        """By address the names for which some of these are not guarded, and how many."""

    # Names.

    def last_at_name(self, name: bytes) -> Late | None:
        """Return the last of those that stand in line at a name, in lower case; None: nobody does."""
        line = self._names.get(name)
        return None if line is None else next(reversed(line))

    def stands(self, late: Late) -> bool:
        """Whether a request stands in line at its name."""
        return late in self._names.get(late.name, ())

    def is_first(self, late: Late) -> bool:
        """Whether nobody stands before a request that has a forward change left."""
        return next(iter(self._names[late.name])) is late

    def follower(self, late: Late) -> Late | None:
        """Return who stands next behind the first of a line."""
        followers = iter(self._names[late.name])
        next(followers)
        return next(followers, None)

    def enter_line(self, late: Late) -> None:
        """Let a request stand in line; its state says then whether it may begin."""
        late.state = FREE
        if late.forward_left:
            line = self._names.get(late.name)
            if line is None:
                line = self._names[late.name] = OrderedDict()
            else:
                late.state = BEHIND
            line[late] = None

    def leave_name(self, late: Late) -> Late | None:
        """Let a request leave its line; return the next one if that may begin now."""
        line = self._names[late.name]
        first = next(iter(line)) is late
        del line[late]
        if not line:
            del self._names[late.name]
        elif first:
            follower = next(iter(line))
            if follower.state == BEHIND:
                follower.state = FREE
                return follower
        return None

    # Addresses.

    def enter_address(self, late: Late) -> None:
        """Let a request stand where newer ones look that overwrite its reverse change, or elsewhere now."""
        place = (late.ncr.address, late.name, late.guarded, late.forward_left) if late.reverse_left else None
        if place == late.place:
            return
        self.leave_address(late)
        if place is not None:
            late.place = place
            self._places.setdefault(place, {})[late] = None
            if not late.guarded:
                names = self._unguarded.setdefault(late.ncr.address, {})
                names[late.name] = names.get(late.name, 0) + 1

    def leave_address(self, late: Late) -> None:
        """Let a request have nothing more to do with its address."""
        place = late.place
        if place is not None:
            del self._places[place][late]
            self._left(late, place)

    def _left(self, late: Late, place: Place) -> None:
        late.place = None
        if not self._places[place]:
            del self._places[place]
        address, name, guarded, _ = place
        if not guarded:
            names = self._unguarded[address]
            names[name] -= 1
            if not names[name]:
                del names[name]
                if not names:
                    del self._unguarded[address]

    def overwritten(self, ncr: Request, name: bytes) -> Iterator[Late]:
        """Take out, one after the other, those whose reverse change a newer request overwrites.

        ``name`` is its name in lower case. Those that stand in line there before it, it waits for itself, if
        it has a forward change. Others may enter and leave between two steps.
        """
        address = ncr.address
        for in_line in (False,) if ncr.forward_change else (False, True):
            for guarded in (False, True):
                yield from self._drain((address, name, guarded, in_line))
        if ncr.kind not in GUARDED:
            while (other := self._another_name(address, name)) is not None:
                for in_line in (False, True):
                    yield from self._drain((address, other, False, in_line))

    def _drain(self, place: Place) -> Iterator[Late]:
        while found := self._places.get(place):
            late, _ = found.popitem()
            self._left(late, place)
            yield late

    def _another_name(self, address: bytes, name: bytes) -> bytes | None:
        """Return a name other than this one for which an unguarded request stands at an address."""
        names = self._unguarded.get(address)
        if names is None:
            return None
        # The last is found at once, and the first is not, when many before it have left.
        other, count = names.popitem()
        if other == name and names:
            another, of_it = names.popitem()
            names[other] = count
            other, count = another, of_it
        names[other] = count
        return None if other == name else other

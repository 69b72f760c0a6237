"""The order of retries: per-name queues of forward changes, and reverse changes by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.containers import Chain, Link, Sharded
from pyd2.update.model.kinds import GUARDED
from pyd2.update.retry.request import BEHIND, FREE, RetryRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from pyd2.packets.layer import Request

    Key: TypeAlias = tuple[bytes, bytes, bool, bool]
    """What newer requests look for: the address, the name, whether the reverse change is guarded, and
    whether the request also stands in the queue of its name.
    """


class Place(Chain[RetryRequest]):
    """Requests with a reverse change left that newer requests overwrite under the same conditions."""

    __slots__ = ("key", "link")

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key
        self.link: Link[Place] | None = None
        """Its place among those of its address that are not guarded."""


class NameQueues:
    """Which request comes behind which. Each step costs the same, however many share a name or an address."""

    def __init__(self) -> None:
        self._names: Sharded[bytes, Link[RetryRequest]] = Sharded()
        """The last of each per-name queue: of those with a forward change left. Only the first may begin."""
        self._places: Sharded[Key, Place] = Sharded()
        """Those with a reverse change left."""
        self._unguarded: Sharded[bytes, Chain[Place]] = Sharded()
        """Of these, by address, the places of requests that are not guarded."""

    # Names.

    def last_at_name(self, name: bytes) -> RetryRequest | None:
        """Return the last in the queue of a name, in lower case; None: there is no queue."""
        last = self._names.part(name).get(name)
        return None if last is None else last.item

    @staticmethod
    def stands(late: RetryRequest) -> bool:
        """Whether a request stands in the queue of its name."""
        return late.in_line is not None

    @staticmethod
    def is_first(late: RetryRequest) -> bool:
        """Whether no other request stands before one that has a forward change left."""
        return late.in_line is not None and late.in_line.before is None

    @staticmethod
    def follower(late: RetryRequest) -> RetryRequest | None:
        """Return the request right behind another one in the queue of their name."""
        behind = None if late.in_line is None else late.in_line.behind
        return None if behind is None else behind.item

    def enter_line(self, late: RetryRequest) -> None:
        """Let a request queue at its name; its state says then whether it may begin."""
        late.state = FREE
        if late.forward_left:
            names = self._names.part(late.name)
            last = names.get(late.name)
            if last is not None:
                late.state = BEHIND
            late.in_line = names[late.name] = Link(late, last)

    def leave_name(self, late: RetryRequest) -> RetryRequest | None:
        """Let a request leave the queue of its name; return the next one if that may begin now."""
        link = late.in_line
        assert link is not None
        late.in_line = None
        before, behind = link.before, link.behind
        link.leave()
        if behind is None:
            names = self._names.part(late.name)
            if before is None:
                del names[late.name]
            else:
                names[late.name] = before
        elif before is None and behind.item.state == BEHIND:
            behind.item.state = FREE
            return behind.item
        return None

    # Addresses.

    def enter_address(self, late: RetryRequest) -> None:
        """Let newer requests find a request that they overwrite, where it stands now."""
        key = (late.ncr.address, late.name, late.guarded, late.forward_left) if late.reverse_left else None
        if key == (None if late.place is None else late.place.key):
            return
        self.leave_address(late)
        if key is None:
            return
        places = self._places.part(key)
        place = places.get(key)
        if place is None:
            place = places[key] = Place(key)
            if not late.guarded:
                address = late.ncr.address
                place.link = self._unguarded.part(address).setdefault(address, Chain()).append(place)
        late.place = place
        late.at_place = place.append(late)

    def leave_address(self, late: RetryRequest) -> None:
        """Let no newer request find a request any more."""
        place, link = late.place, late.at_place
        if place is None or link is None:
            return
        late.place = late.at_place = None
        place.remove(link)
        if not place:
            del self._places.part(place.key)[place.key]
            if place.link is not None:
                address = place.key[0]
                places = self._unguarded.part(address)[address]
                places.remove(place.link)
                if not places:
                    del self._unguarded.part(address)[address]

    def overwritten(self, ncr: Request, name: bytes) -> Iterator[RetryRequest]:
        """Take out, one after the other, those whose reverse change a newer request overwrites.

        ``name`` is its name in lower case. If the newer request has a forward change, it waits for those in
        the queue of that name and does not overwrite them. Others may enter and leave between two steps.
        """
        address = ncr.address
        for in_line in (False,) if ncr.forward_change else (False, True):
            for guarded in (False, True):
                key = (address, name, guarded, in_line)
                while (place := self._places.part(key).get(key)) is not None:
                    yield self._take_last(place)
        if ncr.kind not in GUARDED:
            while (other := self._of_another_name(address, name)) is not None:
                yield self._take_last(other)

    def _take_last(self, place: Place) -> RetryRequest:
        assert place.last is not None
        late = place.last.item
        self.leave_address(late)
        return late

    def _of_another_name(self, address: bytes, name: bytes) -> Place | None:
        """Return a place at an address, not guarded, of a name other than this one."""
        places = self._unguarded.part(address).get(address)
        link = None if places is None else places.last
        while link is not None and link.item.key[1] == name:  # of each name there are two at most
            link = link.before
        return None if link is None else link.item

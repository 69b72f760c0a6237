"""The order of retries: per-name queues of forward changes, and reverse changes by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.containers import Chain, Link, Sharded
from pyd2.update.model.kinds import GUARDED
from pyd2.update.retry.request import PtrGroup
from pyd2.update.retry.states import Event, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.packets.layer import Request
    from pyd2.update.retry.request import PtrKey, RetryRequest


class NameQueues:
    """Which request waits behind which. Each step costs the same, however many share a name or an address."""

    def __init__(self) -> None:
        self._names: Sharded[bytes, Link[RetryRequest]] = Sharded()
        """The last of each per-name queue: of those with a forward change left. Only the first may begin."""
        self._ptr_groups: Sharded[PtrKey, PtrGroup] = Sharded()
        """Those with a reverse change left."""
        self._unguarded: Sharded[bytes, Chain[PtrGroup]] = Sharded()
        """Of these, by address, the groups of requests that are not guarded."""

    # Names.

    def last_at_name(self, name: bytes) -> RetryRequest | None:
        """Return the last in the queue of a name, in lower case; None: there is no queue."""
        last = self._names.part(name).get(name)
        return None if last is None else last.item

    @staticmethod
    def is_queued(retry: RetryRequest) -> bool:
        """Whether a request is in the queue of its name."""
        return retry.in_name_queue is not None

    @staticmethod
    def is_first(retry: RetryRequest) -> bool:
        """Whether no request is before this one in the queue of its name, or it is in no such queue."""
        return retry.in_name_queue is None or retry.in_name_queue.before is None

    @staticmethod
    def follower(retry: RetryRequest) -> RetryRequest | None:
        """Return the request right behind another one in the queue of their name."""
        behind = None if retry.in_name_queue is None else retry.in_name_queue.behind
        return None if behind is None else behind.item

    def enter_name(self, retry: RetryRequest) -> None:
        """Add a request to the queue of its name, if it has a forward change left."""
        if retry.forward_left:
            names = self._names.part(retry.name)
            retry.in_name_queue = names[retry.name] = Link(retry, names.get(retry.name))

    def leave_name(self, retry: RetryRequest) -> RetryRequest | None:
        """Remove a request from the queue of its name; return the next one if that is READY now."""
        link = retry.in_name_queue
        assert link is not None
        retry.in_name_queue = None
        before, behind = link.before, link.behind
        link.leave()
        if behind is None:
            names = self._names.part(retry.name)
            if before is None:
                del names[retry.name]
            else:
                names[retry.name] = before
        elif before is None and behind.item.state is State.BEHIND:
            behind.item.change(Event.IS_FIRST)
            return behind.item
        return None

    # Addresses.

    def enter_address(self, retry: RetryRequest) -> None:
        """Enter a request where newer ones that overwrite it look for it, by what is left of it now."""
        key = None
        if retry.reverse_left:
            key = (retry.ncr.address, retry.name, retry.guarded, retry.forward_left)
        if key == (None if retry.ptr_group is None else retry.ptr_group.key):
            return
        self.leave_address(retry)
        if key is None:
            return
        groups = self._ptr_groups.part(key)
        group = groups.get(key)
        if group is None:
            group = groups[key] = PtrGroup(key)
            if not retry.guarded:
                address = retry.ncr.address
                group.link = self._unguarded.part(address).setdefault(address, Chain()).append(group)
        retry.ptr_group = group
        retry.in_ptr_group = group.append(retry)

    def leave_address(self, retry: RetryRequest) -> None:
        """Remove a request from where newer ones look for it."""
        group, link = retry.ptr_group, retry.in_ptr_group
        if group is None or link is None:
            return
        retry.ptr_group = retry.in_ptr_group = None
        group.remove(link)
        if not group:
            del self._ptr_groups.part(group.key)[group.key]
            if group.link is not None:
                address = group.key[0]
                groups = self._unguarded.part(address)[address]
                groups.remove(group.link)
                if not groups:
                    del self._unguarded.part(address)[address]

    def overwritten(self, ncr: Request, name: bytes) -> Iterator[RetryRequest]:
        """Remove and yield, one by one, the requests whose reverse change a newer request overwrites.

        ``name`` is its name in lower case. If the newer request has a forward change, it waits for those in
        the queue of that name and does not overwrite them. Others may enter and leave between two steps.
        """
        address = ncr.address
        for in_name_queue in (False,) if ncr.forward_change else (False, True):
            for guarded in (False, True):
                key = (address, name, guarded, in_name_queue)
                while (group := self._ptr_groups.part(key).get(key)) is not None:
                    yield self._pop_last(group)
        if ncr.kind not in GUARDED:
            while (other := self._of_another_name(address, name)) is not None:
                yield self._pop_last(other)

    def _pop_last(self, group: PtrGroup) -> RetryRequest:
        assert group.last is not None
        retry = group.last.item
        self.leave_address(retry)
        return retry

    def _of_another_name(self, address: bytes, name: bytes) -> PtrGroup | None:
        """Return a group at an address, not guarded, of a name other than this one."""
        groups = self._unguarded.part(address).get(address)
        link = None if groups is None else groups.last
        while link is not None and link.item.key[1] == name:  # of each name there are two at most
            link = link.before
        return None if link is None else link.item

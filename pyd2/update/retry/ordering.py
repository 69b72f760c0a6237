"""The order of retries: per-name queues of forward changes, and reverse changes by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.containers import Chain, Link, Sharded
from pyd2.update.model.kinds import PTR_CHANGES, PtrChange
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
        """Of these, by address, the groups that newer requests for other names overwrite."""

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
            key = (retry.ncr.address, retry.name, retry.ptr_change, retry.forward_left)
        if key == (None if retry.ptr_group is None else retry.ptr_group.key):
            return
        self.leave_address(retry)
        if key is None:
            return
        groups = self._ptr_groups.part(key)
        group = groups.get(key)
        if group is None:
            group = groups[key] = PtrGroup(key)
            if retry.ptr_change is not PtrChange.REMOVES_OWN:
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
        address, change = ncr.address, PTR_CHANGES[ncr.kind]
        for in_name_queue in (False,) if ncr.forward_change else (False, True):
            for older in PtrChange:
                key = (address, name, older, in_name_queue)
                while overwrites(change, older) and (group := self._ptr_groups.part(key).get(key)):
                    yield self._pop_last(group)
        if change is not PtrChange.REMOVES_OWN:
            while (other := self._of_another_name(address, name)) is not None:
                yield self._pop_last(other)

    def effective(self, ncr: Request, name: bytes) -> Request:
        """Return a newer request as it is to be carried out: mostly as it is.

        A removal without a forward change would look in vain for a PTR that a request in the queue of its
        name was to set: it overwrites the reverse change of that one.
        """
        looks = PTR_CHANGES[ncr.kind] is PtrChange.REMOVES_OWN and not ncr.forward_change
        return ncr.ptr_removal() if looks and self._any((ncr.address, name, PtrChange.SETS, True)) else ncr

    def may_remove_ptr(self, retry: RetryRequest) -> bool:
        """Whether a request that would set a PTR is to remove it instead, for a removal that looks for it."""
        return (
            retry.ptr_change is PtrChange.SETS and not retry.forward_left
            and not self._any((retry.ncr.address, retry.name, PtrChange.REMOVES, False))
        )

    def newer_change(self, retry: RetryRequest) -> PtrChange | None:
        """Return which change overwrites that of a request that has just left the queue of its name.

        None: that of no request in the queue does.
        """
        for newer in PtrChange:
            key = (retry.ncr.address, retry.name, newer, True)
            if overwrites(newer, retry.ptr_change) and self._any(key):
                return newer
        return None

    def _any(self, key: PtrKey) -> bool:
        return key in self._ptr_groups.part(key)

    def _pop_last(self, group: PtrGroup) -> RetryRequest:
        assert group.last is not None
        retry = group.last.item
        self.leave_address(retry)
        return retry

    def _of_another_name(self, address: bytes, name: bytes) -> PtrGroup | None:
        """Return a group at an address that requests for this name overwrite, of another name."""
        groups = self._unguarded.part(address).get(address)
        link = None if groups is None else groups.last
        while link is not None and link.item.key[1] == name:  # of each name there are four at most
            link = link.before
        return None if link is None else link.item


def overwrites(newer: PtrChange, older: PtrChange) -> bool:
    """Whether a newer change of the PTR of an address overwrites an older one for the same name.

    Of two removals that differ in what they look for, either may come first.
    """
    return newer is not PtrChange.REMOVES_OWN or older is not PtrChange.REMOVES

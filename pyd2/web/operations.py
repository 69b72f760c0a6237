"""The commands by which the web page changes something: they are there if a socket has ``"web": "operate"``.

``pyd2-retry-now`` begins all retries. Dead letters, which the durable queue keeps of requests that failed for
good, are listed, tried again, and removed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pyd2.control.answer import error, success
from pyd2.data.counted import counted
from pyd2.data.element import Element, from_plain
from pyd2.errors import NcrError, Pyd2Error
from pyd2.ncr import decode
from pyd2.queue.interface import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.switches import QueueSwitches
    from pyd2.control.registry import CommandRegistry
    from pyd2.data.element import Plain
    from pyd2.queue.durable import DurableQueue
    from pyd2.queue.interface import DeadLetter, DeadLetters
    from pyd2.update.engine import Engine

MOST: Final = 500
"""Dead letters of one command at most."""
_LARGEST: Final = 2**63 - 1
_NO_QUEUE: Final = "there is no durable queue: only that keeps dead letters"

T = TypeVar("T")


class Operable(Protocol):
    """What these commands need of the service."""

    def operate(self, action: Callable[[Engine, DurableQueue], T]) -> T:
        """Have an action carried out on the update thread, between two turns of its loop."""


class Operations:
    """The commands under one configuration."""

    def __init__(self, service: Operable, queue: QueueSwitches) -> None:
        self._service = service
        self._queue = queue
        self._handlers = {
            "pyd2-retry-now": self.retry_now,
            "pyd2-dead-letter-list": self.list_dead_letters,
            "pyd2-dead-letter-retry": lambda arguments: self._end(arguments, again=True),
            "pyd2-dead-letter-remove": lambda arguments: self._end(arguments, again=False),
        }

    def offer(self, registry: CommandRegistry, *, wanted: bool) -> None:
        """Offer the commands from now on, in place of those of an earlier configuration; or no more."""
        for name, handler in self._handlers.items():
            if registry.has(name):
                registry.deregister(name)
            if wanted:
                registry.register(name, handler)

    def retry_now(self, _arguments: Element | None) -> Element:
        """Begin all retries."""
        now, wall = time.monotonic(), time.time()
        count = self._service.operate(lambda engine, _: engine.try_again(now, wall))
        return success(f"Begun again: {counted(count, 'request')}.", Element({"requests": Element(count)}))

    def list_dead_letters(self, arguments: Element | None) -> Element:
        """List dead letters, the newest first: at most ``limit`` with numbers below ``before``."""
        limit = _number(arguments, "limit", 50, MOST)
        before = _number(arguments, "before", _LARGEST, _LARGEST)
        if not self._queue.on_disk:
            return error(_NO_QUEUE)
        try:
            found, total = self._dead_letters().page(limit, before)
        except Pyd2Error as fault:
            return error(str(fault))
        listed: list[Plain] = [_dead_letter_map(dead_letter) for dead_letter in found]
        return success(arguments=from_plain({"dead-letters": listed, "total": total}))

    def _end(self, arguments: Element | None, *, again: bool) -> Element:
        """Remove the dead letters of ``numbers``; ``again``: their requests are processed once more."""
        numbers = _numbers(arguments)
        if not self._queue.on_disk:
            return error(_NO_QUEUE)
        try:
            found = self._dead_letters().of_numbers(numbers)
        except Pyd2Error as fault:
            return error(str(fault))
        if len(found) != len(numbers):
            missing = sorted(set(numbers) - {dead_letter.number for dead_letter in found})
            return error(f"there is no dead letter {', '.join(map(str, missing))}; nothing was changed")
        why_not = self._service.operate(lambda _, queue: queue.remove_dead(found, again=again))
        if why_not:
            return error(f"nothing was changed in the durable queue: {why_not}")
        return success(f"{'Begun again' if again else 'Removed'}: {counted(len(found), 'dead letter')}.")

    def _dead_letters(self) -> DeadLetters:
        """Return what reads them. Raises StoreError if the main thread would wait for a disk that hangs."""
        found = self._service.operate(lambda _, queue: queue.dead_letters())
        if found is None:
            raise StoreError("the durable queue waits for its disk: 'status-get' says when it is in use")
        return found


def _dead_letter_map(dead_letter: DeadLetter) -> Plain:
    try:
        ncr = decode(dead_letter.datagram)
    except NcrError as fault:
        text = f"invalid: {fault}"
    else:
        text = f"{ncr.change_type.name.lower()} {ncr.fqdn} {ncr.address_text}"
    number, taken, died, reason, _ = dead_letter
    return {"number": number, "taken": taken, "died": died, "reason": reason, "request": text}


def _argument(arguments: Element | None, name: str) -> Element | None:
    return arguments.get(name) if arguments is not None and isinstance(arguments.value, dict) else None


def _number(arguments: Element | None, name: str, default: int, most: int) -> int:
    given = _argument(arguments, name)
    if given is None:
        return default
    if type(given.value) is not int or not 1 <= given.value <= most:
        raise ValueError(f"'{name}' must be a number from 1 to {most}")
    return given.value


def _numbers(arguments: Element | None) -> Sequence[int]:
    given = _argument(arguments, "numbers")
    values = (
        [each.value for each in given.value] if given is not None and isinstance(given.value, list) else []
    )
    numbers = [value for value in values if type(value) is int and 0 < value <= _LARGEST]
    if not 1 <= len(values) <= MOST or len(numbers) != len(values):
        raise ValueError(f"'numbers' must be a list of 1 to {MOST} numbers of dead letters")
    return list(dict.fromkeys(numbers))

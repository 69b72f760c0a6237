"""What the engine hands to its shell: one ``Output`` for all that has come since the last one.

The parts of the engine add to one ``OutputBuffer``. After each turn ``Engine.collect_output`` drains it: the
shell sends the messages, passes the hook jobs on, and reports the rest to the durable queue. Nothing in the
engine reads what it has added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyd2.packets.layer import Request
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.inflight.contract import Outgoing
    from pyd2.update.retry.request import RetryRequest
    from pyd2.update.server.lane import Lane


class DeadLetter(NamedTuple):
    """A request that has failed for good, in a configuration with retries."""

    ncr: Request
    reason: str


class Amendment(NamedTuple):
    """What is left to do of a request in the durable queue.

    After a restart it must come as a request for these changes only: newer requests may have been carried out
    meanwhile, and what it has done already, or leaves to others, must not undo their changes.
    """

    number: int
    """Of the request in the durable queue."""
    forward: bool
    """Whether the forward change is left; this or ``reverse`` is."""
    reverse: bool


class Output(NamedTuple):
    """What the engine has for its shell, each sequence in the order in which things happened.

    Amendments are reported before the ends of requests: ``finished`` is final.
    """

    posted: Collection[Lane] = ()
    """Lanes with messages in their outbox in C, to be sent from there before ``outgoing``; each lane once."""
    outgoing: Sequence[Outgoing] = ()
    """Messages made in Python, to be sent."""
    hook_jobs: Sequence[HookJob[Any]] = ()
    """Jobs to ``run`` on the hook thread, each then to be passed to ``Engine.end_hook_jobs``."""
    finished: Sequence[int] = ()
    """The numbers in the durable queue of requests that have ended for good."""
    amended: Sequence[Amendment] = ()
    """Requests of the durable queue that have less left to do."""
    dead_letters: Sequence[DeadLetter] = ()
    """Requests that have failed for good; if they have numbers, these are in ``finished``, too."""


class OutputBuffer:
    """Where the parts of the engine add what is for the shell."""

    __slots__ = ("amended", "dead_letters", "finished", "hook_jobs", "outgoing", "posted", "slot")

    def __init__(self) -> None:
        self.posted: dict[Lane, None] = {}
        self.outgoing: list[Outgoing] = []
        self.hook_jobs: list[HookJob[Any]] = []
        self.finished: list[int] = []
        self.amended: list[RetryRequest] = []
        """Requests whose ``forward_left`` and ``reverse_left`` count when the shell collects them."""
        self.dead_letters: list[DeadLetter] = []
        self.slot = -1
        """A random number that chooses the local port for all messages of this output; -1: not drawn yet.

        What goes out together goes from one port: a single system call can send it.
        """

    def __bool__(self) -> bool:
        return bool(
            self.posted or self.outgoing or self.finished or self.hook_jobs or self.amended
            or self.dead_letters
        )

    def drain(self) -> Output:
        """Return all there is, and begin again."""
        self.slot = -1
        output = Output(
            self.posted or (), self.outgoing or (), self.hook_jobs or (), self.finished or (),
            self._amendments() if self.amended else (), self.dead_letters or (),
        )
        if self.posted:
            self.posted = {}
        if self.outgoing:
            self.outgoing = []
        if self.hook_jobs:
            self.hook_jobs = []
        if self.finished:
            self.finished = []
        if self.dead_letters:
            self.dead_letters = []
        return output

    def _amendments(self) -> list[Amendment]:
        amended, self.amended = self.amended, []
        return [
            Amendment(retry.ncr.number, retry.forward_left, retry.reverse_left)
            for retry in amended if retry.forward_left or retry.reverse_left
        ]

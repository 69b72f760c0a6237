"""The states of the durable queue: one table of every transition between them.

Theory of operation
-------------------
The queue is in one state at a time, and leaves it only by ``moved``, which looks the transition up in
``TABLE``: one that is not there is a defect and ends the daemon's service. Most have a message. What each
state promises is in docs/durable-queue.md.

A request that comes in is *taken* when it may begin. While the queue is in use, that is when the request is
on the disk. A store's content is known by its ``Identity``: in SQLite device and inode of the file, and 16
random octets that a daemon writes into it at each opening. Content that this daemon has not read is *unread*:
nothing of it is removed. When this daemon has used no store yet, the requests of an unread one are carried
out as far as no newer request of the same client was taken meanwhile (``ncrs``); else it is set aside.

No change removes the only copy of a request: a new file is complete and on the disk before the old one leaves
its place (``sqlite/folder.py``).
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where the durable queue stands."""

    CLOSED = "closed"
    OPENING = "opening"
    IN_USE = "in use"
    UNUSABLE = "unusable"
    RESUMING = "resuming"
    RETIRED = "retired"


class Trigger(Enum):
    """What leads from one state to another."""

    WANTED = "the configuration asks for the durable queue"
    READ = "the file is open and was read"
    RESTORED = "the file holds what waits"
    STALLED = "the disk has not answered for 3 seconds"
    FAILED = "the file cannot be used"
    RETRY = "it is time to try again (1 to 30 seconds)"
    WAIVED = "the configuration no longer asks for it"
    EMPTIED = "all requests of the file have ended"
    STOPPED = "the daemon stops"


TABLE: Final[dict[tuple[State, Trigger], tuple[State, str]]] = {
    (State.CLOSED, Trigger.WANTED): (State.OPENING, ""),
    (State.OPENING, Trigger.READ): (State.IN_USE, "PYD2_QUEUE_OPENED"),
    (State.OPENING, Trigger.RESTORED): (State.IN_USE, "PYD2_QUEUE_OPENED"),
    (State.OPENING, Trigger.STALLED): (State.RESUMING, "PYD2_QUEUE_FAILED"),
    (State.OPENING, Trigger.FAILED): (State.UNUSABLE, "PYD2_QUEUE_FAILED"),
    (State.OPENING, Trigger.WAIVED): (State.RETIRED, "PYD2_QUEUE_RETIRED"),
    (State.IN_USE, Trigger.STALLED): (State.RESUMING, "PYD2_QUEUE_FAILED"),
    (State.IN_USE, Trigger.FAILED): (State.UNUSABLE, "PYD2_QUEUE_FAILED"),
    (State.IN_USE, Trigger.WAIVED): (State.RETIRED, "PYD2_QUEUE_RETIRED"),
    (State.UNUSABLE, Trigger.RETRY): (State.RESUMING, ""),
    (State.UNUSABLE, Trigger.WAIVED): (State.RETIRED, "PYD2_QUEUE_RETIRED"),
    (State.RESUMING, Trigger.RESTORED): (State.IN_USE, "PYD2_QUEUE_RESUMED"),
    (State.RESUMING, Trigger.FAILED): (State.UNUSABLE, "PYD2_QUEUE_FAILED"),
    (State.RESUMING, Trigger.WAIVED): (State.RETIRED, "PYD2_QUEUE_RETIRED"),
    (State.RETIRED, Trigger.WANTED): (State.OPENING, ""),
    (State.RETIRED, Trigger.EMPTIED): (State.CLOSED, "PYD2_QUEUE_CLOSED"),
    (State.RETIRED, Trigger.FAILED): (State.CLOSED, "PYD2_QUEUE_LEFT_BEHIND"),
    **{(state, Trigger.STOPPED): (State.CLOSED, "PYD2_QUEUE_KEPT or PYD2_QUEUE_LOST, if requests wait")
       for state in State if state is not State.CLOSED},
}  # fmt: skip
"""The state to which a trigger leads, and the message that is logged."""


def moved(state: State, trigger: Trigger) -> tuple[State, str]:
    """Return the state that follows, and the message. Raises RuntimeError if the table has none."""
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise RuntimeError(f"the durable queue is {state.value}, and {trigger.value}") from None

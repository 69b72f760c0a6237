"""The states of a request in the retry queue: a table that says which event leads from which state to which.

``RetryRequest.change`` is the only place where a state changes, and it refuses what is not in the table.
docs/retry.md shows the table, printed from here by docs/generate.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from pyd2.errors import Pyd2Error


class State(IntEnum):
    """What a request waits for. An IntEnum, since its hash and comparison are in C."""

    NEW = 0
    READY = 1
    BEHIND = 2
    HELD = 3
    PARKED = 4
    UNDER_WAY = 5
    ENDED = 6


class Event(IntEnum):
    """What happens to a request."""

    IS_FIRST = 0
    IS_BEHIND = 1
    OVERWRITES_MANY = 2
    PARKS = 3
    BEGINS = 4
    FAILS = 5
    ENDS = 6


MEANINGS: Final = {
    State.NEW: "It is not in the retry queue yet.",
    State.READY: "The scheduler looks at it as soon as it can: tries it, parks it or lets it wait for a PTR.",
    State.BEHIND: "It waits for an earlier change of its name, or for an earlier PTR change of its address.",
    State.HELD: "It waits until older requests have lost the PTR changes that it overwrites.",
    State.PARKED: "It waits in a parking group for the end of its pause, for its servers or for free places.",
    State.UNDER_WAY: "Its transaction is under way, or waits for another one of its client.",
    State.ENDED: "It is done, given up or superseded, and no longer in the retry queue.",
}
"""In plain words, each with the request as its subject."""


class Rule(NamedTuple):
    """One row of the table."""

    state: State
    event: Event
    to: State
    why: str
    """The rule in one sentence."""


RULES: Final = (
    Rule(State.NEW, Event.IS_FIRST, State.READY,
         "It has failed, or has come while an older PTR change of its address waits; no earlier change "
         "of its name does."),
    Rule(State.NEW, Event.IS_BEHIND, State.BEHIND,
         "An earlier change of its name waits, and the changes of one name keep their order."),
    Rule(State.READY, Event.OVERWRITES_MANY, State.HELD,
         "Only its PTR change is left, and more older ones lose theirs to it than one turn deals with."),
    Rule(State.PARKED, Event.OVERWRITES_MANY, State.HELD,
         "The same, after a pause."),
    Rule(State.HELD, Event.IS_FIRST, State.READY,
         "All PTR changes that it overwrites are dealt with."),
    Rule(State.READY, Event.IS_BEHIND, State.BEHIND,
         "Only its PTR change is left, and it must wait for an older one of its address."),
    Rule(State.PARKED, Event.IS_BEHIND, State.BEHIND,
         "The same, after a pause."),
    Rule(State.BEHIND, Event.IS_FIRST, State.READY,
         "The last change of its name that was before it has ended, or the PTR change that it waited for."),
    Rule(State.READY, Event.PARKS, State.PARKED,
         "It waits for the end of its pause, or its servers are down or have no free places."),
    Rule(State.PARKED, Event.PARKS, State.PARKED,
         "It was woken, but its servers are still down or have no free places."),
    Rule(State.READY, Event.BEGINS, State.UNDER_WAY,
         "Its servers have free places."),
    Rule(State.PARKED, Event.BEGINS, State.UNDER_WAY,
         "Its pause is over, a server answers again, or it is sent to find out whether one does."),
    Rule(State.UNDER_WAY, Event.FAILS, State.READY,
         "It has failed again, for a reason that may pass, or has made its forward change only."),
    Rule(State.READY, Event.ENDS, State.ENDED,
         "A newer request makes it superfluous, it has been tried for long enough, or it would have to wait "
         "beyond the share of its domain."),
    Rule(State.BEHIND, Event.ENDS, State.ENDED,
         "A newer request makes it superfluous."),
    Rule(State.HELD, Event.ENDS, State.ENDED,
         "A newer request makes it superfluous."),
    Rule(State.PARKED, Event.ENDS, State.ENDED,
         "A newer request makes it superfluous, it has been tried for long enough, or it would have to wait "
         "beyond the share of its domain."),
    Rule(State.UNDER_WAY, Event.ENDS, State.ENDED,
         "Its transaction has ended for good."),
)
"""All changes that there are."""

_NEXT: Final = {(rule.state, rule.event): rule.to for rule in RULES}


class TransitionError(Pyd2Error):
    """A change that is not in the table: the retry queue has a bug."""


def next_state(state: State, event: Event) -> State:
    """Return the state that an event leads to. Raises TransitionError if the table has no such rule."""
    try:
        return _NEXT[state, event]
    except KeyError:
        raise TransitionError(f"a retry that is {state.name} cannot change by {event.name}") from None

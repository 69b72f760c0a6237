"""Retries of clients that share addresses, one after the other; also without forward zones, or with names.

The PTR of the client that came last must stay, whatever has waited for how long. ``test_retry_states.py``
has the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from pyd2.dns.constants import Rcode
from pyd2.update.retry.states import State
from tests.update.retry.test_retry_states import MODES, FailoverStates, RetryStates

if TYPE_CHECKING:
    from pyd2.update.retry.request import RetryRequest

STEPS = 1000
"""What happens until a request has ended or waits to be tried again; far more than it takes."""


class Shared(RetryStates):
    """All clients have the same addresses.

    Requests of different clients keep their order from the moment they begin to wait, and no sooner; so each
    one has to wait, or to have ended, before the next one comes.
    """

    apart = 0

    def give(self, number: int, data: bytes) -> None:
        super().give(number, data)
        for _ in range(STEPS):
            self.forget_finished()
            if number not in self.held or self.retry(number):
                return
            assert self.d2.step()
        pytest.fail("a request neither ends nor waits")

    def retry(self, number: int) -> RetryRequest | None:
        """Return a request if it is a retry."""
        return next((each for each in self.d2.engine._retries._all if each.ncr.number == number), None)


class SharedFailover(Shared, FailoverStates):
    """The same with fail-over, and clients with addresses of both families."""


class ReverseOnly(Shared):
    """There are no forward zones: a request is its PTR change."""

    forward = False


class ReverseOnlyFailover(ReverseOnly, SharedFailover):
    """And both."""


class SharedNames(Shared):
    """All clients have the same names, too, but none with other records (docs/retry.md, what may change)."""

    shares_names = True

    def ask(self, client: int, *arguments: Any, name: str = "h") -> None:
        if name == "h":
            super().ask(client, *arguments)


MACHINES = [Shared, SharedFailover, ReverseOnly, ReverseOnlyFailover]


@pytest.mark.parametrize("machine", [*MACHINES, SharedNames])
def test_the_zones_are_as_if_nothing_had_been_wrong(machine: type[Shared]) -> None:
    how = settings(max_examples=100, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(machine, settings=how)


def end(states: Shared, *, restarts: bool) -> None:
    """Let all servers work again, after a restart if one is wanted, and compare the zones."""
    if restarts:
        states.restart()
    states.mend_server(1)
    states.mend_server(2)
    states.teardown()


# Histories that the machine meets in one of some hundred runs. ``a.test.`` is at port 1; ``b.test.`` and the
# addresses are at port 2.


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("restarts", [False, True])
def test_two_that_wait(machine: type[Shared], *, restarts: bool) -> None:
    """The newer one does so behind the older one."""
    states = machine()
    states.break_server(2, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.ask(1, "a", 0, 1)
    end(states, restarts=restarts)


@pytest.mark.parametrize("restarts", [False, True])
def test_an_older_one_that_has_lost_its_ptr_does_not_get_it_back(*, restarts: bool) -> None:
    states = Shared()
    states.break_server(1, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.ask(1, "b", 0, 1)
    states.wait(0.3)
    states.forget_finished()
    assert list(states.held) == [1]
    end(states, restarts=restarts)


@pytest.mark.parametrize("machine", MACHINES)
def test_an_older_one_is_under_way(machine: type[Shared]) -> None:
    """Its update is sent again after the newer one has come, and must not be the last one."""
    states = machine()
    states.break_server(2, "silent")
    states.ask(0, "a", 0, 1)
    older = states.retry(1)
    assert older is not None
    while older.state is not State.UNDER_WAY:
        assert states.d2.step()
    states.ask(1, "a", 0, 1)
    end(states, restarts=False)


@pytest.mark.parametrize("restarts", [False, True])
def test_another_client_takes_no_name_that_an_older_one_waits_for(*, restarts: bool) -> None:
    """Though all else is the same: it fails, since the name is the older one's then."""
    states = SharedNames()
    states.break_server(1, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.ask(len(MODES), "a", 0, 1)
    end(states, restarts=restarts)

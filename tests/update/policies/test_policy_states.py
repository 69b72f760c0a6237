"""The machine of states.py, for a short time; ``python -m tests.update.policies`` runs it for long."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.update.policies.states import PolicyStates


def test_no_client_changes_what_is_another_ones() -> None:
    how = settings(max_examples=25, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(PolicyStates, settings=how)

"""All targets that run in this process, by name."""

from __future__ import annotations

from tests.fuzz.api_target import ApiTarget
from tests.fuzz.command_target import CommandTarget
from tests.fuzz.config_target import ConfigTarget
from tests.fuzz.http_target import HttpTarget
from tests.fuzz.lease_target import LeaseTarget
from tests.fuzz.ncr_target import NcrTarget
from tests.fuzz.reply_target import ReplyTarget
from tests.fuzz.ticket_target import TicketTarget
from tests.fuzz.tkey_target import TkeyTarget

ALL = {
    target.name: target
    for target in (
        NcrTarget, ReplyTarget, CommandTarget, HttpTarget, ConfigTarget, LeaseTarget, TkeyTarget,
        TicketTarget, ApiTarget,
    )
}
SHORT = {name: target for name, target in ALL.items() if target is not ApiTarget}
"""Those of which the test suite runs a short form; the API has its own in ``tests/web``."""
TARGETS = {name: target for name, target in SHORT.items() if target is not TicketTarget}
"""Those that the guided fuzzing knows."""

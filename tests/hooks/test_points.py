"""The table of hook points."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyd2.hooks.points import COMMAND, POINTS, RULES, Kind, command_of_hook, hook_of_command, kind_of
from pyd2.profiles.kea_2_6 import KEA_2_6
from pyd2.profiles.kea_3_0 import KEA_3_0

DOCUMENT = Path(__file__).parents[2] / "docs" / "hooks.md"


def test_the_points_stand_in_the_order_of_registration() -> None:
    """Kea walks a sorted map of names."""
    assert list(POINTS) == sorted(POINTS)
    assert all(point.name == name for name, point in POINTS.items())


def test_each_point_is_in_a_profile() -> None:
    """The daemon goes by its profile: a point that only the default rules have is never called there."""
    assert {*KEA_2_6.hooks.points, *KEA_3_0.hooks.points} == set(RULES.points)


@pytest.mark.parametrize(("command", "hook", "listed"), [
    ("config-get", "$config_get", "config-get"), ("a_b-c", "$a_b_c", "a-b-c"), ("x", "$x", "x"),
])
def test_commands_have_hook_names(command: str, hook: str, listed: str) -> None:
    assert hook_of_command(command) == hook
    assert command_of_hook(hook) == listed


@pytest.mark.parametrize(("hook", "argument", "kind"), [
    ("$anything", "response", Kind.JSON), ("select_key", "tsig_key", Kind.KEY), ("select_key", "other", None),
    ("context_create", "tsig_key", None), ("d2_srv_configured", "error", Kind.TEXT),
])
def test_the_kind_of_an_argument(hook: str, argument: str, kind: Kind | None) -> None:
    """All commands are one point."""
    assert kind_of(hook, argument) is kind


def test_the_guide_lists_every_point_and_argument() -> None:
    """The guide's table is the table of the code."""
    rows = [
        tuple(re.sub(r"`", "", cell).strip() for cell in line.strip("|").split("|"))[:4]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| `") and line.count("|") == 7
    ]
    assert rows == [
        (point.name.replace("$command", "$my_command"), argument.name, "in, out" if argument.out else "in",
         argument.meaning)
        for point in (*POINTS.values(), COMMAND)
        for argument in point.arguments
    ]

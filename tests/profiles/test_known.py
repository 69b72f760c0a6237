"""The profiles that pyd2 knows, and what makes one release of a series differ from another."""

from __future__ import annotations

import pytest

from pyd2.control.answer import ERROR, FATAL_ERROR
from pyd2.profiles.known import profile_of, profiles
from pyd2.profiles.release import release_of


def test_there_is_one_of_each_series() -> None:
    assert [profile.release.series for profile in profiles()] == ["2.6", "3.0"]


@pytest.mark.parametrize("version", ["2.6.3", "2.6.5", "3.0.0", "3.0.3", "3.0.4", "3.0.9"])
def test_the_numbers_follow_the_release(version: str) -> None:
    profile = profile_of(release_of(version))
    assert profile.release.version == version
    assert profile.hooks.version == profile.release.hooks_version


@pytest.mark.parametrize(
    ("version", "result"),
    [("2.6.3", ERROR), ("3.0.3", ERROR), ("3.0.4", FATAL_ERROR), ("3.0.5", FATAL_ERROR)],
)
def test_the_result_when_sockets_cannot_be_opened(version: str, result: int) -> None:
    assert profile_of(release_of(version)).commands.socket_failure == result


def test_releases_of_a_series_differ_in_nothing_else() -> None:
    older, newer = (profile_of(release_of(version)) for version in ("3.0.3", "3.0.4"))
    commands = older.commands._replace(socket_failure=FATAL_ERROR)
    assert newer == older._replace(release=newer.release, hooks=newer.hooks, commands=commands)


def test_the_messages_of_3_0_are_those_of_2_6_and_more() -> None:
    old, new = (profile.messages for profile in profiles())
    assert old.items() < new.items()
    added = new.keys() - old.keys()
    others = {name for name in added if not name.startswith(("HTTP_", "HTTPS_"))}
    assert others == {"DHCP_DDNS_SECURITY_CHECKS_DISABLED"}

"""The three directories and the rule that files stand in them."""

from __future__ import annotations

import sys
import sysconfig

import pytest

from pyd2.config.paths import Directories, PathRules, confine
from pyd2.errors import ConfigError

RULES = PathRules(name_below_root=True)


def test_defaults_are_the_distributions() -> None:
    directories = Directories.from_environment({}, RULES)
    triplet = sysconfig.get_config_var("MULTIARCH")
    assert directories == Directories(f"/usr/lib/{triplet}/kea/hooks", "/var/log/kea", "/run/kea", RULES)


def test_a_system_without_triplet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.implementation, "_multiarch")
    assert Directories.from_environment({}, RULES).hooks == "/usr/lib/kea/hooks"


def test_variables_win_and_lose_their_slashes() -> None:
    environment = {"KEA_HOOKS_PATH": "/h/", "KEA_LOG_FILE_DIR": "l//", "KEA_CONTROL_SOCKET_DIR": ""}
    assert Directories.from_environment(environment, RULES) == Directories("/h", "l", "", RULES)


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("x", "/d/x"),
        ("/x", "/d/x"),
        ("/d/x", "/d/x"),
        (" \t\nx.y \n", "/d/x.y"),
        ("..", "/d/.."),
        (".so", "/d/.so"),
    ],
)
def test_files_are_joined(path: str, full: str) -> None:
    assert confine(path, "/d", RULES) == full


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", "path: '' has no filename"),
        (" ", "path: '' has no filename"),
        ("/", "path: '/' has no filename"),
        (" /d/ ", "path: '/d/' has no filename"),
        ("/tmp/x", "invalid path specified: '/tmp', supported path is '/d'"),
        ("d/x", "invalid path specified: 'd', supported path is '/d'"),
        ("/d//x", "invalid path specified: '/d/', supported path is '/d'"),
        ("/d/../x", "invalid path specified: '/d/..', supported path is '/d'"),
    ],
)
def test_other_places_are_refused(path: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        confine(path, "/d", RULES)
    assert str(caught.value) == text

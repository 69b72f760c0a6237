"""When pyd2's own GSS-TSIG takes the place of Kea's library, and how config-get shows that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.hooks_libraries import GSS_TSIG
from pyd2.config.output import to_element
from pyd2.config.paths import Directories
from pyd2.data.element import from_plain
from pyd2.errors import ConfigError
from pyd2.hooks.library import is_for_kea
from tests.kit.profile import RULES, parse_element

if TYPE_CHECKING:
    from pathlib import Path

    from pyd2.config.model import Config

_FILE = "libddns_gss_tsig.so"


def parse(directory: Path, library: str, switch: str = "") -> Config:
    """Return the configuration with a hook library below a directory."""
    whole: dict[str, Any] = {"hooks-libraries": [{"library": library, "parameters": {}}]}
    if switch:
        whole["user-context"] = {"pyd2": {"gss-tsig": switch}}
    directories = Directories(hooks=str(directory), logs="/l", sockets="/s", rules=RULES.paths)
    return parse_element(from_plain(whole), directories)


@pytest.mark.parametrize(("installed", "switch", "builtin"), [
    (False, "", True), (False, "auto", True), (True, "", False), (True, "auto", False),
    (True, "builtin", True),
])
def test_it_is_used_without_the_library_and_on_demand(
    tmp_path: Path, installed: bool, switch: str, builtin: bool,
) -> None:
    path = tmp_path / _FILE
    if installed:
        path.write_bytes(b"\x7fELF" + bytes(100))
    config = parse(tmp_path, str(path), switch)
    (entry,) = config.hooks_libraries
    assert entry.library == (GSS_TSIG if builtin else str(path))
    shown = to_element(config).map_value()["DhcpDdns"].map_value()["hooks-libraries"].list_value()
    assert shown[0].map_value()["library"].value == str(path)
    assert is_for_kea(entry.library) is not builtin


@pytest.mark.parametrize("name", ["libddns_other.so", "xlibddns_gss_tsig.so"])
def test_other_libraries_are_what_they_are(tmp_path: Path, name: str) -> None:
    (entry,) = parse(tmp_path, name, "builtin").hooks_libraries
    assert entry.library == str(tmp_path / name)


def test_the_path_rules_hold_for_it_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="invalid path specified"):
        parse(tmp_path, f"/elsewhere/{_FILE}")


def test_the_switch_has_two_values(tmp_path: Path) -> None:
    fault = "invalid value 'x' specified for parameter 'gss-tsig', expected auto or builtin"
    with pytest.raises(ConfigError, match=fault):
        parse(tmp_path, _FILE, "x")

"""Every recorded configuration gives the recorded check, and what runs shows the recorded config-get."""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

import pytest

from pyd2.config.output import to_element
from pyd2.config.paths import Directories
from pyd2.control.commands import config_hash
from pyd2.data.element import Element
from pyd2.data.text import to_text
from pyd2.errors import ConfigError, ConfigParserError
from tests.config.kea_check import Outcome, copy_case, our_outcome, without_secrets
from tests.conformance import deviations
from tests.conformance.recordings import KEA_2_6
from tests.kit.profile import parse_file

DATA = Path(__file__).parents[1] / "conformance" / "data" / "configs"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "expected.json").read_text())


def recorded(case: dict[str, Any]) -> Outcome:
    """Return the recorded check; what the hooks code logs is not the configuration's."""
    test = case["test"]
    log = tuple(tuple(entry) for entry in test["log"] if entry[1] != "kea-dhcp-ddns.hooks")
    return Outcome(test["exit"], test["stderr"], log)


def checked(case: dict[str, Any], directory: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    name = copy_case(case, DATA, directory)
    monkeypatch.chdir(directory)
    environment = {key: value.replace("@DIR@", str(directory)) for key, value in case.get("env", {}).items()}
    ours = our_outcome(name, environment)
    log = tuple(tuple(text.replace(str(directory), "@DIR@") for text in entry) for entry in ours.log)
    return Outcome(ours.exit, ours.stderr.replace(str(directory), "@DIR@"), log)


def without_our_warnings(outcome: Outcome) -> Outcome:
    """Leave out what the command line adds: pyd2's own messages, and which other Kea takes a file."""
    stderr = re.sub("this configuration is right for Kea .*\n", "", outcome.stderr)
    return Outcome(
        outcome.exit, stderr, tuple(e for e in outcome.log if not e[2].startswith("PYD2_"))
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_check_is_the_recorded_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or as ``tests.conformance.deviations`` changes it."""
    ours = without_our_warnings(checked(CASES[name], tmp_path, monkeypatch))
    theirs = without_our_warnings(recorded(deviations.expected(KEA_2_6, "configs", name, CASES[name])))
    assert operator.eq(*without_secrets(theirs.text(), ours.text()))


STARTED = sorted(name for name, case in CASES.items() if case.get("start", {}).get("config_get"))


@pytest.mark.parametrize("name", STARTED)
def test_config_get_is_the_recorded_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_case(CASES[name], DATA, tmp_path)
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    config = parse_file(path, Directories(hooks=here, logs=here, sockets=here))
    arguments = {**to_element(config).map_value(), "hash": Element(config_hash(to_element(config)))}
    ours = to_text(Element({"arguments": Element(dict(arguments)), "result": Element(0)}))
    theirs = deviations.expected(KEA_2_6, "configs", name, CASES[name])["start"]["config_get"]
    if "@HASH@" in theirs:
        ours = re.sub('"hash": "[0-9A-F]{64}"', '"hash": "@HASH@"', ours)
    assert ours.replace(here, "@DIR@") == theirs


@pytest.mark.parametrize("name", sorted(n for n, case in CASES.items() if case["test"]["exit"] == 1))
def test_what_fails_raises_config_errors_only(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_case(CASES[name], DATA, tmp_path)
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    directories = Directories(hooks=here, logs=here, sockets=here)
    if "failed to validate" in CASES[name]["test"]["stderr"]:
        parse_file(path, directories)  # the libraries are not opened here
        return
    with pytest.raises(ConfigError) as caught:
        parse_file(path, directories)
    logged = {entry[2] for entry in CASES[name]["test"]["log"]}
    assert isinstance(caught.value, ConfigParserError) == ("DCTL_PARSER_FAIL" in logged)

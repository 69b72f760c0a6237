"""The sets of recorded cases, each with the Kea that they were recorded from.

``data_3_0/changes.json`` has what Kea 3.0.3 did otherwise than 2.6.3 in the cases of ``data``: for each case
the places in its JSON and their values there (none: the member is missing). What is the same in all cases is
not listed: the version, and a statistic more. Whether nothing got lost, a digest of all cases shows.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import cases

Case = dict[str, Any]

KINDS = ("configs", "ncr", "transactions", "commands", "cli")
DATA_3_0 = Path(__file__).with_name("data_3_0")
CHANGES: Case = json.loads((DATA_3_0 / "changes.json").read_text())


class Recording:
    """A set of recorded cases. ``folder`` holds the files of its configurations."""

    def __init__(self, name: str, release: str, folder: Path, load: Callable[[str], dict[str, Case]]) -> None:
        self.name = name
        self.release = release
        self.series = release.rpartition(".")[0]
        self.folder = folder
        self._load = cache(load)

    def __repr__(self) -> str:
        return self.name

    def cases(self, kind: str) -> dict[str, Case]:
        """Return the cases of a kind by their names; those that can use the same server stand together."""
        return self._load(kind)

    def all(self) -> list[tuple[str, str]]:
        """Return kind and name of every case."""
        return [(kind, name) for kind in KINDS for name in self.cases(kind)]


def outcome(kind: str, case: Case) -> Case:
    """Return what a case came to, without what was put in."""
    if kind in {"ncr", "transactions"}:
        result: Case = case["result"]
        return result
    wanted = {"configs": ("test", "start"), "commands": ("steps", "alive_at_end", "exit", "stderr")}.get(kind)
    if wanted is not None:
        return {key: case[key] for key in wanted}
    return {key: value for key, value in case.items() if key not in {"name", "args", "files", "env", "dirs"}}


def _recorded(folder: Path) -> Callable[[str], dict[str, Case]]:
    """Return what reads the cases of a folder."""
    def load(kind: str) -> dict[str, Case]:
        if kind == "configs":
            return dict(sorted(cases.configs(folder).items()))
        return {name: cases.load(kind, name, folder) for name in cases.names(kind, folder)}

    return load


def _changed(kind: str) -> dict[str, Case]:
    """Return the cases of ``data`` as Kea 3.0.3 did them."""
    changed = CHANGES["cases"][kind]
    return {name: _edited(kind, case, changed.get(name, ())) for name, case in KEA_2_6.cases(kind).items()}


def _edited(kind: str, case: Case, edits: list[list[Any]]) -> Case:
    result: Case = json.loads(json.dumps(case).replace(KEA_2_6.release, CHANGES["release"]))
    if kind == "transactions":
        result["result"]["stats"]["queue-mgr-queue-full"] = 0
    for (*parents, last), *value in edits:
        place: Any = result
        for part in parents:
            place = place[part]
        if value:
            place[last] = value[0]
        else:
            del place[last]
    return result


def digest(recording: Recording) -> str:
    """Return a digest of all cases of a recording."""
    found = hashlib.sha256()
    for kind in KINDS:
        for name, case in sorted(recording.cases(kind).items()):
            found.update(json.dumps([kind, name, case], sort_keys=True).encode())
    return found.hexdigest()


def _without_boost(value: Any) -> Any:
    """Leave out the places in the sources of Boost, which are masked."""
    return json.loads(json.dumps(value).replace(" at @BOOST@]", "]"))


def _only(kind: str) -> dict[str, Case]:
    """Return the cases that only Kea 3.0 has, with those inputs that their records do not hold."""
    folder = DATA_3_0 / "only"
    if kind not in {path.name for path in folder.iterdir()}:
        return {}
    inputs: Mapping[str, Any] = json.loads((folder / "inputs.json").read_text())
    recorded: dict[str, Case] = _without_boost(_recorded(folder)(kind))
    for name, more in inputs.get(kind, {}).items():
        recorded[name].update(more)
    for case in recorded.values():
        if kind == "commands":
            case["files"] = {file: inputs["files"][file] for file in case.get("files", ())}
    return recorded


KEA_2_6 = Recording("2.6", "2.6.3", cases.DATA, _recorded(cases.DATA))
MORE = Recording("2.6 more", "2.6.3", cases.MORE, _recorded(cases.MORE))
KEA_3_0 = Recording("3.0", "3.0.3", cases.DATA, _changed)
ONLY_3_0 = Recording("3.0 only", "3.0.3", DATA_3_0 / "only", _only)
RECORDINGS = (KEA_2_6, MORE, KEA_3_0, ONLY_3_0)


def all_cases(kind: str) -> pytest.MarkDecorator:
    """Return the parameters of a test: each recording with each of its cases."""
    chosen = [(recording, name) for recording in RECORDINGS for name in recording.cases(kind)]
    ids = [f"{recording.name.replace(' ', '-')}:{name}" for recording, name in chosen]
    return pytest.mark.parametrize(("recording", "name"), chosen, ids=ids)

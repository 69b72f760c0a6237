"""The catalogue, compared with every recorded message and with the real server's debug levels."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyd2
from pyd2.hooks.gss.messages import MESSAGES as GSS_TSIG_MESSAGES
from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.profiles.kea_3_0 import KEA_3_0
from tests.kit.profile import MESSAGES
from tests.observe import kea

DATA = Path(__file__).parent / "conformance" / "data"
LINE = re.compile(r"^@TIME@ (\w+) +\[([^/\]]+)/@PID@\.@TID@\] (\S+) ?(.*)$", re.MULTILINE)


def entries(value: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yield severity, logger, ID and text of each log entry in a recorded outcome, however deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("log") and isinstance(item, list):
                yield from (tuple(entry) for entry in item)
            elif key == "stderr":
                yield from LINE.findall(item)
            else:
                yield from entries(item)
    elif isinstance(value, list):
        for item in value:
            yield from entries(item)


def recorded() -> dict[str, list[tuple[str, str, str, str]]]:
    """Return the recorded log entries by message ID."""
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    files = [DATA / "configs" / "expected.json"]
    for kind in ("ncr", "transactions", "commands", "cli"):
        files += (DATA / kind).glob("*.json")
    for path in files:
        for entry in entries(json.loads(path.read_text())):
            found.setdefault(entry[2], []).append(entry)
    return found


RECORDED = recorded()


def test_the_recorded_cases_hold_most_messages_of_a_running_server() -> None:
    assert len(RECORDED) > 40


@pytest.mark.parametrize("message_id", sorted(RECORDED))
def test_recorded_messages_match_the_catalogue(message_id: str) -> None:
    message = MESSAGES[message_id]
    text = re.sub(r"%\d", "(?s:.*)", re.escape(message.text).replace(r"\%", "%"))
    for severity, logger, _, written in RECORDED[message_id]:
        assert (severity, logger) == (message.severity.name, message.logger)
        assert re.fullmatch(text, written)


@pytest.mark.parametrize("message_id", MESSAGES)
def test_marks_are_numbered_from_one_without_a_gap(message_id: str) -> None:
    marks = sorted({int(mark) for mark in re.findall(r"%(\d+)", MESSAGES[message_id].text)})
    assert marks == list(range(1, len(marks) + 1))


def test_entries_are_well_formed() -> None:
    for message_id, message in MESSAGES.items():
        assert message.message_id == message_id
        assert message.logger.startswith(ROOT_LOGGER + ".")
        assert 0 <= message.debuglevel <= 99
        assert message.severity == Severity.DEBUG or message.debuglevel == 0
        assert message.text.strip()


@pytest.mark.peers
def test_debug_levels_are_those_of_the_real_server(tmp_path: Path) -> None:
    """With debuglevel n the real server writes those of its messages that the catalogue gives at most n."""
    def written(level: int) -> set[str]:
        directory = tmp_path / str(level)
        directory.mkdir()
        logger = {"name": ROOT_LOGGER, "severity": "DEBUG", "debuglevel": level,
                  "output-options": [kea.reference_output()]}  # fmt: skip
        kea.run(directory, [logger])
        return {record["m"].split(" ")[0] for record in kea.read_reference(directory)}

    everything = written(99)
    assert len(everything) > 20
    for level in sorted({MESSAGES[message_id].debuglevel for message_id in everything}):
        assert written(level) == {
            message_id for message_id in everything if MESSAGES[message_id].debuglevel <= level
        }


def emitted() -> Iterator[tuple[str, ast.Call]]:
    """Yield where and how each message with a fixed ID is written in the code of pyd2."""
    for path in sorted(Path(pyd2.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in {"emit", "notify", "_emit", "_notify"}:
                    yield f"{path.name}:{node.lineno}", node


def test_the_code_writes_only_what_the_catalogue_has() -> None:
    calls = list(emitted())
    assert len(calls) > 30
    for place, call in calls:
        assert isinstance(call.args[0], ast.Constant)
        message = {**KEA_3_0.messages, **MESSAGES, **GSS_TSIG_MESSAGES}.get(str(call.args[0].value))
        assert message, f"{place}: {call.args[0].value!r} is not in the catalogue"
        if not any(isinstance(argument, ast.Starred) for argument in call.args):
            marks = set(re.findall(r"%\d", message.text))
            assert len(marks) == len(call.args) - 1, f"{place}: {message.message_id} has other arguments"


def test_each_message_of_our_own_is_written_somewhere() -> None:
    """The catalogue itself is one text, so an ID that stands alone is in the code that writes it."""
    named = {
        node.value
        for path in Path(pyd2.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = {message_id for message_id in MESSAGES if message_id.startswith("PYD2_")}
    assert len(ours) > 5
    assert ours <= named

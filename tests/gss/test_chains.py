"""The library that is part of pyd2, in the chain in Python and in Kea's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.hooks_libraries import GSS_TSIG
from pyd2.config.model import HookLibrary
from pyd2.data.element import Element, from_plain
from pyd2.errors import HookError
from pyd2.hooks.opening import check_library
from pyd2.update.drive.server_choice import KeySource
from tests.hooks.conftest import ALONE, CHAINS, KEY, SERVER, VERSION, Clock, RecordingLog, config
from tests.kit.profile import MESSAGES

if TYPE_CHECKING:
    from pathlib import Path

    from pyd2.hooks.interface import Chain
    from pyd2.messages import Severity

PARAMETERS: dict[str, Any] = {
    "servers": [{"id": "one", "ip-address": "192.0.2.1", "server-principal": "DNS/ns.example.org@R"}],
}


class Log(RecordingLog):
    """A log with loggers of libraries, whose messages it keeps, too."""

    def __init__(self) -> None:
        super().__init__()
        self.of_library: list[str] = []

    def logger(self, _name: str) -> Log:
        """Return itself."""
        return self

    def enabled(self, _severity: Severity, _debuglevel: int = 0) -> bool:
        """All is written."""
        return True

    def message(self, _severity: Severity, _debuglevel: int, message_id: str, text: str) -> None:
        """Keep a message."""
        self.of_library.append(f"{message_id} {text}")


class Chained:
    """A chain with the library, and what is logged."""

    def __init__(self, name: str) -> None:
        self.log = Log()
        self._name = name

    def load(self, parameters: dict[str, Any] | None) -> Chain:
        """Load it with parameters."""
        entry = HookLibrary(GSS_TSIG, None if parameters is None else from_plain(parameters))
        return CHAINS[self._name]([entry], self.log, Clock())

    def command(self, chain: Chain, name: str) -> Any:
        """Run a command."""
        answer = chain.run_command(name, from_plain({"command": name}))
        assert answer is not None
        return answer.plain()


@pytest.fixture(params=ALONE)
def chained(request: pytest.FixtureRequest) -> Chained:
    return Chained(request.param)


def test_commands_callouts_and_statistics_are_there_until_it_is_unloaded(chained: Chained) -> None:
    chain = chained.load(PARAMETERS)
    assert chained.log.of_library == ["GSS_TSIG_LOAD_OK GSS-TSIG hooks library loaded successfully."]
    assert len([name for name in chain.commands() if name.startswith("gss-tsig-")]) == 10
    other = SERVER._replace(port=54)
    assert chain.configured(config(SERVER, other), from_plain({})) == (True, "")
    assert chained.command(chain, "gss-tsig-list") == {
        "result": 0, "text": "1 GSS-TSIG servers and 0 keys",
        "arguments": {"gss-tsig-keys": [], "gss-tsig-servers": ["one"]},
    }
    select_key = chain.select_key
    assert select_key is not None
    assert select_key(SERVER, KEY).skip
    assert select_key(other, KEY) == (KEY, False)
    status = from_plain({"result": 0, "arguments": {"pid": 1}})
    answer = chain.command_processed("status-get", None, status)
    assert answer is not None
    assert answer.plain() == {"result": 0, "arguments": {"pid": 1, "gss-tsig": True}}
    assert chain.command_processed("x", None, Element(1)) == Element(1)
    chain.unload()
    assert chained.log.of_library[-1] == "GSS_TSIG_UNLOAD_OK GSS-TSIG hooks library unloaded successfully."


def test_parameters_that_are_wrong_stop_the_load(chained: Chained) -> None:
    with pytest.raises(HookError, match="failed to load"):
        chained.load(None)
    assert chained.log.of_library[0] == (
        "GSS_TSIG_LOAD_FAILED GSS-TSIG hooks library failed to load: gss_tsig parameters entry is mandatory."
    )


def test_a_configuration_without_the_server_is_refused(chained: Chained) -> None:
    server = PARAMETERS["servers"][0] | {"port": 5353}
    chain = chained.load({"servers": [server]})
    accepted, text = chain.configured(config(SERVER), from_plain({}))
    assert (accepted, text) == (False, "gss_tsig config mismatch: server info can't be found")
    chain.unload()


def test_a_check_opens_it_and_no_more() -> None:
    log = Log()
    assert check_library(GSS_TSIG, log)
    assert log.of_library == []


class QuietLog(Log):
    """A log that shows nothing of each call."""

    on = frozenset(name for name, message in MESSAGES.items() if not message.debuglevel)


@pytest.mark.parametrize(("log", "other", "itself"), [
    (QuietLog(), "", True), (Log(), "", False),
    (QuietLog(), "def command_processed(handle): pass", True),
    (QuietLog(), "def select_key(handle): pass", False),
    (QuietLog(), "def context_create(handle): pass", False),
])
def test_the_update_thread_asks_it_itself_if_nothing_else_takes_part(
    log: Log, other: str, itself: bool, tmp_path: Path,
) -> None:
    (tmp_path / "other.py").write_text(f"{VERSION}{other}\n")
    entries = [HookLibrary(GSS_TSIG, from_plain(PARAMETERS))]
    if other:
        entries.append(HookLibrary(str(tmp_path / "other.py"), None))
    chain = CHAINS["python"](entries, log, Clock())
    assert isinstance(chain.select_key, KeySource) is itself
    chain.unload()
    assert chain.select_key is None


def test_it_goes_on_to_choose_after_it_was_unloaded() -> None:
    """The engine works by the old configuration until the new one is in force."""
    log = QuietLog()
    chain = CHAINS["python"]([HookLibrary(GSS_TSIG, from_plain(PARAMETERS))], log, Clock())
    other = SERVER._replace(port=54)
    assert chain.configured(config(SERVER, other), from_plain({})) == (True, "")
    select_key = chain.select_key
    assert select_key is not None
    chain.unload()
    assert select_key(SERVER, KEY).skip
    assert select_key(other, KEY) == (KEY, False)

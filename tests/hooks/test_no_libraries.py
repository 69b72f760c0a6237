"""The chain of no libraries answers as one with an empty list of libraries, and needs nothing of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pyd2.data.element import Element
from pyd2.hooks.choice import check_libraries, load_chain
from pyd2.hooks.no_libraries import NoLibraries
from pyd2.hooks.python_chain import PythonChain

from .conftest import config

if TYPE_CHECKING:
    from pyd2.hooks.interface import Chain

    from .conftest import RecordingLog


class Shared:
    """Statistics that libraries may add to."""

    def __init__(self) -> None:
        self.providers: list[Any] = []


def answers(chain: Chain) -> list[object]:
    response, statistics = Element("response"), Shared()
    chain.share_statistics(statistics)  # type: ignore[arg-type]
    found: list[object] = [
        chain.select_key, chain.commands(), chain.has_command("x"), chain.run_command("x", Element({})),
        chain.command_processed("x", None, response), chain.command_processed("x", None, None),
        chain.http_use(), chain.configured(config(), Element({})), chain.changed_config(),
        list(map(type, statistics.providers)),
    ]
    chain.adopt_changed(config())
    chain.unload()
    return found


def test_it_answers_as_a_chain_with_an_empty_list(log: RecordingLog) -> None:
    assert check_libraries([], log) == []
    chain = load_chain([], log)
    assert type(chain) is NoLibraries
    assert answers(chain) == answers(PythonChain([], log))
    assert log.lines() == []


def test_it_imports_nothing_of_what_runs_libraries() -> None:
    program = "import sys; from pyd2.hooks import choice; choice.load_chain([], None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"python_chain", "callouts", "loading", "opening", "library", "python_library", "release"}
    assert not {f"pyd2.hooks.{name}" for name in unwanted} & set(done.stdout.split())

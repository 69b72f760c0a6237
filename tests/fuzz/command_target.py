"""Control requests, through all of the control channel but its socket."""

from __future__ import annotations

import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from pyd2.config.output import to_element, to_shown_element
from pyd2.control.commands import Commands, ShutdownType
from pyd2.control.executor import CommandExecutor
from pyd2.control.framing import FramingState, JsonFraming
from pyd2.control.registry import CommandRegistry
from pyd2.control.session import UnixSession
from pyd2.counters import Counters
from pyd2.data.json import from_json
from pyd2.errors import Pyd2Error
from pyd2.observe.statistics import Statistics
from tests.fuzz import corpora
from tests.fuzz.config_target import use
from tests.fuzz.mutate import any_bytes, in_pieces, mutate_bytes, mutate_text, mutate_values
from tests.fuzz.runner import ACCEPTED
from tests.fuzz.world import WALL, StrictLog
from tests.kit.profile import PROFILE

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pyd2.data.element import Element
    from tests.fuzz.runner import Input

ANSWER = re.compile(rb'\{ (?:"arguments": .*, )?"result": ([0-9])(?:, "text": (".*"))? \}', re.DOTALL)
_CONFIG = from_json('{ "port": 53980, "user-context": { "pyd2": { "redact-secrets": true } } }')


class ParsingServer:
    """A daemon without sockets: it checks configurations, and shows the last one it took."""

    version = "2.6.3"
    extended_version = "2.6.3 (pyd2)\nmore"
    build_report = " \nreport\n"
    uptime = 12
    since_reload = 5

    def __init__(self, directory: str) -> None:
        self.config_file = f"{directory}/d2.json"
        self._config = use(_CONFIG)

    def config(self, *, redacted: bool) -> Element:
        return to_shown_element(self._config) if redacted else to_element(self._config)

    def apply(self, config: Element) -> None:
        self._config = use(config)

    def reload(self) -> None:
        self._config = use(_CONFIG)

    def check(self, config: Element) -> None:
        use(config)

    def extensions(self) -> Element | None:
        return None

    def set_exit_value(self, value: int) -> None:
        assert isinstance(value, int)

    def begin_shutdown(self, kind: ShutdownType) -> None:
        assert isinstance(kind, ShutdownType)

    def cancel_shutdown(self) -> None:
        pass


class WatchedRegistry(CommandRegistry):
    """The registry makes every error an answer; here one that is no refusal is kept for the fuzzer to see."""

    fault: Exception | None = None

    def _run(self, name: str, arguments: Element | None, request: Element) -> Element | None:
        try:
            return super()._run(name, arguments, request)
        except Pyd2Error:
            raise
        except Exception as fault:
            self.fault = fault
            raise


class ControlTarget:
    """What the targets of the control channel share: the commands, with a log and a registry to watch."""

    def __init__(self) -> None:
        self._seeds = corpora.command_requests()
        self._directory = tempfile.TemporaryDirectory(prefix="d2.")
        self.reset()

    def reset(self) -> None:
        self._log = StrictLog()
        self.registry = WatchedRegistry(self._log)
        server = ParsingServer(self._directory.name)
        statistics = Statistics(Counters(WALL), PROFILE.statistics, lambda: WALL)
        Commands(server, statistics, self._log, PROFILE.commands).register(self.registry)

    def close(self) -> None:
        """Remove what config-write has left."""
        shutil.rmtree(self._directory.name, ignore_errors=True)
        self._directory.cleanup()


class CommandTarget(ControlTarget):
    """An input is a request in pieces."""

    name = "command"

    def make(self, rng: random.Random) -> Input:
        request = rng.choice(self._seeds)
        way = rng.random()
        if way < 0.4:
            request = mutate_values(request, rng, self._seeds)
        elif way < 0.75:
            request = mutate_text(request, rng, self._seeds)
        elif way < 0.92:
            request = mutate_bytes(request, rng, self._seeds)
        elif way < 0.95:
            request = any_bytes(rng)
        return in_pieces(request, rng)

    def run(self, data: Input) -> Iterator[str]:
        if sum(map(len, data)) < 4096:
            _check_framing(data)
        registry = self.registry
        registry.fault = None
        session = UnixSession(CommandExecutor(registry.process, self._log), self._log, 15)
        answer = None
        for piece in data:
            answer = session.receive(piece)
            if answer is not None:
                break
        if registry.fault is not None:
            raise registry.fault
        self._log.lines.clear()
        if answer is None:
            assert ANSWER.fullmatch(session.timed_out())
            yield "incomplete: the client would get the answer of a time-out"
            return
        found = ANSWER.fullmatch(answer)
        assert found is not None, f"this is no answer: {answer[:200]!r}"
        yield ACCEPTED if found[1] == b"0" else _shown(found[2])


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")[1:-1].replace('\\"', "'")


def _check_framing(data: Input) -> None:
    """Check that it does not matter how a request is cut into pieces."""
    pieces, whole = JsonFraming(), JsonFraming()
    for piece in data:
        if pieces.feed(piece) is not FramingState.NEEDS_DATA:
            break
    whole.feed(b"".join(data))
    assert (pieces.state, pieces.error) == (whole.state, whole.error)
    assert pieces.text == whole.text

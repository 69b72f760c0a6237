"""A log, a daemon, statistics and hooks for the control channel to talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.control.commands import Commands, ShutdownType
from pyd2.control.executor import CommandExecutor
from pyd2.control.registry import CommandRegistry
from pyd2.control.session import UnixSession
from pyd2.data.element import Element, from_plain
from pyd2.data.json import from_json
from pyd2.data.text import to_text
from pyd2.errors import ConfigError, Pyd2Error
from tests.kit.profile import MESSAGES, PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

CONFIG = '{ "DhcpDdns": { "ip-address": "127.0.0.1", "port": 53001, "user-context": { "secret": "s" } } }'


class Lines:
    """A log that keeps (message ID, text), each text with its arguments put in."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    @property
    def on(self) -> AbstractSet[str]:
        return MESSAGES.keys()

    def emit(self, message_id: str, *arguments: object) -> None:
        text = MESSAGES[message_id].text
        assert text.count("%") == len(arguments), f"{message_id} gets {arguments}"
        for number, argument in enumerate(arguments, 1):
            text = text.replace(f"%{number}", str(argument))
        self.lines.append((message_id, text))

    def take(self) -> list[tuple[str, str]]:
        """Return the lines and forget them."""
        lines, self.lines = self.lines, []
        return lines

    def ids(self) -> list[str]:
        """Return the IDs of the lines."""
        return [message_id for message_id, _ in self.lines]


class FakeServer:
    """A daemon that records its calls. ``refusal`` is the answer to each configuration."""

    config_file = "d2.json"
    version = "2.6.3"
    extended_version = "2.6.3 (pyd2)\nmore"
    build_report = " \nreport\n"
    uptime = 12
    since_reload = 5

    def __init__(self, config: str = CONFIG) -> None:
        self.text = config
        self.refusal: Exception | None = None
        self.done: list[tuple[str, object]] = []

    def config(self, *, redacted: bool) -> Element:
        return from_json(self.text.replace('"secret": "s"', '"secret": "*****"') if redacted else self.text)

    def extensions(self) -> Element | None:
        return None

    def apply(self, config: Element) -> None:
        self._do("apply", to_text(config))

    def reload(self) -> None:
        self._do("reload", None)

    def check(self, config: Element) -> None:
        self._do("check", to_text(config))

    def set_exit_value(self, value: int) -> None:
        self.done.append(("exit-value", value))

    def begin_shutdown(self, kind: ShutdownType) -> None:
        self.done.append(("shutdown", kind))

    def cancel_shutdown(self) -> None:
        self.done.append(("cancel", None))

    def _do(self, what: str, argument: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append((what, argument))


class FakeStatistics:
    """The statistics of a server that has done nothing."""

    names = tuple(sorted(PROFILE.statistics))
    sample = "2026-01-02 03:04:05.123456"

    def __init__(self) -> None:
        self.reset_names: list[str] = []

    def get(self, name: str) -> Element:
        return from_plain({name: [[0, self.sample]]} if name in self.names else {})

    def get_all(self) -> Element:
        return from_plain({name: [[0, self.sample]] for name in self.names})

    def reset(self, name: str) -> bool:
        self.reset_names.append(name)
        return name in self.names

    def reset_all(self) -> None:
        self.reset_names.append("*")


class FakeHooks:
    """A hook library that answers some commands and may replace answers."""

    def __init__(self, **answers: Element | Exception | None) -> None:
        self.answers = {name.replace("_", "-"): found for name, found in answers.items()}
        self.requests: list[str] = []
        self.processed: list[tuple[str, str | None, str | None]] = []
        self.replacement: Element | None = None

    def commands(self) -> list[str]:
        return sorted(self.answers)

    def has_command(self, name: str) -> bool:
        return name in self.answers

    def run_command(self, name: str, request: Element) -> Element | None:
        self.requests.append(to_text(request))
        found = self.answers[name]
        if isinstance(found, Exception):
            raise found
        return found

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None
    ) -> Element | None:
        shown = [None if part is None else to_text(part) for part in (arguments, response)]
        self.processed.append((name, shown[0], shown[1]))
        return self.replacement or response


class Channel:
    """All of the control channel but its socket."""

    def __init__(self, config: str = CONFIG) -> None:
        self.log = Lines()
        self.server = FakeServer(config)
        self.statistics = FakeStatistics()
        self.registry = CommandRegistry(self.log)
        if PROFILE.commands.lists_early:
            self.registry.register_list()
        self.commands = Commands(self.server, self.statistics, self.log, PROFILE.commands)
        self.commands.register(self.registry)
        self.log.take()

    def session(self, before_answer: Callable[[], None] = lambda: None) -> UnixSession:
        """Return a new connection."""
        return UnixSession(CommandExecutor(self.registry.process, self.log, before_answer), self.log, 15)

    def exchange(self, *chunks: bytes | str) -> bytes:
        """Return the answer to a request in pieces; empty when it is not complete."""
        session = self.session()
        for chunk in chunks:
            answer = session.receive(chunk if isinstance(chunk, bytes) else chunk.encode())
            if answer is not None:
                return answer
        return b""

    def ask(self, request: str) -> str:
        """Return the answer to a request as text."""
        return self.exchange(request).decode()


def refusal(text: str) -> Pyd2Error:
    """Return what a daemon raises that does not take a configuration."""
    return ConfigError(text)

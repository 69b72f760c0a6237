"""What the tests of the bridge share: libraries compiled as anyone would compile them for Kea."""

from __future__ import annotations

import shutil
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pytest

from pyd2.config.model import Config, DnsServer, HookLibrary, TsigKey
from pyd2.config.output import to_element
from pyd2.data.element import Element, Plain, from_plain
from pyd2.messages import Severity
from tests.hooks.conftest import RecordingLog, config
from tests.kit import kea
from tests.kit.kea import load_chain
from tests.kit.profile import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.hooks.interface import Chain

pytest.register_assert_rewrite("tests.hooks.kea.rig")

HERE = Path(__file__).parent
SOURCES = HERE / "libraries"
EXAMPLES = HERE.parents[2] / "examples" / "hooks"
collect_ignore = [] if kea.chosen().series != "2.6" else ["test_http.py"]
"""What needs what only a later Kea has."""

COMPILE = ("-O1", "-Wall", "-Wextra", "-Werror")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need Kea and its headers."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.peers)


class Compile(Protocol):
    """Compiles a library once in a run of the tests."""

    def __call__(self, source: Path, *options: str) -> Path:
        """Return the shared object."""


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    directory = tmp_path_factory.mktemp("compiled")
    headers = sorted(SOURCES.glob("*.h"))

    def compile_library(source: Path, *options: str) -> Path:
        target = directory / f"{source.stem}{''.join(options).replace('=', '')}.so"
        if not target.exists():
            shutil.copy(kea.compiled(source, *COMPILE, *options, also=headers), target)
        return target

    return compile_library


@pytest.fixture(scope="session")
def probe(compile_library: Compile) -> Callable[..., HookLibrary]:
    """Return a function that makes an entry with the probe and its parameters.

    Two entries of one file would share their variables, as in Kea: each gets a copy of the file, and in it
    a message ID of its own, for the messages of one ID go when one of the libraries does.
    """
    compiled = compile_library(SOURCES / "probe.cc")

    def entry(name: str = "A", **parameters: Plain) -> HookLibrary:
        copy = compiled.with_name(f"probe-{name}.so")
        if not copy.exists():
            copy.write_bytes(compiled.read_bytes().replace(b"PROBE_SAYS", b"PROBE_SAY" + name.encode()))
        return HookLibrary(str(copy), from_plain({"name": name, **parameters}))

    return entry


class BridgeLog(RecordingLog):
    """Keeps the messages of compiled libraries too, which are in no catalogue."""

    def __init__(self) -> None:
        super().__init__()
        self.own: dict[str, tuple[str, Severity]] = {}
        """Of each such message its logger and severity."""

    def logger(self, name: str) -> Self:
        """Return what takes the messages of a logger."""
        self._name = name
        return self

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Keep a message."""
        self.own[message_id] = (self._name, severity)
        self.entries.append((message_id, (text,)))

    def lines(self, least: Severity = Severity.INFO) -> list[str]:
        """The messages from a severity on, as they would be written, and forget them all."""
        entries, self.entries = self.entries, []
        return [
            f"{message_id} {arguments[0]}" if message_id in self.own else self._text(message_id, arguments)
            for message_id, arguments in entries
            if (self.own[message_id][1] if message_id in self.own else MESSAGES[message_id].severity) >= least
        ]


@pytest.fixture
def log() -> BridgeLog:
    return BridgeLog()


class Load(Protocol):
    """Loads libraries; what is loaded last is unloaded at the end."""

    def __call__(self, *entries: HookLibrary) -> Chain:
        """Return the chain."""


@pytest.fixture
def load(log: BridgeLog) -> Iterator[Load]:
    chains: list[Chain] = []

    def load(*entries: HookLibrary) -> Chain:
        chain = load_chain(entries, log)
        chains.append(chain)
        return chain

    yield load
    if chains:
        chains[-1].unload()


KEY = TsigKey("config.key.", "HMAC-SHA256", 0, b"0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg==", None, None)
SERVERS = (
    DnsServer(ip_address("192.0.2.1"), 53, "", KEY, None),
    DnsServer(ip_address("2001:db8::2"), 5353, "", None, None),
)


def two_servers() -> Config:
    """A configuration with two servers; the first has a key."""
    plain = config(*SERVERS)
    domain = plain.forward_domains[0]._replace(servers=(SERVERS[0]._replace(key_name=KEY.name), SERVERS[1]))
    return plain._replace(tsig_keys=(KEY,), forward_domains=(domain,))


def configure(chain: Chain, what: Config | None = None, io_context: object = None) -> tuple[bool, str]:
    """Tell a chain of a configuration as the daemon does."""
    what = what or two_servers()
    return chain.configured(what, to_element(what).map_value()["DhcpDdns"], io_context)


def state(chain: Chain, name: str = "A", **arguments: Plain) -> dict[str, Any]:
    """Ask a probe for its observations."""
    request = from_plain({"command": f"{name}-state", "arguments": dict(arguments)})
    response = chain.run_command(f"{name}-state", request)
    assert isinstance(response, Element)
    answer = response.plain()
    assert isinstance(answer, dict)
    found = answer["arguments"]
    assert isinstance(found, dict)
    return found

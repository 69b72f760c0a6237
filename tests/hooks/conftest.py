"""What the tests of hooks share: a log that remembers, libraries from text, and the chains under test."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import Config, DdnsDomain, DnsServer, HookLibrary
from pyd2.data.element import Element, Plain, from_plain
from pyd2.dns.tsig import HmacKey
from pyd2.hooks.interface import Chain
from pyd2.hooks.python_chain import PythonChain
from pyd2.messages import ROOT_LOGGER, LoggedRequest, Severity
from tests.kit import kea
from tests.kit.c_libraries import PRELUDE, compile_text
from tests.kit.profile import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.dns.tsig import SigningKey
    from pyd2.update.drive.server_choice import Selection

VERSION = "def version():\n    return 20603\n"


class RecordingLog:
    """Keeps every message, all of them switched on; each must be in the catalogue with its arguments."""

    on = frozenset(MESSAGES)
    messages = MESSAGES

    def __init__(self) -> None:
        self.entries: list[tuple[str, tuple[object, ...]]] = []
        self.followers: list[Callable[[], None]] = []

    def levels(self) -> dict[str, tuple[Severity, int]]:
        """Everything is on."""
        return {ROOT_LOGGER: (Severity.DEBUG, 99)}

    def emit(self, message_id: str, *arguments: object) -> None:
        """Keep a message."""
        assert len(arguments) == len(set(re.findall(r"%\d", MESSAGES[message_id].text))), message_id
        self.entries.append((message_id, tuple(str(argument) for argument in arguments)))

    def emit_requests(self, message_id: str, requests: Iterable[LoggedRequest]) -> None:
        """Keep messages about requests."""
        for request in requests:
            self.emit(message_id, request.request_id, request.text())

    def lines(self, least: Severity = Severity.INFO) -> list[str]:
        """The messages from a severity on, as they would be written, and forget them all."""
        entries, self.entries = self.entries, []
        return [self._text(*entry) for entry in entries if MESSAGES[entry[0]].severity >= least]

    def said(self) -> list[str]:
        """What the libraries wrote with ``handle.log.info``, and forget all messages."""
        entries, self.entries = self.entries, []
        return [str(text) for message_id, (*_, text) in entries if message_id == "PYD2_HOOK_MESSAGE_INFO"]

    @staticmethod
    def _text(message_id: str, arguments: tuple[object, ...]) -> str:
        text = MESSAGES[message_id].text
        for number, argument in enumerate(arguments, start=1):
            text = text.replace(f"%{number}", str(argument))
        return f"{message_id} {text}"


class Clock:
    """A clock that moves only in the steps of a test, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.steps: Iterator[int] = iter(())

    def __call__(self) -> int:
        """Return the time."""
        self.now += next(self.steps, 0)
        return self.now


Load = Callable[..., Chain]
Write = Callable[..., HookLibrary]

def kea_chain(entries: Sequence[HookLibrary], log: RecordingLog, clock: Clock) -> Chain:
    """The chain through Kea's HooksManager."""
    kea.shim()  # the chain's module reads the loaded bridge
    from pyd2.hooks.kea.chain import KeaChain

    return KeaChain(entries, log, clock, rules=kea.chosen().rules)


@cache
def bystander() -> HookLibrary:
    """A library in C that takes part in each use of hooks and leaves everything as it is."""
    directory = Path(tempfile.mkdtemp(prefix="pyd2-bystander-"))
    atexit.register(shutil.rmtree, directory)
    path = compile_text(PRELUDE + """
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            void *value;
            int status;
            (void)user;
            if (api->context(callout, T("here"), &value) != PYD2_HOOK_OK)
                return api->set_context(callout, T("here"), malloc(1), free);
            return api->status(callout, &status) | api->set_status(callout, status);
        }
        static int start(void)
        {
            return api->register_callout(self, T("context_create"), callout, NULL)
                 | api->register_callout(self, T("context_destroy"), callout, NULL);
        }
    """, directory / "bystander.so")
    return HookLibrary(str(path), None)


def chain_with_c(entries: Sequence[HookLibrary], log: RecordingLog, clock: Clock) -> Chain:
    """The chain in Python, with a library in C behind the others."""
    return PythonChain([*entries, bystander()], log, clock)


CHAINS: dict[str, Callable[[Sequence[HookLibrary], RecordingLog, Clock], Chain]] = {
    "python": PythonChain,
    "python and C": chain_with_c,
    "kea": kea_chain,
}
"""Every chain that can run Python libraries; the tests of a chain run on each."""

ALONE = ("python", pytest.param("kea", marks=pytest.mark.peers))
only_these_libraries = pytest.mark.parametrize("load", ALONE, indirect=True)
"""For tests that count each message or each look at the clock: no other library is in the chain."""


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[*ALONE, "python and C"])
def load(request: pytest.FixtureRequest, log: RecordingLog, clock: Clock) -> Iterator[Load]:
    """Return a function that loads libraries into a chain; what is loaded last is unloaded at the end."""
    make = CHAINS[request.param]
    chains: list[Chain] = []

    def load(*entries: HookLibrary) -> Chain:
        chain = make(entries, log, clock)
        chains.append(chain)
        return chain

    yield load
    if chains:
        chains[-1].unload()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a library and returns its entry; ``version`` is added to the text."""
    numbers = count(1)

    def write(text: str, parameters: Plain = None, *, name: str = "", version: str = VERSION) -> HookLibrary:
        path = tmp_path / (name or f"lib{next(numbers)}.py")
        path.write_text(version + textwrap.dedent(text))
        return HookLibrary(str(path), None if parameters is None else from_plain(parameters))

    return write


SERVER = DnsServer(ip_address("192.0.2.1"), 53, "", None, None)
KEY = HmacKey("config.", "HMAC-SHA256", b"0123456789abcdef")


def ask(chain: Chain, key: SigningKey | None = KEY) -> Selection:
    """Select a key for ``SERVER``."""
    select_key = chain.select_key
    assert select_key is not None
    return select_key(SERVER, key)


def use(chain: Chain, hook: str) -> None:
    """Use a hook point as the server does."""
    if hook == "select_key":
        ask(chain)
    elif hook == "command_processed":
        chain.command_processed("x", None, Element(1))
    elif hook == "d2_srv_configured":
        chain.configured(config(), from_plain({}))
    else:
        chain.run_command("trace-it", from_plain({"command": "trace-it"}))


def config(*servers: DnsServer) -> Config:
    """A configuration with one forward domain that has these servers."""
    domain = DdnsDomain("example.com.", "", servers, None)
    return Config(
        ip_address=ip_address("127.0.0.1"), port=53001, dns_server_timeout=500, ncr_protocol="UDP",
        ncr_format="JSON", tsig_keys=(), forward_domains=(domain,), reverse_domains=(), control_sockets=(),
        hooks_libraries=(), loggers=(), user_context=None,
    )

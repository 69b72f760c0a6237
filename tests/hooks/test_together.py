"""Libraries together with the command registry and the engine."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dns.message
import dns.name
import dns.tsig
import pytest

from pyd2.backend import make_backend
from pyd2.config.model import DnsServer, TsigKey
from pyd2.control.registry import CommandRegistry
from pyd2.counters import Counters
from pyd2.data.element import Plain, from_plain
from pyd2.update.engine import Engine
from tests.kit.ncr import datagram, request
from tests.update.support import outgoing_after_hook_jobs

from .conftest import config

if TYPE_CHECKING:
    from pyd2.update.drive.server_choice import SelectKey

    from .conftest import Load, RecordingLog, Write

# Commands.

COMMANDS = """
    def load(handle):
        for name in ("version-get", "list-commands", "own-command", "silent"):
            handle.register_command(name, globals()[name.replace("-", "_")])
    def answer(handle, text):
        handle.set_argument("response", {"result": 0, "text": text})
    def version_get(handle): answer(handle, "mine")
    def list_commands(handle): answer(handle, "never")
    def own_command(handle): answer(handle, str(handle.get_argument("command")))
    def silent(handle): pass
"""


@pytest.fixture
def registry(log: RecordingLog) -> CommandRegistry:
    """The registry with two built-in commands."""
    registry = CommandRegistry(log)
    registry.register_list()
    for name in ("version-get", "config-get"):
        registry.register(name, lambda arguments: from_plain({"result": 0, "text": "built in"}))
    return registry


def send(registry: CommandRegistry, command: Plain) -> Plain:
    response = registry.process(from_plain(command))
    return None if response is None else response.plain()


def test_libraries_answer_commands(load: Load, write: Write, registry: CommandRegistry) -> None:
    """They replace built-in ones, all but list-commands, which names theirs among its own."""
    chain = registry.hooks = load(write(COMMANDS))
    assert send(registry, {"command": "version-get"}) == {"result": 0, "text": "mine"}
    assert send(registry, {"command": "config-get"}) == {"result": 0, "text": "built in"}
    own: Plain = {"arguments": {"a": [1]}, "command": "own-command", "service": ["d2"]}
    assert send(registry, own) == {"result": 0, "text": str(own)}
    assert send(registry, {"command": "own_command"}) == {"result": 0, "text": "{'command': 'own_command'}"}
    assert send(registry, {"command": "silent"}) is None
    assert send(registry, {"command": "list-commands"}) == {
        "result": 0, "arguments": ["config-get", "list-commands", "own-command", "silent", "version-get"],
    }
    chain.unload()
    assert send(registry, {"command": "version-get"}) == {"result": 0, "text": "built in"}
    assert send(registry, {"command": "own-command"}) == {
        "result": 2, "text": "'own-command' command not supported.",
    }


def test_every_command_is_shown(
    load: Load, write: Write, log: RecordingLog, registry: CommandRegistry,
) -> None:
    registry.hooks = load(write(COMMANDS), write("""
        def load(handle):
            global log
            log = handle.log
        def command_processed(handle):
            response = handle.get_argument("response")
            name, arguments = handle.get_argument("name"), handle.get_argument("arguments")
            log.info(f"{name} {arguments} {response and response['text']}")
            if response is None:
                handle.set_argument("response", {"result": 1, "text": "saved"})
    """))
    log.said()
    send(registry, {"command": "version-get", "arguments": {"a": 1}})
    send(registry, {"command": "make-coffee"})
    assert send(registry, {"command": "silent"}) == {"result": 1, "text": "saved"}
    assert log.said() == [
        "version-get {'a': 1} mine",
        "make-coffee None 'make-coffee' command not supported.",
        "silent None None",
    ]


# Updates.

OWN = b"a key that only the library knows"
KEYS = {"own.": OWN, "configured.": b"0123456789"}
CONFIGURED = TsigKey("configured.", "HMAC-SHA256", 0, KEYS["configured."], None, None, None)
SERVERS = [DnsServer(ip_address(f"192.0.2.{n}"), 53, "", CONFIGURED, None) for n in (1, 2)]


def update(select_key: SelectKey | None, log: RecordingLog) -> list[tuple[str, str]]:
    """Send a request through an engine; return the server that is asked and the key that signed."""
    wall = time.time()  # dnspython compares it with the clock
    engine = Engine(Counters(), log, make_backend())
    engine.configure(config(*SERVERS)._replace(tsig_keys=(CONFIGURED,)), select_key, 0.0, wall)
    ncr = request("host.example.com.", "192.0.2.77", "0001", reverse=False)
    engine.receive_request(datagram(ncr), 0.0, wall)
    sent = [(str(outgoing.lane.address), signer(outgoing.message))
            for outgoing in outgoing_after_hook_jobs(engine, 0.0, wall)]
    assert engine.active == len(sent)
    return sent


def signer(message: bytes) -> str:
    """Return the name of the key that signed a message, verified by dnspython."""
    keyring = {dns.name.from_text(name): dns.tsig.Key(name, secret) for name, secret in KEYS.items()}
    read = dns.message.from_wire(message, keyring=keyring)
    return str(read.keyname) if read.had_tsig else "unsigned"


@pytest.mark.parametrize(("body", "sent"), [
    ("pass", [("192.0.2.1", "configured.")]),
    ("handle.set_argument('tsig_key', key)", [("192.0.2.1", "own.")]),
    ("handle.set_argument('tsig_key', None)", [("192.0.2.1", "unsigned")]),
    ("handle.status = 1 if str(server.address) == '192.0.2.1' else 0", [("192.0.2.2", "configured.")]),
    ("handle.status = 3 if str(server.address) == '192.0.2.1' else 0", [("192.0.2.2", "configured.")]),
    ("handle.set_argument('tsig_key', key); handle.status = 2", []),
    ("raise ValueError", []),
])
def test_libraries_choose_keys_and_servers(
    load: Load, write: Write, log: RecordingLog, body: str, sent: list[tuple[str, str]],
) -> None:
    """Without a server left the request fails, as Kea's does."""
    chain = load(write(f"""
        from pyd2.hooks import TsigKey
        key = TsigKey("own.", "HMAC-SHA256", {OWN!r})
        def select_key(handle):
            server = handle.get_argument("current_server")
            {body}
    """))
    log.lines()
    assert update(chain.select_key, log) == sent
    failed = [line for line in log.lines() if line.startswith("DHCP_DDNS_ADD_FAILED")]
    assert len(failed) == (not sent)

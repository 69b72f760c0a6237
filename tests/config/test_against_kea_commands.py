"""The real server's config-test, config-set and config-get, and what pyd2 makes of the same requests."""

from __future__ import annotations

import copy
import json
import operator
import random
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.output import to_element
from pyd2.config.paths import Directories
from pyd2.control.commands import config_hash
from pyd2.data.element import Element
from pyd2.data.json import from_wire
from pyd2.data.text import to_text
from pyd2.errors import ConfigError
from tests.config.kea_check import without_secrets
from tests.config.mutations import Generator
from tests.kit import control
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.kea import chosen
from tests.kit.ports import PortLease
from tests.kit.profile import RULES, parse_element

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.config.model import Config, HookLibrary

pytestmark = pytest.mark.peers

BATCHES = 8
REQUESTS_IN_BATCH = 25

REFUSED_AT_ONCE = (
    "port must be greater than zero but less than 65536",
    "TSIG key secret cannot be blank",
    "Ddns domain name cannot be blank",
    "missing parameter 'dns-servers'",
    "invalid path in `output`: it must not contain a NUL character ",
)
"""What Kea takes from a command, though it can not work, or aborts on (decided: ours refuses it).

Kea may continue and find another fault.
"""

REFUSED_AT_LAST = (
    "illegal severity: 0",
    "expected maxsize < ",
    "Mandatory 'socket-",
    "Invalid 'socket-type' parameter value ",
    "'socket-name' ",
    "stringValue() called on non-string Element in (",
    "cannot create socket lockfile, ",
)
"""What Kea finds only when it puts the configuration to use (decided: ours refuses it)."""

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 53, 65536, 2**31, 2**32, 2**63 - 1, 2**64, 1.5, "", "x", "UDP", "tcp",
    "XML", "127.0.0.1", [], {}, [1], [[]], [{}], {"a": 1}, {"name": "x"}, [{"name": "x"}],
    {"ddns-domains": []}, "\u00e9", 81, -8,
]  # fmt: skip
KEYS = [
    "bogus", "comment", "port", "name", "user-context", "output_options", "library", "parameters",
    "hostname", "loggers", "severity", "debuglevel", "maxsize", "maxver", "flush", "pattern",
    "secret-file", "digest-bits", "control-socket",
]  # fmt: skip


@pytest.fixture(scope="module")
def kea() -> Iterator[tuple[D2, int]]:
    """A real server, and the port that it may listen on."""
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(chosen().program("kea-dhcp-ddns"), directory, config(port)) as d2:
            yield d2, port


def containers(value: Any) -> list[Any]:
    found = []
    if isinstance(value, dict | list):
        found.append(value)
        for item in value.values() if isinstance(value, dict) else value:
            found += containers(item)
    return found


def change(value: Any, rng: random.Random) -> None:
    """Change a member somewhere in the value; ``dns-servers`` stay in a domain, or the real server aborts."""
    where = rng.choice(containers(value))
    if isinstance(where, list):
        if where and rng.random() < 0.8:
            where[rng.randrange(len(where))] = copy.deepcopy(rng.choice(VALUES))
        else:
            where.append(copy.deepcopy(rng.choice(VALUES)))
        return
    changeable = [key for key in where if key != "dns-servers"]
    kind = rng.randrange(4)
    if kind == 0 and changeable:
        del where[rng.choice(changeable)]
    elif kind == 1:
        where[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    elif where:
        where[rng.choice(list(where))] = copy.deepcopy(rng.choice(VALUES))


def random_configuration(rng: random.Random, *, careful: bool = False) -> dict[str, Any]:
    """Return a DhcpDdns map that Kea's grammar may or may not take; a careful one is mostly good."""
    while True:
        try:
            value = json.loads(Generator(rng, careful=careful, strict=True).whole())["DhcpDdns"]
            json.dumps(value, allow_nan=False)
        except ValueError:
            continue
        break
    assert isinstance(value, dict)
    for _ in range(0 if careful else rng.choice([0, 1, 1, 2])):
        change(value, rng)
    return value


def all_missing(libraries: Sequence[HookLibrary]) -> list[str]:
    return [entry.library for entry in libraries]


def ours(request: str, directories: Directories) -> Config | str:
    """Return the configuration of a command, or the text of the error."""
    element = from_wire(request).map_value()["arguments"].map_value()["DhcpDdns"]
    try:
        return parse_element(element, directories, validate_libraries=all_missing)
    except ConfigError as error:
        return str(error)


def directories_of(d2: D2) -> Directories:
    """Return the directories of the server under test; that of the hooks is the installation's."""
    here = str(d2.directory)
    environment = {"KEA_LOG_FILE_DIR": here, "KEA_CONTROL_SOCKET_DIR": here}
    return Directories.from_environment(environment, RULES.paths)


def answer_of(d2: D2, request: str) -> str:
    return control.exchange(d2.socket, [request]).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_config_test(batch: int, kea: tuple[D2, int]) -> None:
    d2, _ = kea
    directories = directories_of(d2)
    for seed in range(batch * REQUESTS_IN_BATCH, (batch + 1) * REQUESTS_IN_BATCH):
        arguments = {"DhcpDdns": random_configuration(random.Random(f"command {seed}"))}
        request = json.dumps({"command": "config-test", "arguments": arguments}, ensure_ascii=False)
        result = ours(request, directories)
        if isinstance(result, str) and result.startswith(REFUSED_AT_ONCE):
            continue
        answer = answer_of(d2, request)
        if not isinstance(result, str):
            assert answer == '{ "result": 0, "text": "Configuration check successful" }', request
        elif answer.startswith('{ "result": 0'):
            assert result.startswith(REFUSED_AT_LAST), request
        else:
            expected = to_text(Element({"result": Element(1), "text": Element(result)}))
            assert operator.eq(*without_secrets(answer, expected)), (answer, expected, request)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_config_set_and_config_get(batch: int, kea: tuple[D2, int]) -> None:
    """What both take, both show alike and give the same hash."""
    d2, port = kea
    directories = directories_of(d2)
    taken = 0
    for seed in range(batch * REQUESTS_IN_BATCH, (batch + 1) * REQUESTS_IN_BATCH):
        body = random_configuration(random.Random(f"shown {seed}"), careful=True)
        body.pop("hooks-libraries", None)  # these would have to exist
        body |= {"ip-address": "127.0.0.1", "port": port, "control-socket": CONTROL_SOCKET}
        request = json.dumps({"command": "config-set", "arguments": {"DhcpDdns": body}}, ensure_ascii=False)
        result = ours(request, directories)
        if isinstance(result, str):
            continue
        taken += 1
        hash_ = config_hash(to_element(result))
        assert json.loads(answer_of(d2, request))["arguments"] == {"hash": hash_}, request
        whole = Element({**to_element(result).map_value(), "hash": Element(hash_)})
        expected = to_text(Element({"arguments": whole, "result": Element(0)}))
        assert answer_of(d2, '{ "command": "config-get" }') == expected, request
    assert taken > REQUESTS_IN_BATCH // 5

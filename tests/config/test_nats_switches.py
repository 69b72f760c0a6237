"""The block of a queue on NATS: what it needs, its defaults, and the place of each fault."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.nats.servers import Server
from pyd2.config.nats.switches import NatsSwitches, is_name
from pyd2.config.switches import QueueSwitches, known_parameters, parse_switches
from pyd2.config.tls import TlsSwitches
from pyd2.data.element import Position, from_plain
from pyd2.data.json import from_json
from pyd2.errors import ConfigError
from tests.kit.certificates import make_authority, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

HERE = Position("f", 2, 3)
SERVERS = ["nats://127.0.0.1:4222"]


def read(**block: Any) -> QueueSwitches:
    return parse_switches(from_plain({"pyd2": {"queue": {"type": "nats", **block}}}, HERE)).queue


def fault(**block: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(**block)
    return str(caught.value)


def test_little_is_needed() -> None:
    queue = read(servers=SERVERS, site="site-a", name="n1")
    server = Server("127.0.0.1", 4222, tls=False)
    assert queue == QueueSwitches(
        "nats", "/var/lib/kea", 1_000_000, HERE, NatsSwitches((server,), "site-a", "n1")
    )
    assert queue.on_disk
    assert queue.nats is not None
    assert queue.nats.own
    assert (queue.nats.lease, queue.nats.grace, queue.nats.tls) == (6.0, 1.0, None)


def test_others_wait_until_no_signature_of_the_owner_is_valid() -> None:
    pauses = []
    for more in ({}, {"tsig-fudge": 5}, {"tsig-fudge": 2, "grace": 3}, {"tsig-fudge": 300}):
        queue = read(servers=SERVERS, site="site-a", name="n1", **more)
        assert queue.nats is not None
        pauses.append(queue.nats.pause)
    assert pauses == [1.0, 5, 3, 1.0]


def test_the_name_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    uname = os.uname()

    def named(name: str) -> None:
        monkeypatch.setattr(os, "uname", lambda: type(uname)(("Linux", name, *uname[2:])))

    named("dhcp1.example.com")
    queue = read(servers=SERVERS, site="site-a")
    assert queue.nats is not None
    assert queue.nats.name == "dhcp1"
    named("")
    assert fault(servers=SERVERS, site="a") == \
        "'name' must have 1 to 63 of A-Z, a-z, 0-9, '-' and '_', and '' does not (f:2:3)"


def test_all_may_be_set(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    own = make_certificate(tmp_path, authority, "DNS:n1", "n1")
    queue = read(
        servers=["tls://q1.example.com", "tls://q2.example.com:4333"], site="site-a", name="n1", own=False,
        lease=10, grace=1.5, directory="/q", **{
            "max-entries": 7, "tsig-fudge": 5, "tls-hostname": "q.example.com",
            "tls-ca-file": str(authority.cert), "tls-cert-file": str(own.cert),
            "tls-key-file": str(own.key)})  # fmt: skip
    servers = (Server("q1.example.com", 4222, tls=True), Server("q2.example.com", 4333, tls=True))
    texts = "q.example.com", str(authority.cert), str(own.cert), str(own.key)
    nats = NatsSwitches(servers, "site-a", "n1", False, 10, 1.5, 5, *texts)
    assert queue == QueueSwitches("nats", "/q", 7, HERE, nats)
    assert nats.tls == TlsSwitches("strict", *texts)


@pytest.mark.parametrize(("block", "text"), [
    ({}, "the queue of type nats needs 'servers' (f:2:3)"),
    ({"servers": SERVERS}, "the queue of type nats needs 'site' (f:2:3)"),
    ({"servers": 5, "site": "a"}, "invalid type specified for parameter 'servers' (f:2:3)"),
    ({"servers": [], "site": "a"}, "'servers' must not be empty (f:2:3)"),
    ({"servers": [5], "site": "a"}, "invalid type specified for parameter 'servers' (f:2:3)"),
    (
        {"servers": ["nats://192.0.2.1"], "site": "a"},
        (
            "'servers': 'nats://192.0.2.1': nats:// is not encrypted and for 127.0.0.1 and ::1 only; "
            "use tls:// (f:2:3)"
        ),
    ),
    ({"servers": ["q1"], "site": "a"}, "'servers': 'q1' is not of the form tls://host:port (f:2:3)"),
    (
        {"servers": SERVERS, "site": "a.b"},
        "'site' must have 1 to 63 of A-Z, a-z, 0-9, '-' and '_', and 'a.b' does not (f:2:3)",
    ),
    (
        {"servers": SERVERS, "site": "a", "name": "*"},
        "'name' must have 1 to 63 of A-Z, a-z, 0-9, '-' and '_', and '*' does not (f:2:3)",
    ),
    ({"servers": SERVERS, "site": "a", "own": ["a"]}, "invalid type specified for parameter 'own' (f:2:3)"),
    (
        {"servers": SERVERS, "site": "a", "lease": 1},
        "out of range value (1) specified for parameter 'lease' (f:2:3)",
    ),
    (
        {"servers": SERVERS, "site": "a", "grace": 61},
        "out of range value (61) specified for parameter 'grace' (f:2:3)",
    ),
    (
        {"servers": SERVERS, "site": "a", "tsig-fudge": 301},
        "out of range value (301) specified for parameter 'tsig-fudge' (f:2:3)",
    ),
    ({"servers": SERVERS, "site": "a", "leese": 5}, "unknown parameter 'leese' in pyd2.queue map (f:2:3)"),
    ({"servers": SERVERS, "site": "a", "directory": "q"}, "'directory' must be an absolute path (f:2:3)"),
    (
        {"servers": ["tls://q1"], "site": "a", "tls-ca-file": "/none"},
        "'tls-ca-file' /none cannot be used: No such file or directory (f:2:3)",
    ),
])
def test_each_fault_has_its_place(block: dict[str, Any], text: str) -> None:
    assert fault(**({"name": "n1"} | block)) == text


def test_the_place_is_that_of_the_value() -> None:
    queue = {"type": "nats", "site": "a", "servers": ["tls://q1", "q2"]}
    text = json.dumps({"pyd2": {"queue": queue}}, indent=1)
    with pytest.raises(ConfigError, match=r"'q2' is not of the form tls://host:port \(<string>:8:5\)"):
        parse_switches(from_json(text))


@pytest.mark.parametrize("kind", ["memory", "durable", None])
def test_other_types_have_none_of_it(kind: str | None) -> None:
    block: dict[str, Any] = {"servers": SERVERS} | ({"type": kind} if kind else {})
    with pytest.raises(ConfigError, match=r"unknown parameter 'servers' in pyd2\.queue map"):
        parse_switches(from_plain({"pyd2": {"queue": block}}, HERE))


def test_hints_know_its_parameters() -> None:
    assert {"type", "directory", "servers", "site", "tls-ca-file"} <= set(known_parameters("pyd2.queue"))


def test_what_needs_a_restart() -> None:
    one = read(servers=SERVERS, site="site-a", name="n1")
    assert not one.needs_restart(one)
    assert not one._replace(max_entries=5, position=Position("g", 1, 1)).needs_restart(one)
    for other in (one._replace(directory="/q"), read(servers=SERVERS, site="site-b", name="n1"),
                  QueueSwitches("durable"), QueueSwitches()):
        assert other.needs_restart(one)
        assert one.needs_restart(other)
    assert not QueueSwitches("durable").needs_restart(QueueSwitches())


@pytest.mark.parametrize(("text", "good"), [
    ("site-a", True), ("r1", True), ("A_9", True), ("", False), ("a.b", False), ("a b", False), ("*", False),
    (">", False), ("ä", False), ("a\n", False), ("x" * 64, False),
])
def test_a_name_is_one_part_of_a_subject(text: str, good: bool) -> None:
    assert is_name(text) is good

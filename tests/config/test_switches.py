"""pyd2's own switches: off when absent, inherited, and strict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.paths import Directories
from pyd2.config.policy import PolicySwitches
from pyd2.config.switches import (
    FailoverSwitches,
    LaneSwitches,
    QueueSwitches,
    RetrySwitches,
    ServerSwitches,
    Switches,
    override_switches,
    parse_switches,
)
from pyd2.data.element import Position, from_plain
from pyd2.errors import ConfigError
from tests.kit.profile import parse_element

if TYPE_CHECKING:
    from pyd2.config.model import Config

HERE = Position("f", 2, 3)
DIRECTORIES = Directories("/hooks", "/logs", "/sockets")


def switches(**own: Any) -> Switches:
    return parse_switches(from_plain({"pyd2": own}, HERE))


def fault(own: Any, *, overriding: bool = False) -> str:
    context = from_plain({"pyd2": own}, HERE)

    def read() -> object:
        return override_switches(context, ServerSwitches()) if overriding else parse_switches(context)

    with pytest.raises(ConfigError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("context", [None, {}, {"comment": "c"}, {"pyd2": {}}, "not a map", [1]])
def test_without_switches_all_is_as_in_kea(context: Any) -> None:
    element = None if context is None else from_plain(context)
    assert parse_switches(element) == Switches()
    assert override_switches(element, ServerSwitches()) == ServerSwitches()
    assert Switches() == Switches(
        queue=QueueSwitches("memory", "/var/lib/kea", 1_000_000),
        servers=ServerSwitches(
            RetrySwitches(enabled=False, initial_delay=1, max_delay=300),
            FailoverSwitches(enabled=False, breaker_threshold=5, partial_success=False),
            LaneSwitches(max_in_flight=None, transport="udp", batch=1),
        ),
        expired="keep",
        redact_secrets=False,
    )


def test_each_switch_is_read() -> None:
    found = switches(
        queue={"type": "durable", "directory": "/q", "max-entries": 7},
        retry={"enabled": True, "initial-delay": 2, "max-delay": 2.5},
        failover={"enabled": True, "breaker-threshold": 9, "partial-success": True},
        lanes={"max-in-flight": 8, "transport": "tcp", "batch": 500},
        expired="drop",
        **{"redact-secrets": True},
    )
    assert found == Switches(
        QueueSwitches("durable", "/q", 7, found.queue.position),
        ServerSwitches(
            RetrySwitches(enabled=True, initial_delay=2, max_delay=2.5),
            FailoverSwitches(enabled=True, breaker_threshold=9, partial_success=True),
            LaneSwitches(8, "tcp", batch=500),
        ),
        "drop",
        redact_secrets=True,
    )


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (5, "invalid type specified for parameter 'pyd2' (f:2:3)"),
        ({"queu": {}}, "unknown parameter 'queu' in pyd2 map (f:2:3)"),
        ({"lanes": 5}, "invalid type specified for parameter 'lanes' (f:2:3)"),
        ({"lanes": {"transprot": "tcp"}}, "unknown parameter 'transprot' in pyd2.lanes map (f:2:3)"),
        ({"lanes": {"transport": 5}}, "invalid type specified for parameter 'transport' (f:2:3)"),
        (
            {"lanes": {"transport": "sctp"}},
            "invalid value 'sctp' specified for parameter 'transport', expected udp or tcp or tls (f:2:3)",
        ),
        (
            {"lanes": {"max-in-flight": 0}},
            "out of range value (0) specified for parameter 'max-in-flight' (f:2:3)",
        ),
        ({"lanes": {"batch": 501}}, "out of range value (501) specified for parameter 'batch' (f:2:3)"),
        ({"lanes": {"batch": 0}}, "out of range value (0) specified for parameter 'batch' (f:2:3)"),
        ({"lanes": {"max-in-flight": True}}, "invalid type specified for parameter 'max-in-flight' (f:2:3)"),
        ({"lanes": {"max-in-flight": 1.5}}, "invalid type specified for parameter 'max-in-flight' (f:2:3)"),
        (
            {"queue": {"max-entries": 2**31}},
            "out of range value (2147483648) specified for parameter 'max-entries' (f:2:3)",
        ),
        ({"queue": {"directory": 5}}, "invalid type specified for parameter 'directory' (f:2:3)"),
        ({"queue": {"directory": "var/q"}}, "'directory' must be an absolute path (f:2:3)"),
        ({"queue": {"directory": "/var/q\0x"}}, "'directory' must not contain a NUL character (f:2:3)"),
        (
            {"queue": {"type": "Durable"}},
            (
                "invalid value 'Durable' specified for parameter 'type', "
                "expected memory or durable or nats (f:2:3)"
            ),
        ),
        (
            {"retry": {"initial-delay": 0}},
            "out of range value (0) specified for parameter 'initial-delay' (f:2:3)",
        ),
        ({"retry": {"enabled": 0}}, "invalid type specified for parameter 'enabled' (f:2:3)"),
        ({"retry": {"max-delay": 0.5}}, "'max-delay' must not be less than 'initial-delay' (f:2:3)"),
        (
            {"failover": {"partial-success": True}},
            "'partial-success' has no effect without 'enabled' true (f:2:3)",
        ),
        ({"expired": None}, "invalid type specified for parameter 'expired' (f:2:3)"),
        (
            {"expired": "Drop"},
            "invalid value 'Drop' specified for parameter 'expired', expected keep or drop (f:2:3)",
        ),
        (
            {"policy": {"dual-stack": "on"}},
            (
                "invalid value 'on' specified for parameter 'dual-stack', "
                "expected off or per-family or same-host (f:2:3)"
            ),
        ),
        ({"policy": {"adopt": True}}, "invalid type specified for parameter 'adopt' (f:2:3)"),
        ({"policy": []}, "invalid type specified for parameter 'policy' (f:2:3)"),
        ({"policy": {"kept": []}}, "unknown parameter 'kept' in pyd2.policy map (f:2:3)"),
        ({"policy": {"keep": "h.test."}}, "invalid type specified for parameter 'keep' (f:2:3)"),
        ({"policy": {"keep": [5]}}, "invalid type specified for parameter 'keep' (f:2:3)"),
        (
            {"policy": {"keep": ["a..b."]}},
            "'keep' has 'a..b.', which is no domain name: duplicate period in a..b. (f:2:3)",
        ),
        (
            {"policy": {"dual-stack": "same-host", "dhcp4-socket": "/run/kea4"}},
            "'dual-stack' same-host needs 'dhcp6-socket' (f:2:3)",
        ),
        ({"policy": {"dhcp4-socket": "run/kea4"}}, "'dhcp4-socket' must be an absolute path (f:2:3)"),
        ({"redact-secrets": "yes"}, "invalid type specified for parameter 'redact-secrets' (f:2:3)"),
    ],
)
def test_slips_of_the_pen(own: Any, text: str) -> None:
    assert fault(own) == text


@pytest.mark.parametrize("own", [{"queue": {}}, {"expired": "drop"}, {"redact-secrets": True}])
def test_what_is_global_only(own: dict[str, Any]) -> None:
    (key,) = own
    assert fault(own, overriding=True) == f"unknown parameter '{key}' in pyd2 map (f:2:3)"


def parse(value: dict[str, Any]) -> Config:
    return parse_element(from_plain(value, HERE), DIRECTORIES)


def test_servers_inherit_from_domains_and_those_from_the_globals() -> None:
    def context(**lanes: Any) -> dict[str, Any]:
        return {"user-context": {"pyd2": {"lanes": lanes}}}

    servers = [{"ip-address": "::1"}, {"ip-address": "::1", **context(transport="udp")}]
    domains = [
        {"name": "a.", "dns-servers": servers, **context(transport="tcp")},
        {"name": "b.", "dns-servers": [{"ip-address": "::1"}]},
    ]
    config = parse({"forward-ddns": {"ddns-domains": domains}, **context(**{"max-in-flight": 5})})
    a, b = config.forward_domains
    assert config.switches.servers.lanes == LaneSwitches(5, "udp")
    assert [server.switches.lanes for server in a.servers] == [LaneSwitches(5, "tcp"), LaneSwitches(5, "udp")]
    assert (a.switches.lanes, b.switches.lanes) == (LaneSwitches(5, "tcp"), LaneSwitches(5, "udp"))
    assert b.servers[0].switches is config.switches.servers


def test_domains_inherit_policies_and_servers_have_none_of_their_own() -> None:
    def context(**policy: Any) -> dict[str, Any]:
        return {"user-context": {"pyd2": {"policy": policy}}}

    servers = [{"ip-address": "::1"}]
    domains = [
        {"name": "a.", "dns-servers": servers, **context(adopt="same-address", keep=["h.a."])},
        {"name": "b.", "dns-servers": servers},
    ]
    config = parse({"forward-ddns": {"ddns-domains": domains}, **context(**{"dual-stack": "per-family"})})
    a, b = config.forward_domains
    assert a.switches.policy == PolicySwitches("per-family", adopt="same-address", keep=("h.a.",))
    assert b.switches.policy == config.switches.servers.policy == PolicySwitches("per-family")
    own = {"policy": {"adopt": "same-address"}}
    assert fault(own, overriding=True) == "unknown parameter 'policy' in pyd2 map (f:2:3)"


def test_a_fault_in_a_server_is_found() -> None:
    server = {"ip-address": "::1", "user-context": {"pyd2": {"lane": 1}}}
    with pytest.raises(ConfigError, match=r"^unknown parameter 'lane' in pyd2 map \(f:2:3\)$"):
        parse({"reverse-ddns": {"ddns-domains": [{"name": "a.", "dns-servers": [server]}]}})

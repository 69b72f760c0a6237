"""No field of a configuration is lost when pyd2 takes over what a compiled library made of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from pyd2.config.model import Config, DdnsDomain, DnsServer, Logger, OutputOption, TsigKey
from pyd2.config.switches import override_switches, parse_switches
from pyd2.data.element import Element, from_plain
from pyd2.hooks.kea.changed_config import changed

OWN: Any = {"pyd2": {"retry": {"enabled": True}, "expired": "drop"}}
OF_DOMAIN: Any = {"pyd2": {"failover": {"enabled": True}}}
OF_SERVER: Any = {"pyd2": {"lanes": {"max-in-flight": 7}}}
NOTE: Any = {"note": "kept"}

KEY: Any = {"name": "key.", "algorithm": "HMAC-SHA256", "digest-bits": 128, "secret": "c2VjcmV0",
            "secret-file": "", "user-context": NOTE}
SERVER: Any = {"ip-address": "192.0.2.53", "port": 5353, "key-name": "key.", "key": KEY,
               "user-context": OF_SERVER}
DOMAIN: Any = {"name": "example.com.", "key-name": "key.", "user-context": OF_DOMAIN, "servers": [SERVER]}
OUTPUT: Any = {"output": "stdout", "flush": False, "maxsize": 1, "maxver": 2, "pattern": "%m"}
LOGGER: Any = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 50, "user-context": NOTE,
               "output-options": [OUTPUT]}
DESCRIBED: Any = {
    "shown": {"DhcpDdns": {"ip-address": "192.0.2.1", "port": 53002, "dns-server-timeout": 700,
                           "user-context": OWN}},
    "keys": [KEY], "forward": [DOMAIN], "reverse": [{**DOMAIN, "name": "2.0.192.in-addr.arpa."}],
    "loggers": [LOGGER],
}
"""The description that the bridge (``pyd2::describe``) makes of the configuration below."""

POSITIONS = {"position", "hooks_position"}
"""Fields that a library's objects cannot have: places in a file."""
FROM_THE_OLD_ONE = {"ncr_protocol", "ncr_format", "control_sockets", "sockets_shown", "hooks_libraries"}
"""Fields of Config that stay: they have one value, or are in force before libraries are called."""


def made() -> Config:
    """Return the configuration that ``DESCRIBED`` describes, each field with a value of its own."""
    switches = parse_switches(from_plain(OWN))
    of_domain = override_switches(from_plain(OF_DOMAIN), switches.servers)
    key = TsigKey("key.", "HMAC-SHA256", 128, b"secret", "c2VjcmV0", None, from_plain(NOTE))
    server = DnsServer(ip_address("192.0.2.53"), 5353, "key.", key, from_plain(OF_SERVER),
                       switches=override_switches(from_plain(OF_SERVER), of_domain))
    domain = DdnsDomain("example.com.", "key.", (server,), from_plain(OF_DOMAIN), switches=of_domain)
    output = OutputOption("stdout", flush=False, maxsize=1, maxver=2, pattern="%m")
    return Config(
        ip_address=ip_address("192.0.2.1"), port=53002, dns_server_timeout=700,
        ncr_protocol="UDP", ncr_format="JSON", tsig_keys=(key,), forward_domains=(domain,),
        reverse_domains=(domain._replace(name="2.0.192.in-addr.arpa."),), control_sockets=(),
        hooks_libraries=(), loggers=(Logger("kea-dhcp-ddns", "DEBUG", 50, (output,), from_plain(NOTE)),),
        user_context=from_plain(OWN), switches=switches, sockets_shown={"control-sockets": from_plain([])},
    )


def plain(value: Any) -> Any:
    """Return a value of the configuration as plain values that can be compared, without positions."""
    if isinstance(value, Element):
        return value.plain()
    if hasattr(value, "_fields"):
        return {name: plain(member) for name, member in value._asdict().items() if name not in POSITIONS}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def test_each_field_is_taken_over() -> None:
    """The old configuration differs in each field, so none of its values may be left."""
    old = made()._replace(
        ip_address=ip_address("::1"), port=1, dns_server_timeout=1, tsig_keys=(), forward_domains=(),
        reverse_domains=(), loggers=(), user_context=None,
    )
    assert plain(changed(old, from_plain(DESCRIBED))) == plain(made())


@pytest.mark.parametrize("part", [
    made(), made().tsig_keys[0], made().forward_domains[0], made().forward_domains[0].servers[0],
    made().loggers[0], made().loggers[0].outputs[0],
], ids=lambda part: type(part).__name__)
def test_the_test_sets_each_field(part: Any) -> None:
    """A new field must be added above, and to ``pyd2/hooks/kea/changed_config.py``."""
    not_set = {name for name, default in part._field_defaults.items() if getattr(part, name) == default}
    assert not_set <= POSITIONS
    empty = {name for name, value in part._asdict().items() if value in (None, (), "")}
    assert empty <= FROM_THE_OLD_ONE | {"secret_file"}

"""The parameters of GSS-TSIG: values, defaults, and the texts and positions of Kea's own unit tests."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from pyd2.data.json import from_json
from pyd2.errors import ConfigError
from pyd2.hooks.gss.parameters import GssServer, Parameters, parse_parameters

_A_SERVER = '"id": "foo", "ip-address": "2001:db8::1", "server-principal": "DNS/server.example.org@REALM",'
_LONG = "0123456789" * 9
_NO_SUFFIX = "can't get the GSS-TSIG key name suffix from the DNS server principal 'DNS/@REALM'"
_LONG_SUFFIX = (
    f"check of the GSS-TSIG key name suffix 'sig-{_LONG}' failed: label is too long in 1234567890.sig-{_LONG}"
)


def parse(parameters: dict[str, Any] | str) -> Parameters:
    """Return the parameters of a JSON text."""
    text = parameters if isinstance(parameters, str) else json.dumps(parameters)
    return parse_parameters(from_json(text))


def server(**more: Any) -> dict[str, Any]:
    """Return an entry of the servers."""
    return {"id": "foo", "ip-address": "192.0.2.1", "server-principal": "DNS/ns.example.org@R", **more}


def test_a_server_has_kea_s_defaults() -> None:
    parameters = parse({"servers": [server()]})
    assert parameters == Parameters(servers=(GssServer(
        id="foo", domains=(), address=ip_address("192.0.2.1"), port=53,
        server_principal="DNS/ns.example.org@R", key_name_suffix="sig-ns.example.org.",
        client_principal="", replay_flag=True, sequence_flag=False, lifetime=3600, rekey_interval=2700,
        retry_interval=120, protocol="TCP", fallback=False, exchange_timeout=3000,
    ),))
    assert parameters.longest_lifetime == 3600


def test_a_server_inherits_what_it_does_not_say() -> None:
    for_all = {
        "server-principal": "DNS/all.example.org@R", "client-principal": "DHCP/all@R",
        "gss-replay-flag": False, "gss-sequence-flag": True, "tkey-lifetime": 7200, "rekey-interval": 5400,
        "retry-interval": 240,
        "tkey-protocol": "UDP", "fallback": True, "exchange-timeout": 100,
    }
    own = {
        "server-principal": "DNS/Own.example.org@R", "client-principal": "DHCP/own@R",
        "gss-replay-flag": True, "gss-sequence-flag": False, "tkey-lifetime": 86400, "rekey-interval": 64800,
        "retry-interval": 2880,
        "tkey-protocol": "TCP", "fallback": False, "exchange-timeout": 200,
    }
    parameters = parse({
        **for_all, "client-keytab": "FILE:/etc/krb5.keytab", "credentials-cache": "FILE:/etc/ccache",
        "ignore-bad-direction": True,
        "servers": [
            {"id": "a", "ip-address": "192.0.2.1"},
            {"id": "b", "ip-address": "fe80::1", "port": 5300, "domain-names": ["b.", "a.", "b."], **own},
        ],
    })
    first, second = parameters.servers
    assert parameters.client_keytab == "FILE:/etc/krb5.keytab"
    assert parameters.credentials_cache == "FILE:/etc/ccache"
    assert parameters.ignore_bad_direction
    assert parameters.longest_lifetime == 86400
    shown = first.plain()
    assert {name: shown[name] for name in for_all} == for_all
    assert shown["key-name-suffix"] == "sig-all.example.org."
    assert "domain-names" not in shown
    shown = second.plain()
    assert {name: shown[name] for name in own} == own
    assert shown["key-name-suffix"] == "sig-Own.example.org."
    assert (second.domains, second.port) == (("a.", "b."), 5300)


@pytest.mark.parametrize("parameters", [{}, {"servers": []}, {"comment": "none", "user-context": {"a": 1}}])
def test_there_may_be_no_server(parameters: dict[str, Any]) -> None:
    assert parse(parameters) == Parameters()


@pytest.mark.parametrize(("principal", "suffix"), [
    ("DNS/ns1.example.org@EXAMPLE.ORG", "sig-ns1.example.org."),
    ("DNS/ns1.example.org", "sig-ns1.example.org."),
    ("ns1.example.org", "sig-ns1.example.org."),
    ("DNS/a/b@C@D", "sig-a/b\\@C."),
])
def test_the_names_of_keys_end_with_the_host_of_the_principal(principal: str, suffix: str) -> None:
    parameters = parse({"servers": [server(**{"server-principal": principal})]})
    assert parameters.servers[0].key_name_suffix == suffix


def test_parameters_are_mandatory() -> None:
    with pytest.raises(ConfigError, match=r"^gss_tsig parameters entry is mandatory$"):
        parse_parameters(None)


@pytest.mark.parametrize(("text", "fault"), [
    ("[ ]", "gss_tsig parameters entry must be a map"),
    ('{ "dns-servers": [ ] }', "gss_tsig spurious 'dns-servers' parameter (<string>:1:2)"),
    ('{ "b": 1, "a": 1 }', "gss_tsig spurious 'a' parameter (<string>:1:2)"),
    ('{ "a": 1, "comment": 1 }', "gss_tsig 'comment' parameter is not a string (<string>:1:2)"),
    ('{ "servers": [ { "address": "192.1.2.3" } ] }',
     "gss_tsig server spurious 'address' parameter (<string>:1:17)"),
    ('{ "server-principal": 100 }', "gss_tsig 'server-principal' parameter is not a string (<string>:1:2)"),
    ('{ "gss-replay-flag": 1 }', "gss_tsig 'gss-replay-flag' parameter is not a boolean (<string>:1:2)"),
    ('{ "tkey-lifetime": "3600" }', "gss_tsig 'tkey-lifetime' parameter is not an integer (<string>:1:2)"),
    ('{ "tkey-lifetime": 99999999999999999999 }',
     "gss_tsig 'tkey-lifetime' parameter is not an integer (<string>:1:2)"),
    ('{ "user-context": [ ] }', "gss_tsig 'user-context' parameter is not a map (<string>:1:2)"),
    ('{ "servers": { } }', "gss_tsig 'servers' parameter is not a list (<string>:1:2)"),
    ('{ "servers": [ 1 ] }', "'servers' parameter must be a list of maps (<string>:1:16)"),
    ('{ "servers": [ { "domain-names": false } ] }',
     "gss_tsig server 'domain-names' parameter is not a list (<string>:1:17)"),
    ('{ "servers": [ { "client-keytab": "a" } ] }',
     "gss_tsig server spurious 'client-keytab' parameter (<string>:1:17)"),
    ('{ "servers": [ { "id": "foo", "domain-names": [ true ] } ] }',
     "gss_tsig server 'domain-names' list must contain only strings (<string>:1:49)"),
    ('{ "servers": [ { } ] }', "'id' parameter is required in gss_tsig server entry (<string>:1:17)"),
    ('{ "servers": [ { "id": "" } ] }',
     "'id' parameter must be not empty in gss_tsig server entry (<string>:1:17)"),
    ('{ "servers": [ { "id": "foo" } ] }',
     "'ip-address' parameter is required in gss_tsig server entry (<string>:1:17)"),
    ('{ "servers": [ { "id": "foo", "ip-address": "2001:db8::1" } ] }',
     "'server-principal' parameter is required in gss_tsig server entry (<string>:1:17)"),
    (('{ "server-principal": "DNS/example.org@REALM", "servers": [ { "id": "foo", "ip-address": "192.1.2.3" '
     '}, {'
     '"id": "foo", "ip-address": "192.1.2.4" } ] }'),
     "'foo' id is already used in gss_tsig server entry (<string>:1:106)"),
    ('{ "servers": [ { "id": "foo", "ip-address": "foobar" } ] }',
     ("gss_tsig bad server entry: Failed to convert string to address 'foobar': Invalid argument"
     " (<string>:1:17)")),
    ('{ "servers": [ { "id": "foo", "ip-address": "2001:db8::1", "port": -1 } ] }',
     ("gss_tsig bad server entry: The 'port' value (-1) is not within expected range: (0 - 65535)"
     " (<string>:1:17)")),
    ('{ "servers": [ { "id": "foo", "ip-address": "2001:db8::1", "server-principal": "DNS/@REALM" } ] }',
     f"gss_tsig bad server entry: {_NO_SUFFIX} (<string>:1:80)"),
    ('{ "servers": [ { "id": "foo", "ip-address": "2001:db8::1" } ], "server-principal": "DNS/@REALM" }',
     f"gss_tsig bad server-principal parameter: {_NO_SUFFIX} (<string>:1:84)"),
    (('{ "servers": [ { "id": "foo", "ip-address": "2001:db8::1", '
     f'"server-principal": "DNS/{_LONG}@REALM" }} ] }}'),
     f"gss_tsig bad server entry: {_LONG_SUFFIX} (<string>:1:80)"),
    ('{ "tkey-protocol": "udp" }', "'tkey-protocol' parameter must be UDP or TCP (<string>:1:20)"),
    (f'{{ "servers": [ {{ {_A_SERVER} "tkey-protocol": "udp" }} ] }}',
     "'tkey-protocol' parameter must be UDP or TCP (<string>:1:129)"),
    ('{ "exchange-timeout": -1 }',
     "'exchange-timeout' parameter is out of range [0..4294967295] (<string>:1:23)"),
    *((f'{{ "{name}": {value} }}',
       f"'{name}' parameter is out of range [0..4294967295] (<string>:1:{7 + len(name)})")
      for name in ("tkey-lifetime", "rekey-interval", "retry-interval") for value in (-1, 4294967296)),
    *((f'{{ "servers": [ {{ {_A_SERVER} "{name}": {value} }} ] }}',
       f"'{name}' parameter is out of range [0..4294967295] (<string>:1:{116 + len(name)})")
      for name in ("tkey-lifetime", "rekey-interval", "retry-interval") for value in (-1, 4294967296)),
    ('{ "rekey-interval": 3600 }',
     ("the global 'rekey-interval' parameter (<string>:1:21) must be smaller than the default 'tkey-lifetime'"
     " parameter: range [0..3600]")),
    ('{ "retry-interval": 2700 }',
     ("the global 'retry-interval' parameter (<string>:1:21) must be smaller then the default"
     " 'rekey-interval' parameter (<string>:1:21): range [0..2700]")),
    ('{ "tkey-lifetime": 2700 }',
     ("the default 'rekey-interval' parameter must be smaller than the global 'tkey-lifetime' parameter"
     " (<string>:1:20): range [0..2700]")),
    (f'{{ "tkey-lifetime": 8000, "servers": [ {{ {_A_SERVER} "rekey-interval": 9000 }} ] }}',
     ("the server 'rekey-interval' parameter (<string>:1:153) must be smaller than the global 'tkey-lifetime'"
     " parameter (<string>:1:20): range [0..8000]")),
])
def test_a_fault_has_kea_s_words_and_its_place(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == fault

"""The grammar: Bison's messages, what may be empty, comments and contexts, nesting.

Most messages are compared with Kea's in test_against_kea_files; here are those worth naming.
"""

from __future__ import annotations

import pytest

from pyd2.config import grammar
from pyd2.config.grammar import List, Map, Value
from pyd2.config.reader import MAX_NESTING, Reader
from pyd2.data.element import Element, Position
from pyd2.errors import ConfigSyntaxError
from tests.kit.profile import RULES


def read(body: str, warnings: list[str] | None = None) -> Element:
    """Return the DhcpDdns map of a file with the body between its braces."""
    text = '{"DhcpDdns":{' + body + "}}"
    warn = ([] if warnings is None else warnings).append
    return Reader("f", RULES.grammar, lambda _: text.encode(), warn).dhcp_ddns()


def fault(body: str) -> str:
    with pytest.raises(ConfigSyntaxError) as caught:
        read(body)
    return str(caught.value)


def test_elements_know_their_places() -> None:
    element = read(
        '"port": 5,\n"forward-ddns": { "ddns-domains": [ { "name": "a.", "dns-servers": [{"port":1}] } ] }'
    )
    assert element.position == Position("f", 1, 2)  # that of its key
    direction = element.map_value()["forward-ddns"]
    (domain,) = direction.map_value()["ddns-domains"].list_value()
    assert element.map_value()["port"].position == Position("f", 1, 22)
    assert direction.position == Position("f", 2, 1)
    assert domain.position == Position("f", 2, 37)  # that of its brace
    assert domain.map_value()["name"].position == Position("f", 2, 47)


def test_words_are_capitalised() -> None:
    assert read('"ncr-protocol": "tcp", "ncr-format": "Json"').plain() == {
        "ncr-protocol": "TCP",
        "ncr-format": "JSON",
    }


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ('"comment": "c"', {"comment": "c"}),
        ('"user-context": {"a": 1}, "comment": "c"', {"a": 1, "comment": "c"}),
        ('"comment": "c", "user-context": {"a": 1}', {"a": 1, "comment": "c"}),
        ('"comment": "c", "user-context": {"comment": "d"}', {"comment": "c"}),
        ('"user-context": {"a": null, "b": 2}, "comment": "c"', {"b": 2, "comment": "c"}),
    ],
)
def test_comments_join_the_context(body: str, plain: dict[str, object]) -> None:
    assert read(body).plain() == {"user-context": plain}


def test_extra_commas_are_warned_of_in_order() -> None:
    warnings: list[str] = []
    read('"port": 5,, "tsig-keys": [],\n"user-context": { "a": [ 1, ], },', warnings)
    places = [
        text.removesuffix(": Extraneous comma. A piece of configuration may have been omitted.")
        for text in warnings
    ]
    assert places == ["f:1.23", "f:2.27", "f:2.30", "f:2.33"]


def all_maps(rule: Map) -> list[Map]:
    found = [rule]
    for value in rule.keys.values():
        if isinstance(value, Map):
            found += all_maps(value)
        elif isinstance(value, List):
            found += all_maps(value.entry)
    return found


MAPS = {rule.name: rule for rule in all_maps(RULES.grammar)}

EXAMPLES: dict[type, tuple[str, str]] = {
    grammar.String: ('"x"', "5"),
    grammar.Integer: ("80", '"x"'),
    grammar.Boolean: ("true", "1"),
    grammar.OneOf: ('"UDP"', '"x"'),
    grammar.AnyMap: ("{}", "[]"),
    grammar.UserContext: ("{}", '"x"'),
    grammar.Comment: ('"x"', "{}"),
    grammar.Map: ("{}", "[]"),
    grammar.List: ("[]", "{}"),
}
INTO: dict[str, str] = {
    "DhcpDdns": "%s",
    "dns-servers": '"forward-ddns":{"ddns-domains":[{"dns-servers":[{%s}]}]}',
    "ddns-domains": '"forward-ddns":{"ddns-domains":[{%s}]}',
    "tsig-keys": '"tsig-keys":[{%s}]',
    "control-socket": '"control-socket":{%s}',
    "hooks-libraries": '"hooks-libraries":[{%s}]',
    "output-options": '"loggers":[{"output-options":[{%s}]}]',
    "loggers": '"loggers":[{%s}]',
    "forward-ddns": '"forward-ddns":{%s}',
    "reverse-ddns": '"reverse-ddns":{%s}',
}
ALL_KEYS = [(name, key) for name, rule in MAPS.items() for key in rule.keys]


def test_every_map_of_the_tables_is_tried() -> None:
    assert MAPS.keys() == INTO.keys()


@pytest.mark.parametrize(("name", "key"), ALL_KEYS)
def test_values_of_another_type_are_refused(name: str, key: str) -> None:
    _, wrong = EXAMPLES[type(MAPS[name].keys[key])]
    assert "syntax error, unexpected " in fault(INTO[name] % f'"{key}":{wrong}')


def may_be_empty(value: Value) -> bool:
    return not isinstance(value, Map | List) or value.may_be_empty


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (n, k)
        for n, k in ALL_KEYS
        if may_be_empty(MAPS[n].keys[k]) and k not in {"user-context", "comment", "hostname"}
    ],
)
def test_no_key_stands_twice(name: str, key: str) -> None:
    good, _ = EXAMPLES[type(MAPS[name].keys[key])]
    if key == "ncr-format":
        good = '"JSON"'
    text = fault(INTO[name] % f'"{key}":{good},"{key}":{good}')
    assert f": duplicate {key} entries in {name} map (previous at f:1:" in text


@pytest.mark.parametrize("name", sorted(MAPS.keys() - {"output-options"}))
def test_unknown_keys_are_named(name: str) -> None:
    assert fault(INTO[name] % '"bogus":1').endswith(f': got unexpected keyword "bogus" in {name} map.')


@pytest.mark.parametrize(("name", "key"), [(n, k) for n, k in ALL_KEYS if not may_be_empty(MAPS[n].keys[k])])
def test_what_must_not_be_empty(name: str, key: str) -> None:
    value = MAPS[name].keys[key]
    empty, closing = ("[]", "]") if isinstance(value, List) else ("{}", "}")
    assert f"syntax error, unexpected {closing}" in fault(INTO[name] % f'"{key}":{empty}')


def test_nesting_has_a_limit_and_an_error() -> None:
    depth = MAX_NESTING - 1
    read('"user-context":{"a":' + "[" * depth + "]" * depth + "}")
    text = fault('"user-context":{"a":' + "[" * 10_000 + "]" * 10_000 + "}")
    assert text == f"f:1.{34 + depth}: more than {MAX_NESTING} levels of nesting"
    assert "levels of nesting" in fault('"user-context":' + '{"a":' * 10_000 + "1" + "}" * 10_000)


def test_a_warning_names_the_file_that_is_open_when_it_is_given() -> None:
    """A comma at the end of an included file is known to be superfluous only in the including file."""
    files = {"f": b'{"DhcpDdns":{"port":5<?include "g"?>}}', "g": b","}
    warnings: list[str] = []
    Reader("f", RULES.grammar, files.__getitem__, warnings.append).dhcp_ddns()
    assert warnings == ["f:1.1: Extraneous comma. A piece of configuration may have been omitted."]

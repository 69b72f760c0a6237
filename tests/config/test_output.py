"""config-get's output and the redacted forms. Kea is the oracle in test_against_kea_commands."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.config.output import to_element, to_shown_element
from pyd2.config.paths import Directories
from pyd2.config.reader import Reader
from pyd2.config.redact import redact
from pyd2.control.commands import config_hash
from pyd2.data.element import Element, from_plain
from pyd2.data.text import to_text
from pyd2.errors import ConfigError
from tests.config.mutations import Generator
from tests.kit.profile import RULES, parse_element

DIRECTORIES = Directories("/hooks", "/logs", "/sockets")


def read(text: bytes) -> Element:
    return Reader("f", RULES.grammar, lambda _: text, lambda _: None).dhcp_ddns()


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_output_read_again_gives_the_output(seed: int) -> None:
    """Kea prints strings and keys so that its own file dialect reads them back."""
    try:
        config = parse_element(
            read(Generator(random.Random(seed)).whole()), DIRECTORIES, read_secret=lambda _: "QUJD"
        )
    except ConfigError:
        return
    text = to_text(to_element(config))
    again = parse_element(read(text.encode()), DIRECTORIES, read_secret=lambda _: "QUJD")
    assert to_text(to_element(again)) == text
    assert config_hash(to_element(again)) == config_hash(to_element(config))


def test_domains_and_keys_are_shown_by_name_in_byte_order() -> None:
    names = ["b.", "a.", "B.", "\u00e9.", "*", "\udcff."]
    domains: Any = [{"name": name, "dns-servers": [{"ip-address": "::1"}]} for name in names]
    keys: Any = [{"name": f"k{name}", "algorithm": "hmac-md5", "secret": "QUJD"} for name in names]
    value: Any = {"forward-ddns": {"ddns-domains": domains}, "tsig-keys": keys}
    shown: Any = to_element(parse_element(from_plain(value), DIRECTORIES)).plain()
    expected = ["*", "B.", "a.", "b.", "\u00e9.", "\udcff."]
    assert [entry["name"] for entry in shown["DhcpDdns"]["forward-ddns"]["ddns-domains"]] == expected
    assert [entry["name"] for entry in shown["DhcpDdns"]["tsig-keys"]] == [f"k{name}" for name in expected]


SECRETS: dict[str, Any] = {
    "tsig-keys": [
        {"name": "k", "algorithm": "HMAC-MD5", "secret": "QUJD", "user-context": {"secret": "kept"}}
    ],
    "hooks-libraries": [
        {"library": "x", "parameters": {"a": [{"db-password": 1}], "user-context": {"secret": 1}}}
    ],
    "user-context": {"secret": "kept"},
}


def test_secrets_are_shown_unless_switched_off() -> None:
    config = parse_element(from_plain(SECRETS), DIRECTORIES)
    assert to_shown_element(config) == to_element(config)
    assert '"secret": "QUJD"' in to_text(to_shown_element(config))

    context: Any = {"secret": "kept", "pyd2": {"redact-secrets": True}}
    config = parse_element(from_plain({**SECRETS, "user-context": context}), DIRECTORIES)
    shown = to_text(to_shown_element(config))
    assert "QUJD" not in shown
    assert shown.count('"*****"') == 2
    assert shown.count('"secret": "kept"') == 2
    assert '"secret": "QUJD"' in to_text(to_element(config))


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        (SECRETS["tsig-keys"], [{**SECRETS["tsig-keys"][0], "secret": "*****"}]),
        ([{"secret-file": "f", "my-password": 1, "a": {"b": "s"}}],
         [{"secret-file": "f", "my-password": "*****", "a": "*****"}]),
        ([{"name": "k", "Secret": "s", "scret": "s"}], [{"name": "k", "Secret": "*****", "scret": "*****"}]),
        ([5, None, "s", [{"secret": "s"}]], [5, None, "*****", [{"secret": "*****"}]]),
        ({"secret": "s"}, {"secret": "*****"}),
    ],
)
def test_redacted_keys(value: Any, redacted: Any) -> None:
    """Secrets in the wrong place or under a mistyped name are hidden, too."""
    assert redact(from_plain({"tsig-keys": value})).plain() == {"tsig-keys": redacted}
    misnamed = from_plain({"tsig_keys": [{"secret": "s"}]})
    assert redact(misnamed).plain() == {"tsig_keys": [{"secret": "*****"}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("MkQ3d1ZyTHp/SnhQ0aTf8hUyB6mKcWn+9sGvXoIiR4Y=", "*****"),
        ("hmac-md5:k:LSWXnfkKZjdPJI5QxlpnfQ==", "hmac-md5:k:*****"),
        ("aB1+" * 16, "*****"),
        ("0123456789abcdef" * 4, "0123456789abcdef" * 4),
        ("a-name-of-a-key.example.com.", "a-name-of-a-key.example.com."),
        ("/usr/lib/kea/hooks/libsomething.so", "/usr/lib/kea/hooks/libsomething.so"),
        ("abcdefghijklmnopqrst=value", "abcdefghijklmnopqrst=value"),
    ],
)
def test_what_can_only_be_a_secret_is_hidden_anywhere(text: str, shown: str) -> None:
    assert redact(from_plain({"port": text, text: [text]})).plain() == {"port": shown, shown: [shown]}
    assert str(ConfigError(f"invalid: {text} (f:1:2)")) == f"invalid: {shown} (f:1:2)"


@pytest.mark.parametrize(
    ("parameters", "redacted"),
    [
        ({"secret": {"a": 1}}, {"secret": "*****"}),
        ({"a": {"b": [[{"x-secret": 1, "c": 2}]]}}, {"a": {"b": [[{"x-secret": "*****", "c": 2}]]}}),
        ({"user-context": {"secret": 1}}, {"user-context": {"secret": 1}}),
        ("secret", "secret"),
    ],
)
def test_redacted_parameters(parameters: Any, redacted: Any) -> None:
    def libraries(value: Any, password: Any) -> dict[str, Any]:
        return {"hooks-libraries": [{"library": "secret", "parameters": value, "password": password}, 5]}

    assert redact(from_plain(libraries(parameters, 1))).plain() == libraries(redacted, "*****")


def test_redacting_keeps_the_original() -> None:
    element = from_plain(SECRETS)
    redact(element)
    assert element.plain() == SECRETS

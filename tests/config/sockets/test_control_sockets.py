"""The control sockets of Kea 3.0: values, defaults, faults, from a file and from a command."""

from __future__ import annotations

import json
import os
import random
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config import parse
from pyd2.config.model import Authentication, HttpClient, HttpSocket, TlsFiles, UnixSocket
from pyd2.config.output import to_element
from pyd2.config.paths import Directories
from pyd2.config.redact import redact
from pyd2.control.commands import config_hash
from pyd2.data.element import Element, from_plain
from pyd2.data.json import from_wire
from pyd2.data.text import to_text
from pyd2.errors import ConfigError, ConfigParserError, ConfigSyntaxError, SocketError
from pyd2.profiles.kea_3_0 import KEA_3_0
from tests.config.sockets.socket_maps import FILES, SocketMaps

if TYPE_CHECKING:
    from pathlib import Path

RULES = KEA_3_0.config
HTTP: dict[str, Any] = {"socket-type": "http"}
UNIX: dict[str, Any] = {"socket-type": "unix", "socket-name": "d2.sock"}
BASIC: dict[str, Any] = {"type": "basic"}


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    tmp_path.chmod(0o750)
    return Directories("/hooks", "/logs", str(tmp_path), RULES.paths)


@pytest.fixture
def take(directories: Directories) -> Any:
    """Parse a DhcpDdns map as a command gives it."""

    def parse_plain(**members: Any) -> Any:
        return parse.parse_element(from_wire(json.dumps(members).encode()), RULES, directories)

    return parse_plain


def one(config: Any) -> HttpSocket:
    (socket,) = config.control_sockets
    assert isinstance(socket, HttpSocket)
    return socket


def shown(config: Any) -> Any:
    return to_element(config).plain()["DhcpDdns"].get("control-sockets")  # type: ignore[index,union-attr,call-overload]


def with_clients(*clients: dict[str, Any], **more: Any) -> dict[str, Any]:
    return HTTP | {"authentication": BASIC | more | {"clients": list(clients)}}


def test_nothing_is_filled_in_that_was_not_typed(take: Any) -> None:
    config = take(**{"control-sockets": [HTTP, UNIX]})
    http, unix = config.control_sockets
    assert http == HttpSocket(ip_address("127.0.0.1"), 8000, None, None, (), http.element)
    assert isinstance(unix, UnixSocket)
    assert shown(config) == [UNIX, HTTP], "config-get shows the UNIX socket first"


def test_the_older_key_is_a_list_of_one(take: Any) -> None:
    config = take(**{"control-socket": HTTP})
    assert isinstance(one(config), HttpSocket)
    assert shown(config) == [HTTP]
    assert "control-socket" not in to_element(config).map_value()["DhcpDdns"].map_value()


def test_of_both_keys_in_a_command_the_older_one_counts(take: Any) -> None:
    assert shown(take(**{"control-socket": UNIX, "control-sockets": [HTTP]})) == [UNIX]


def test_faults_of_the_older_key_have_no_place_as_in_kea(take: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        take(**{"control-socket": HTTP | {"socket-port": -1}})
    assert str(caught.value) == "out of range value -1 specified for parameter 'socket-port' (:0:0)"


def test_an_empty_list_is_not_shown(take: Any) -> None:
    assert shown(take(**{"control-sockets": []})) is None
    assert shown(take()) is None


def test_all_values_of_an_https_socket(take: Any, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("  sesame open\n")
    (tmp_path / "both").write_text("second:a:b")
    (tmp_path / "us").write_text("third ")
    clients = [
        {"user": "first", "password-file": "pw", "user-context": {"pyd2": {"role": "read"}}},
        {"password-file": "/both"},
        {"user-file": "us", "user-context": {"pyd2": {"role": "all"}, "note": 1}},
    ]
    socket = HTTP | {
        "socket-type": "https", "socket-address": "::1", "socket-port": 0, "trust-anchor": "ca",
        "cert-file": "c", "key-file": "k", "cert-required": False,
        "http-headers": [{"name": "X", "value": "y"}],
        "authentication": {"directory": str(tmp_path), "clients": clients, "realm": ""},
    }
    config = take(**{"control-sockets": [socket]})
    expected = HttpSocket(
        ip_address("::1"), 0, TlsFiles("ca", "c", "k", cert_required=False),
        Authentication("", (HttpClient("first", "sesame", "read"), HttpClient("second", "a:b", "all"),
                            HttpClient("third", "", "all"))),
        (("X", "y"),), one(config).element,
    )
    assert one(config) == expected
    socket["authentication"]["type"] = "basic"
    assert shown(config) == [socket]


def test_kea_adds_type_and_realm_to_what_libraries_and_config_get_see(directories: Directories) -> None:
    given = from_plain({"control-sockets": [HTTP | {"authentication": {}}]})
    before = to_text(given)
    seen: list[Element] = []
    config = parse.parse_element(given, RULES, directories, on_filled=seen.append)
    filled = [HTTP | {"authentication": {"type": "basic", "realm": "kea-dhcp-ddns-server"}}]
    assert shown(config) == filled
    assert seen[0].plain()["control-sockets"] == filled  # type: ignore[index,call-overload]
    assert to_text(given) == before
    assert one(config).authentication == Authentication("kea-dhcp-ddns-server", ())


def test_a_unix_socket_ignores_the_keys_of_http(take: Any) -> None:
    odd = UNIX | {"socket-port": "x", "authentication": 7, "trust-anchor": [], "cert-required": 1}
    assert shown(take(**{"control-sockets": [odd]})) == [odd]


PLACE = r"\(<wire>:0:\d+\)"


@pytest.mark.parametrize(
    ("sockets", "text"),
    [
        (7, "Specified control-sockets is expected to be a list"),
        ([7], "Specified control-sockets is expected to be a list of maps"),
        ([{}], "'socket-type' parameter is mandatory in control-sockets items"),
        ([{"socket-type": 7}], "'socket-type' parameter is expected to be a string"),
        ([{"socket-type": "tcp"}], "unsupported 'socket-type': 'tcp' not 'unix', 'http' or 'https'"),
        ([UNIX, UNIX], "control socket of type 'unix' already configured"),
        ([{"socket-type": "unix"}], "Mandatory 'socket-name' parameter missing"),
        ([UNIX | {"socket-name": 7}], f"invalid type specified for parameter 'socket-name' {PLACE}"),
        ([UNIX | {"socket-address": "::1"}],
         "parameter 'socket-address' is not supported by UNIX control sockets"),
        ([UNIX | {"socket-name": ""}], "'socket-name' is invalid: path: '' has no filename"),
        ([UNIX | {"socket-name": "/x"}],
         "'socket-name' is invalid: invalid path specified: '/', supported .*"),
        ([HTTP | {"socket-name": "x"}], "parameter 'socket-name' is not supported by HTTP control sockets"),
        ([HTTP | {"socket-address": 7}], f"invalid type specified for parameter 'socket-address' {PLACE}"),
        ([HTTP | {"socket-address": "x"}],
         rf"failed to convert 'x' to address: Failed to convert string to address 'x': \w+ argument {PLACE}"),
        ([HTTP | {"socket-port": "7"}], f"invalid type specified for parameter 'socket-port' {PLACE}"),
        ([HTTP | {"socket-port": True}], f"invalid type specified for parameter 'socket-port' {PLACE}"),
        ([HTTP | {"socket-port": -1}],
         f"out of range value -1 specified for parameter 'socket-port' {PLACE}"),
        ([HTTP | {"socket-port": 65536}],
         f"out of range value 65536 specified for parameter 'socket-port' {PLACE}"),
        ([HTTP | {"http-headers": {}}], f"invalid type specified for parameter 'http-headers' {PLACE}"),
        ([HTTP | {"http-headers": [7]}], f"invalid type specified for 'http-headers' item {PLACE}"),
        ([HTTP | {"http-headers": [{"name": 7}]}], "'name' parameter is not a string"),
        ([HTTP | {"http-headers": [{"user-context": 7}]}], "'user-context' parameter is not a map"),
        ([HTTP | {"http-headers": [{"b": 7, "a": 7}]}], "spurious 'a' parameter"),
        ([HTTP | {"http-headers": [{"value": "x"}]}], "missing 'name' parameter"),
        ([HTTP | {"http-headers": [{"name": "x"}]}], "missing 'value' parameter"),
        ([HTTP | {"http-headers": [{"name": "", "value": ""}]}], f"empty 'name' parameter {PLACE}"),
        ([HTTP | {"http-headers": [{"name": "x", "value": ""}]}], f"empty 'value' parameter {PLACE}"),
        ([HTTP | {"http-headers": [{"name": "x", "value": "a\r\nb: c"}]}],
         f"'value' must not contain control characters {PLACE}"),
        ([HTTP | {"authentication": 7}], f"invalid type specified for parameter 'authentication' {PLACE}"),
        ([HTTP | {"authentication": {"type": 7}}], f"type must be a string {PLACE}"),
        ([HTTP | {"authentication": {"type": "x"}}],
         f"only basic HTTP authentication is supported: type is 'x' not 'basic' {PLACE}"),
        ([HTTP | {"authentication": {"realm": 7}}], f"realm must be a string {PLACE}"),
        ([HTTP | {"authentication": {"directory": 7}}], f"directory must be a string {PLACE}"),
        ([HTTP | {"authentication": {"user-context": 7}}], f"user-context must be a map {PLACE}"),
        ([HTTP | {"authentication": {"user-context": {"pyd2": {"x": 1}}}}],
         f"unknown parameter 'x' in pyd2 map {PLACE}"),
        ([HTTP | {"user-context": {"pyd2": {"x": 1}}}], f"unknown parameter 'x' in pyd2 map {PLACE}"),
        ([HTTP | {"authentication": {"clients": 7}}], f"clients must be a list {PLACE}"),
        ([with_clients(7)], f"clients items must be maps {PLACE}"),  # type: ignore[arg-type]
        ([with_clients({})], f"user is required in clients items {PLACE}"),
        ([with_clients({"user": 7})], f"user must be a string {PLACE}"),
        ([with_clients({"user": ""})], f"user must not be empty {PLACE}"),
        ([with_clients({"user": "u", "user-file": "f"})],
         f"user {PLACE} and user-file {PLACE} are mutually exclusive"),
        ([with_clients({"user-file": 7})], f"user-file must be a string {PLACE}"),
        ([with_clients({"user": "u", "password": 7})], f"password must be a string {PLACE}"),
        ([with_clients({"user": "u", "password": "1234"})], f"password must not be a default one {PLACE}"),
        ([with_clients({"user": "u", "password": "keatest"})], f"password must not be a default one {PLACE}"),
        ([with_clients({"user": "u", "password": "p", "password-file": "f"})],
         f"password {PLACE} and password-file {PLACE} are mutually exclusive"),
        ([with_clients({"user": "u", "password-file": 7})], f"password-file must be a string {PLACE}"),
        ([with_clients({"user": "u", "password-file": "no-such"})], "Expected a file at path '/no-such'"),
        ([with_clients({"user": "u", "password-file": "no"}, directory="/tmp/")],
         "Expected a file at path '/tmp/no'"),
        ([with_clients({"user": "u", "password-file": ""}, directory="/tmp")],
         "Expected '/tmp/' to be a regular file"),
        ([with_clients({"user": "u", "user-context": 7})], f"user-context must be a map {PLACE}"),
        ([with_clients({"user": "u", "user-context": {"pyd2": 7}})],
         f"invalid type specified for parameter 'pyd2' {PLACE}"),
        ([with_clients({"user": "u", "user-context": {"pyd2": {"rule": "read"}}})],
         f"unknown parameter 'rule' in pyd2 map {PLACE}"),
        ([with_clients({"user": "u", "user-context": {"pyd2": {"role": "write"}}})],
         f"invalid value 'write' specified for parameter 'role', expected all or read {PLACE}"),
        ([HTTP | {"trust-anchor": 7}], f"invalid type specified for parameter 'trust-anchor' {PLACE}"),
        ([HTTP | {"cert-required": "x"}], f"invalid type specified for parameter 'cert-required' {PLACE}"),
        ([HTTP | {"trust-anchor": "x"}],
         "cert-file parameter is missing or empty: all or none of TLS parameters must be set"),
        ([{"socket-type": "https"}], "no TLS setup for a HTTPS control socket"),
    ],
)
def test_what_is_wrong_in_a_command(take: Any, sockets: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}$") as caught:
        take(**{"control-sockets": sockets})
    assert not isinstance(caught.value, ConfigParserError), "Kea finds it while it parses"


@pytest.mark.parametrize(
    ("content", "client", "text"),
    [
        ("", {"user-file": "f"}, "user must not be empty from user-file 'f'"),
        ("a:b", {"user-file": "f"}, "user must not contain a ':' from user-file 'f'"),
        ("word", {"password-file": "f"}, "can't find the user id part in password-file 'f'"),
    ],
)
def test_what_is_wrong_in_a_file_of_users(
    take: Any, tmp_path: Path, content: str, client: dict[str, str], text: str
) -> None:
    (tmp_path / "f").write_text(content)
    with pytest.raises(ConfigError) as caught:
        take(**{"control-sockets": [with_clients(client, directory=str(tmp_path))]})
    assert str(caught.value).startswith(f"{text} (<wire>:0:")


def test_a_password_behind_the_user_name_is_not_shown(take: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        take(**{"control-sockets": [with_clients({"user": "admin:sesame"})]})
    assert str(caught.value).startswith("user must not contain a ':': 'admin:*****' (")


def test_passwords_are_in_no_message() -> None:
    clients = [{"user": "u", "password": "sesame"}, {"user": "v", "pasword": "sesame"}, "sesame"]
    given = from_plain({"control-sockets": [HTTP | {"authentication": {"clients": clients}}],
                        "control-socket": HTTP | {"authentication": {"clients": clients}}})
    text = to_text(redact(given))
    assert "sesame" not in text
    assert '"user": "u"' in text
    assert to_text(redact(from_plain({"control-sockets": "x", "control-socket": [7]}))) == (
        '{ "control-socket": [ 7 ], "control-sockets": "x" }'
    )


def test_a_name_that_is_too_long_is_found_where_the_socket_would_be_opened(take: Any) -> None:
    with pytest.raises(SocketError, match=r"^File name too long"):
        take(**{"control-sockets": [UNIX | {"socket-name": "x" * 200}]})
    with pytest.raises(SocketError, match=r"^cannot create socket lockfile, .*: File name too long"):
        take(**{"control-sockets": [UNIX | {"socket-name": "x" * 255}]})


@pytest.mark.parametrize("mode", [0o750, 0o700, 0o500, 0o710, 0o000])
def test_the_directory_may_have_less_than_0750(take: Any, tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    take(**{"control-sockets": [UNIX]})
    tmp_path.chmod(0o750)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o751, 0o777])
def test_the_directory_must_not_have_more_than_0750(take: Any, tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    fault = (f"'socket-name' is invalid: socket path:{tmp_path} does not exist or has more relaxed "
             "permissions than 750")
    with pytest.raises(ConfigError) as caught:
        take(**{"control-sockets": [UNIX]})
    assert str(caught.value) == fault
    assert not isinstance(caught.value, ConfigParserError)
    take(**{"control-sockets": [HTTP]})


def test_a_missing_directory_is_found_at_the_opening() -> None:
    nowhere = Directories("/h", "/l", "/no/such", RULES.paths)
    parse.parse_element(from_plain({"control-sockets": [UNIX]}), RULES, nowhere)


@pytest.mark.parametrize("name", ["sub/d2.sock", "/anywhere/d2.sock", " /anywhere/d2.sock"])
def test_unrestricted_paths_stay_as_typed(tmp_path: Path, name: str) -> None:
    rules = KEA_3_0.unrestricted().config
    directories = Directories("/h", "/l", str(tmp_path), rules.paths)
    tmp_path.chmod(0o750)
    given = from_plain({"control-sockets": [UNIX | {"socket-name": name}]})
    config = parse.parse_element(given, rules, directories)
    (socket,) = config.control_sockets
    assert isinstance(socket, UnixSocket)
    assert socket.path == name


# ------------------------------------------------------------------------------------ random files

@pytest.mark.parametrize("seed", range(20 if os.environ.get("CI") else 5))
def test_random_sockets_are_refused_in_words_or_shown_again(
    seed: int, directories: Directories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What config-get shows is a configuration that shows the same, and its messages hold no password."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    maps, taken, faults = SocketMaps(random.Random(seed)), 0, list[str]()
    for _ in range(60):
        text = maps.file()
        (tmp_path / "d2.json").write_text(text)
        try:
            whole = parse.read_file("d2.json", RULES)
            config = parse.parse_element(whole, RULES, directories)
        except ConfigError as error:
            faults.append(str(error))
            continue
        taken += 1
        shown = to_text(to_element(config))
        dhcp_ddns = from_wire(shown.encode()).map_value()["DhcpDdns"]
        assert to_text(to_element(parse.parse_element(dhcp_ddns, RULES, directories))) == shown, text
        assert "s3cret" not in to_text(redact(whole)), text
    assert taken > 5
    assert "s3cret" not in "".join(faults)


# ------------------------------------------------------------------------------------ the grammar of files

@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"control-sockets": [ { } ]', "3.24: syntax error, unexpected }"),
        ('"control-sockets": [ {"socket-type": "http", "http-headers": []} ]',
         '3.46-59: got unexpected keyword "http-headers" in control-socket map.'),
        ('"control-sockets": [ {"socket-address": "x", "socket-name": "y"} ]',
         "FILE:3:46: duplicate socket-address entries in control-socket map (previous at FILE:3:41)"),
        ('"control-sockets": [ {"authentication": {"realm": "r"}} ]',
         "missing parameter 'type' (FILE:3:23) [authentication map between FILE:3:41 and FILE:3:54]"),
        ('"control-sockets": [ {"authentication": {"type": "BASIC"}} ]',
         "3.50-56: syntax error, unexpected constant string, expecting basic"),
        ('"control-sockets": [ {"authentication": {"type": "basic", "x": 1}} ]',
         '3.59-61: got unexpected keyword "x" in authentication map.'),
        ('"control-sockets": [ {"authentication": {"clients": [ {"x": 1} ]}} ]',
         '3.56-58: got unexpected keyword "x" in clients map.'),
        ('"control-sockets": [ {"authentication": {"clients": [ 1 ]}} ]',
         "3.55: syntax error, unexpected integer, expecting ]"),
        ('"control-sockets": [ {"cert-required": 1} ]',
         "3.40: syntax error, unexpected integer, expecting boolean"),
        ('"control-sockets": [ {"socket-port": null} ]',
         "3.38-41: syntax error, unexpected null, expecting integer"),
    ],
)
def test_the_grammar(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "d2.json"
    path.write_text(f'{{\n"DhcpDdns": {{\n{text}\n}}\n}}\n')
    with pytest.raises(ConfigSyntaxError) as caught:
        parse.read_file(str(path), RULES)
    shown = fault.replace("FILE", str(path))
    assert str(caught.value) == (f"{path}:{shown}" if shown[0].isdigit() else shown)


def test_a_secret_in_a_broken_file_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "d2.json"
    socket = '{"authentication": {"clients": [{"password": "sesam\x01e"}]}}'
    path.write_text(f'{{"DhcpDdns": {{"control-sockets": [{socket}]}}}}')
    with pytest.raises(ConfigSyntaxError) as caught:
        parse.read_file(str(path), RULES)
    assert "sesam" not in str(caught.value)


def test_the_hash_covers_the_sockets(take: Any) -> None:
    hashes = {config_hash(to_element(take(**{"control-sockets": sockets})))
              for sockets in ([], [UNIX], [HTTP], [HTTP, HTTP], [UNIX, HTTP])}
    assert len(hashes) == 5

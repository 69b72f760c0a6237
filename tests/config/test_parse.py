"""The order of checks, what pyd2 finds beyond Kea, and what it warns of. Kea is the oracle elsewhere."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.loggers import in_new_spelling
from pyd2.config.model import UnixSocket
from pyd2.config.paths import Directories
from pyd2.data.element import Element, Position, from_plain
from pyd2.errors import ConfigError, ConfigParserError, ConfigSyntaxError
from tests.kit.profile import parse_element, parse_file, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyd2.config.model import Config, HookLibrary

HERE = Position("<wire>", 0, 7)
DIRECTORIES = Directories("/hooks", "/logs", "/sockets")
SERVERS = [{"ip-address": "192.0.2.1"}]


def parse(value: dict[str, Any], **options: Any) -> Config:
    return parse_element(from_plain(value, HERE), DIRECTORIES, **options)


def fault(value: dict[str, Any], **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(value, **options)
    return caught.value


def domain(name: str, **more: Any) -> dict[str, Any]:
    return {"forward-ddns": {"ddns-domains": [{"name": name, "dns-servers": SERVERS, **more}]}}


def test_an_empty_map_has_all_defaults() -> None:
    config = parse({})
    assert config.summary() == "listening on 127.0.0.1, port 53001, using UDP"
    assert (config.dns_server_timeout, config.ncr_format, config.tsig_keys) == (500, "JSON", ())
    assert (config.forward_domains, config.reverse_domains, config.loggers) == ((), (), ())
    assert (config.control_sockets, config.hooks_libraries, config.user_context) == ((), (), None)


def test_the_given_element_stays_as_it_is() -> None:
    element = from_plain(
        {"loggers": [{"name": "x", "severity": "INFO", "output_options": []}], **domain("a.")}
    )
    before = copy.deepcopy(element)
    parse_element(element, DIRECTORIES)
    assert element == before


def test_a_domain_without_servers_is_a_clean_error() -> None:
    value = {"reverse-ddns": {"ddns-domains": [{"name": "a."}]}}
    assert str(fault(value)) == "missing parameter 'dns-servers' (<wire>:0:7)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"port": 65536}, "port must be greater than zero but less than 65536 (<wire>:0:7)"),
        ({"port": 0}, "D2Params: port cannot be 0"),
        ({"dns-server-timeout": 0}, "D2Params: DNS server timeout must be larger than 0"),
        (domain("a.") | domain(""), "Ddns domain name cannot be blank (<wire>:0:7)"),
        (domain("a.", **{"dns-servers": []}), "DNS server list cannot be empty<wire>:0:7"),
        (
            domain("a.", **{"dns-servers": [{"ip-address": "::1", "port": 0}]}),
            "port must be greater than zero but less than 65536 (<wire>:0:7)",
        ),
        (
            domain("a.", **{"dns-servers": [{"ip-address": "::1", "port": 2**32 + 53}]}),
            "port must be greater than zero but less than 65536 (<wire>:0:7)",
        ),
        (
            {"tsig-keys": [{"name": "k", "algorithm": "HMAC-MD5", "secret": ""}]},
            "TSIG key secret cannot be blank (<wire>:0:7)",
        ),
    ],
)
def test_values_from_commands_that_can_not_work(value: dict[str, Any], text: str) -> None:
    error = fault(value)
    assert str(error) == text
    assert not isinstance(error, ConfigParserError)


@pytest.mark.parametrize(
    ("socket", "text"),
    [
        ({}, "Mandatory 'socket-type' parameter missing"),
        ({"socket-type": "tcp"}, "Invalid 'socket-type' parameter value tcp"),
        ({"socket-type": 5}, "stringValue() called on non-string Element in (<wire>:0:7)"),
        ({"socket-type": "unix"}, "Mandatory 'socket-name' parameter missing"),
        ({"socket-type": "unix", "socket-name": 5}, "'socket-name' parameter expected to be a string"),
        ({"socket-type": "unix", "socket-name": ""}, "'socket-name' is invalid: path: '' has no filename"),
        (
            {"socket-type": "unix", "socket-name": "/x/y"},
            "'socket-name' is invalid: invalid path specified: '/x', supported path is '/sockets'",
        ),
        ({"socket-type": "unix", "socket-name": "s" * 99}, "File name too long [system:36]"),
        (
            {"socket-type": "unix", "socket-name": "s" * 251},
            f"cannot create socket lockfile, /sockets/{'s' * 251}.lock, : File name too long",
        ),
    ],
)
def test_faults_of_the_control_socket(socket: dict[str, Any], text: str) -> None:
    error = fault({"control-socket": socket})
    assert str(error) == text
    assert isinstance(error, ConfigParserError)


def test_the_longest_socket_path() -> None:
    config = parse({"control-socket": {"socket-type": "unix", "socket-name": "s" * 98}})
    (socket,) = config.control_sockets
    assert isinstance(socket, UnixSocket)
    assert socket.path == f"/sockets/{'s' * 98}"


def test_a_socket_that_is_no_map() -> None:
    error = fault({"control-socket": 5})
    assert (
        str(error) == "Specified control-socket is expected to be a map, i.e. a structure defined within { }"
    )
    assert not isinstance(error, ConfigParserError)


def test_a_logger_without_severity() -> None:
    value = {"loggers": [{"name": "x"}], "hooks-libraries": [{"library": "x"}]}
    assert str(fault(value)) == "illegal severity: 0"
    assert isinstance(fault(value), ConfigParserError)
    (logger,) = parse(value, verbose=True).loggers
    assert (logger.severity, logger.debuglevel) == ("DEBUG", 99)
    # As at Kea's start, other faults come first.
    assert str(fault(value, validate_libraries=lambda _: ["/hooks/x"])).startswith("hooks libraries failed")


def test_loggers_come_first_and_sockets_last() -> None:
    value = {"loggers": [{}], "tsig-keys": 5, "port": 0, "control-socket": {}}
    assert str(fault(value)) == "loggers entry does not have a mandatory 'name' element (<wire>:0:7)"
    del value["loggers"]
    assert str(fault(value)) == "listValue() called on non-list Element in (<wire>:0:7)"
    assert isinstance(fault(value), ConfigParserError)
    del value["tsig-keys"]
    assert str(fault(value)) == "D2Params: port cannot be 0"
    del value["port"]
    assert str(fault(value)) == "Mandatory 'socket-type' parameter missing"


def test_outputs_of_loggers() -> None:
    outputs = ["stdout", "stderr", "syslog", "syslog:LOCAL3", "syslog:", "x", "/logs/y"]
    options = [{"output": output} for output in outputs]
    (logger,) = parse({"loggers": [{"name": "x", "severity": "warn", "output-options": options}]}).loggers
    assert [output.output for output in logger.outputs] == [*outputs[:5], "/logs/x", "/logs/y"]
    assert logger.severity == "WARN"


@pytest.mark.parametrize(("size", "megabytes"), [
    (2147483648000000, "2147483648MB"), (9223372036854775807, "9223372036854MB"), (-1, "18446744073709MB"),
])
def test_a_log_file_larger_than_log4cplus_can_say_is_refused(size: int, megabytes: str) -> None:
    def loggers(output: str, maxsize: int) -> dict[str, Any]:
        entry = {"name": "x", "severity": "INFO", "output-options": [{"output": output, "maxsize": maxsize}]}
        return {"loggers": [entry]}

    with pytest.raises(ConfigParserError) as caught:
        parse(loggers("x.log", size))
    assert str(caught.value) == f"expected maxsize < 2147483647MB, but instead got {megabytes}"
    parse(loggers("stdout", size))  # no file, no size
    parse(loggers("x.log", 2147483647999999))


def notices(value: dict[str, Any]) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    parse(value, notify=lambda *notice: found.append(notice))
    return found


def test_what_loggers_warn_of() -> None:
    value = {"loggers": [{"name": "x", "severity": "Loud", "output_options": [{"output": "stdout"}]}]}
    assert notices(value) == [("LOG_BAD_SEVERITY", "Loud"), ("DCTL_DEPRECATED_OUTPUT_OPTIONS",)]
    (logger,) = parse(value).loggers
    assert (logger.severity, [output.output for output in logger.outputs]) == ("INFO", ["stdout"])


def test_the_old_spelling_is_warned_of_once_when_it_is_applied() -> None:
    outputs = [{"output": "stdout"}]
    entries = [{"name": "a", "output_options": outputs}, {"name": "b"}]
    old: dict[str, Any] = {"port": 53001, "loggers": entries}
    new = in_new_spelling(from_plain(old)).plain()
    assert new == {"port": 53001, "loggers": [{"name": "a", "output-options": outputs}, {"name": "b"}]}
    assert in_new_spelling(from_plain(new)).plain() == new
    assert in_new_spelling(from_plain({"port": 1})).plain() == {"port": 1}


def test_domains_that_would_never_match_are_named() -> None:
    entries = [{"name": name, "dns-servers": SERVERS} for name in ("a.", "b", "*")]
    assert notices({"forward-ddns": {"ddns-domains": entries}}) == [
        ("PYD2_DOMAIN_NO_FINAL_DOT", "b", "b.", HERE),
        ("PYD2_DOMAIN_WILDCARD_ZONE", HERE),
    ]


def test_keys_are_inherited_and_overridden() -> None:
    keys = [{"name": name, "algorithm": "hmac-md5", "secret": "QUJD"} for name in ("k", "K")]
    servers = [*SERVERS, {"ip-address": "::1", "key-name": "K"}]
    config = parse({"tsig-keys": keys} | domain("a.", **{"key-name": "k", "dns-servers": servers}))
    (only,) = config.forward_domains
    assert [server.key for server in only.servers] == list(config.tsig_keys)
    assert [server.key_name for server in only.servers] == ["", "K"]
    assert config.tsig_keys[0].secret == b"ABC"


def test_names_of_libraries() -> None:
    names = ["x.so", "/hooks/y.py"]
    seen: list[HookLibrary] = []

    def validate(libraries: Sequence[HookLibrary]) -> list[str]:
        seen.extend(libraries)
        return []

    entries = [{"library": name, "parameters": {"a": 1}} for name in names]
    config = parse({"hooks-libraries": entries}, validate_libraries=validate)
    assert [library.library for library in config.hooks_libraries] == ["/hooks/x.so", *names[1:]]
    assert tuple(seen) == config.hooks_libraries
    assert seen[0].parameters == from_plain({"a": 1}, HERE)


def test_libraries_in_error_are_named_with_the_place_of_the_list() -> None:
    value = {"hooks-libraries": [{"library": "a"}, {"library": "b"}]}
    error = fault(value, validate_libraries=lambda libraries: [entry.library for entry in libraries])
    assert str(error) == (
        "hooks libraries failed to validate - library or libraries in error are: "
        "/hooks/a, /hooks/b (<wire>:0:7)"
    )


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"library": 5, "a": 1}, "unknown hooks library parameter: a(<wire>:0:7)"),
        (
            {"z": 1, "library": 5},
            (
                "hooks library configuration error: value of 'library' element is not a string giving the "
                "path to a hooks library (<wire>:0:7)"
            ),
        ),
        (
            {"library": "/hooks/"},
            "hooks library configuration error: path: '/hooks/' has no filename (<wire>:0:7)",
        ),
    ],
)
def test_members_of_a_library_are_read_in_byte_order(entry: dict[str, Any], text: str) -> None:
    assert str(fault({"hooks-libraries": [entry]})) == text


def test_no_libraries_are_not_validated() -> None:
    def validate(_: object) -> list[str]:
        raise AssertionError

    parse({"hooks-libraries": []}, validate_libraries=validate)


def test_secret_files_are_read_by_the_given_reader() -> None:
    entry = {"name": "k", "algorithm": "HMAC-SHA256", "secret-file": "f"}
    (key,) = parse({"tsig-keys": [entry]}, read_secret=lambda path: {"f": "QUJD"}[path]).tsig_keys
    assert (key.secret, key.secret_text, key.secret_file) == (b"ABC", None, "f")

    def refuse(path: str) -> str:
        raise ConfigError(f"no {path}")

    assert str(fault({"tsig-keys": [entry]}, read_secret=refuse)) == "tsig-key : no f (<wire>:0:7)"


def test_files_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{ "DhcpDdns": { "port": 5, } }')
    found: list[tuple[object, ...]] = []
    assert parse_file(str(path), DIRECTORIES, notify=lambda *notice: found.append(notice)).port == 5
    text = f"{path}:1.26: Extraneous comma. A piece of configuration may have been omitted."
    assert found == [("DHCP_DDNS_CONFIG_SYNTAX_WARNING", text)]
    port = Element(5, Position(str(path), 1, 25))
    assert read_file(str(path)) == Element({"port": port}, Position(str(path), 1, 3))


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigSyntaxError, match=r"^Unable to open file nothere$"):
        read_file("nothere")
    with pytest.raises(ConfigSyntaxError, match=r"^input in flex scanner failed$"):
        read_file(str(tmp_path))
    with pytest.raises(ConfigSyntaxError, match=r"^Unable to open file "):
        read_file("a\0b")

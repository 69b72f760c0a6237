"""The same requests to the real kea-dhcp-ddns and to our control channel: equal answers to the byte."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.data.json import from_json
from pyd2.data.text import to_text
from tests.control.fakes import Channel
from tests.kit import control, d2
from tests.kit.kea import chosen
from tests.kit.ports import PortLease

pytestmark = pytest.mark.peers

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME = re.compile(rb'"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"')


class Both:
    """A running kea-dhcp-ddns, and a channel whose fake daemon has the same configuration and texts."""

    def __init__(self, kea: d2.D2) -> None:
        self._socket = kea.socket
        self._channel = Channel()
        server = self._channel.server
        arguments = from_json(self._kea(b'{"command":"config-get"}')).map_value()["arguments"]
        del arguments.map_value()["hash"]
        server.text = to_text(arguments)
        version = from_json(self._kea(b'{"command":"version-get"}')).map_value()
        server.version = version["text"].string_value()
        server.extended_version = version["arguments"].map_value()["extended"].string_value()
        report = from_json(self._kea(b'{"command":"build-report"}')).map_value()
        server.build_report = report["text"].string_value()

    def _kea(self, request: bytes) -> bytes:
        return control.exchange(self._socket, [request], half_close=True)

    def compare(self, *requests: bytes) -> None:
        """Send each request to both; show all whose answers differ."""
        different = []
        for request in requests:
            ours, theirs = (_TIME.sub(b'"T"', ask(request)) for ask in (self._channel.exchange, self._kea))
            if ours != theirs:
                different.append((request, ours, theirs))
        assert different == []


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    values: list[object] = [1, -2, 0.1, True, None, {}, []]
    context = {"caf\u00e9": 'tab\t quote" \u00e9 \x7f', "values": values}
    program = chosen().program("kea-dhcp-ddns")
    with (
        PortLease() as ports,
        d2.private_directory() as directory,
        d2.D2.start(program, directory, d2.config(ports.take(), {"user-context": context})) as kea,
    ):
        yield Both(kea)


def words(text: str) -> list[str]:
    return text.split()


NUMBERS = words("""
    0 -0 5 -5 +5 007 089 1.5 -1.5 +1.5 .5 -.5 5. 1.e5 1e5 1E+5 1e-5 1e-400 4.9e-324 1e308 1e309 -1e400
    0e99999999999 00.5 1e0000005 - + -- ++ -+5 +-5 --5 1-2 1+1 1- . -. .. 1.. 1.2.3 1e 1e+ .e5 1e5e5 1e5.5
    1.5- 0x1 1f 5L 1_0 1e5f
    9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 99999999999999999999
    +99999999999999999999 170141183460469231731687303715884105728 340282366920938463463374607431768211455
    -340282366920938463463374607431768211455 340282366920938463463374607431768211456 00777777777777777777777
    077777777777777777777777777777777777777777777777 00999999999999999999999 99999999999999999999-
    999999999999999999999999999999999999999999999 999999999999999999999999999999999999999999999-
""")
VALUES = words(r"""
    true false null tru trueish falsey nul nullx True NULL nan e5
    {} [] [1,] [,1] [1,,2] {,} {"a":1,} {"a"} {"a":} {1:2}
    "" "\"\\\/\b\f\n\r\t" "\u0041" "\u00e9" "\u00E9\u0000x" "\u007f\u0001"
    "\u0100" "\u1000" "\u00g0" "\u000g" "\u00" "\x" "é€" 'a'
    [{}] [{},{},x] {"a":{},"b":y} {"a":[],"b":[1,{"c":z}]}
""")


@pytest.mark.parametrize(
    "place", ['{"command":%s}', '{"command": "statistic-get", "arguments":\n{"name" : %s } }', "[%s]"]
)
def test_values(both: Both, place: str) -> None:
    both.compare(*((place % value).encode() for value in [*NUMBERS, *VALUES]))


def test_bytes(both: Both) -> None:
    every = [bytes([code]) for code in range(256)]
    both.compare(*every)
    both.compare(*(b" " + byte for byte in every), *(b"{" + byte + b"}" for byte in every))
    both.compare(*(b'{"command":"' + byte + b'"}' for byte in every))
    both.compare(*(b'{"' + byte + b'":1,"command":' + byte + b"}" for byte in every))
    both.compare(*(b'{"command":"' + byte + b'"}' for byte in (b"\\" + byte for byte in every)))


def test_nesting(both: Both) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth in (97, 98, 99, 100, 101, 5000):
            for inner in (b"1", b"{}", b"[]"):
                nested = opening * depth + inner + closing * depth
                both.compare(nested, b'{"command":"x","arguments":' + nested + b"}")


COMMANDS = [
    "build-report", "config-get", "config-hash-get", "config-set", "config-test", "list-commands",
    "statistic-get", "statistic-get-all", "statistic-reset", "statistic-reset-all", "version-get",
    "Config-Get", "", "make-coffee", "statistic-remove", "gss-tsig-list",
]  # fmt: skip
# No map for DhcpDdns: nothing here may change the server.
ARGUMENTS = [
    "null", "5", '"x"', "[ ]", "[{}]", "{}", '{"DhcpDdns":5}', '{"DhcpDdns":null}', '{"DhcpDdns":[ ]}',
    '{"Logging":{},"DhcpDdns":""}', '{"name":"ncr-received"}', '{"name":"bogus"}', '{"name":""}',
    '{"name":5}', '{"name":["ncr-received"]}', '{"name":null}', '{"Name":"ncr-received"}',
    '{"name":"update-sent","name":"x"}',
]  # fmt: skip


def test_commands_with_all_kinds_of_arguments(both: Both) -> None:
    both.compare(
        *(
            f'{{"command":"{command}"{member}}}'.encode()
            for command in COMMANDS
            for member in ("", *(f', "arguments": {arguments}' for arguments in ARGUMENTS))
        )
    )


def test_config_write_where_it_is_refused(both: Both) -> None:
    names = ["5", "null", *(f'"{name}"' for name in words("/ /tmp/ /x/y ./y ../y .json x/.json x/y x/"))]
    refused = ["[ ]", "null", *(f'{{"filename":{name}}}' for name in names)]
    both.compare(*(f'{{"command":"config-write","arguments":{given}}}'.encode() for given in refused))


def test_shutdown_where_it_is_refused(both: Both) -> None:
    refused = [
        '"x"', "[ ]", "null", '{"exit-value":"7"}', '{"exit-value":1.5}',
        '{"exit-value":9223372036854775808}', '{"type":"later"}', '{"type":""}', '{"type":"NOW"}',
        '{"type":5}', '{"type":null,"exit-value":3}',
    ]  # fmt: skip
    both.compare(*(f'{{"command":"shutdown","arguments":{given}}}'.encode() for given in refused))


SPACES = st.sampled_from(
    ["", "", "", " ", "\n", "\t\r\n ", "\b\f", "# c }\n", "// c \"\n", "/* } \n */", "/***/"]
)
SCALARS = st.sampled_from([*NUMBERS, *VALUES]) | st.text('ab"\\é€\n\t/#', max_size=4).map(lambda t: f'"{t}"')


def spaced(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    """Return the parts in a row with whitespace and comments between them."""
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(SPACES, *(part for one in strategies for part in (one, SPACES))).map("".join)


def row(opening: str, part: st.SearchStrategy[str], closing: str) -> st.SearchStrategy[str]:
    """Return a list or a map of some parts."""
    return st.lists(part, max_size=3).map(lambda parts: opening + ",".join(parts) + closing)


TEXTS = st.recursive(
    SCALARS,
    lambda part: row("[", spaced(part), "]") | row("{", spaced(SCALARS, ":", part), "}"),
    max_leaves=8,
)
NAMES = st.sampled_from(COMMANDS).map(lambda name: f'"{name}"')
REQUESTS = (
    spaced("{", '"command"', ":", NAMES, "}")
    | spaced("{", '"command"', ":", NAMES, ",", '"arguments"', ":", st.sampled_from(ARGUMENTS), "}")
    | spaced("{", '"service"', ":", TEXTS, ",", '"command"', ":", NAMES, "}")
    | spaced(TEXTS)
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request, sound or not, with one byte too many, too few or wrong at most.

    One changed byte turns no other command into a shutdown or a configuration.
    """
    request = draw(REQUESTS).encode()
    at = draw(st.integers(0, len(request)))
    byte = bytes([draw(st.sampled_from(b'{}[]"\\,:/#\0\xff\n0'))])
    match draw(st.sampled_from(["keep", "insert", "delete", "replace"])):
        case "insert":
            return request[:at] + byte + request[at:]
        case "delete":
            return request[:at] + request[at + 1 :]
        case "replace":
            return request[:at] + byte + request[at + 1 :]
        case _:
            return request


@settings(max_examples=400, deadline=None)
@given(request=requests())
def test_generated_requests(both: Both, request: bytes) -> None:
    both.compare(request)

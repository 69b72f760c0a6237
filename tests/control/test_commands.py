"""The built-in commands: texts, and what each asks of the daemon."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyd2.control.commands import ShutdownType, config_hash
from pyd2.data.json import from_json
from pyd2.data.text import to_text
from tests.control.fakes import CONFIG, Channel, refusal

HASH = hashlib.sha256(CONFIG.encode()).hexdigest().upper()
APPLIED = (
    f'{{ "arguments": {{ "hash": "{HASH}" }}, "result": 0, '
    '"text": "Configuration applied successfully." }'
)
RECORDED = Path(__file__).parent.parent / "conformance" / "data" / "configs" / "expected.json"


@pytest.fixture
def channel() -> Channel:
    return Channel()


def failure(text: str) -> str:
    return json.dumps({"result": 1, "text": text}).replace("{", "{ ").replace("}", " }")


def test_all_commands_are_listed(channel: Channel) -> None:
    # The list of the contract, section 8.
    assert channel.ask('{"command": "list-commands"}') == (
        '{ "arguments": [ "build-report", "config-get", "config-hash-get", "config-reload", "config-set", '
        '"config-test", "config-write", "list-commands", "shutdown", "statistic-get", "statistic-get-all", '
        '"statistic-reset", "statistic-reset-all", "status-get", "version-get" ], "result": 0 }'
    )


def test_all_commands_can_be_deregistered(channel: Channel) -> None:
    channel.commands.deregister(channel.registry)
    assert channel.log.ids() == ["COMMAND_DEREGISTERED"] * 14
    assert channel.ask('{"command": "list-commands"}') == '{ "arguments": [ "list-commands" ], "result": 0 }'


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        ('{"command": "build-report", "arguments": 5}', r'{ "result": 0, "text": " \nreport\n" }'),
        (
            '{"command": "version-get"}',
            r'{ "arguments": { "extended": "2.6.3 (pyd2)\nmore" }, "result": 0, "text": "2.6.3" }',
        ),
        (
            '{"command": "status-get"}',
            f'{{ "arguments": {{ "pid": {os.getpid()}, "reload": 5, "uptime": 12 }}, "result": 0 }}',
        ),
        ('{"command": "config-hash-get"}', f'{{ "arguments": {{ "hash": "{HASH}" }}, "result": 0 }}'),
        (
            '{"command": "statistic-get", "arguments": {"name": "ncr-received"}}',
            '{ "arguments": { "ncr-received": [ [ 0, "2026-01-02 03:04:05.123456" ] ] }, "result": 0 }',
        ),
        ('{"command": "statistic-get", "arguments": {"name": "x"}}', '{ "arguments": {  }, "result": 0 }'),
        ('{"command": "statistic-get"}', failure("Missing mandatory 'name' parameter.")),
        ('{"command": "statistic-get", "arguments": {}}', failure("Missing mandatory 'name' parameter.")),
        (
            '{"command": "statistic-reset", "arguments": {"name": null}}',
            failure("'name' parameter expected to be a string."),
        ),
        (
            '{"command": "statistic-reset", "arguments": {"name": "ncr-error"}}',
            "{ \"result\": 0, \"text\": \"Statistic 'ncr-error' reset.\" }",
        ),
        (
            '{"command": "statistic-reset", "arguments": {"name": "bogus"}}',
            failure("No 'bogus' statistic found"),
        ),
        (
            '{"command": "statistic-reset-all"}',
            '{ "result": 0, "text": "All statistics reset to neutral values." }',
        ),
        (
            '{"command": "statistic-get", "arguments": ["ncr-received"]}',
            failure(
                "Error during command processing: get(string) called on a non-map Element in (<wire>:0:43)"
            ),
        ),
    ],
)
def test_answers(channel: Channel, request_text: str, answer: str) -> None:
    assert channel.ask(request_text) == answer


def test_resets_reach_the_statistics(channel: Channel) -> None:
    channel.ask('{"command": "statistic-reset", "arguments": {"name": "ncr-error"}}')
    channel.ask('{"command": "statistic-reset-all"}')
    assert channel.statistics.reset_names == ["ncr-error", "*"]


def test_config_get_hides_secrets_but_its_hash_covers_them(channel: Channel) -> None:
    shown = CONFIG.replace('"secret": "s"', '"secret": "*****"')
    with_hash = shown[: -len(" }")] + f', "hash": "{HASH}" }}'
    assert channel.ask('{"command": "config-get"}') == f'{{ "arguments": {with_hash}, "result": 0 }}'


def test_the_hash_is_the_one_that_kea_computes() -> None:
    recorded = json.loads(RECORDED.read_text())
    answers = [case["start"].get("config_get") or "" for case in recorded.values() if case.get("start")]
    checked = 0
    for answer in answers:
        if "@" in answer or not answer:  # a masked value: the hash was taken over another text
            continue
        arguments = from_json(answer).get("arguments")
        assert arguments is not None
        expected = arguments.map_value().pop("hash").string_value()
        assert config_hash(arguments) == expected
        checked += 1
    assert checked > 10


# config-set and config-test check their arguments alike.
@pytest.mark.parametrize("command", ["config-set", "config-test"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "Missing mandatory 'arguments' parameter."),
        (', "arguments": {}', "Missing mandatory 'DhcpDdns' parameter."),
        (', "arguments": {"dhcpddns": {}}', "Missing mandatory 'DhcpDdns' parameter."),
        (', "arguments": {"DhcpDdns": [ ]}', "'DhcpDdns' parameter expected to be a map."),
        (', "arguments": {"DhcpDdns": null}', "'DhcpDdns' parameter expected to be a map."),
    ],
)
def test_wrong_arguments(channel: Channel, command: str, arguments: str, text: str) -> None:
    assert channel.ask(f'{{"command": "{command}"{arguments}}}') == failure(text)
    assert channel.server.done == []


DEPRECATED = (
    "server configuration includes a deprecated object: '%s', defining anything in global level besides "
    "'DhcpDdns' is no longer supported."
)


def test_config_set(channel: Channel) -> None:
    request = '{"command": "config-set", "arguments": {"DhcpDdns": {"port": 5}, "Logging": 1}}'
    assert channel.ask(request) == APPLIED
    assert channel.server.done == [("apply", '{ "port": 5 }')]
    assert channel.log.lines[1:] == [("DCTL_CONFIG_DEPRECATED", DEPRECATED % "Logging")]


def test_config_test(channel: Channel) -> None:
    request = '{"command": "config-test", "arguments": {"DhcpDdns": {"port": 5}}}'
    assert channel.ask(request) == '{ "result": 0, "text": "Configuration check successful" }'
    assert channel.server.done == [("check", '{ "port": 5 }')]


def test_config_test_refuses_other_objects(channel: Channel) -> None:
    request = '{"command": "config-test", "arguments": {"Zoo": 1, "DhcpDdns": {}, "Logging": 1, "Dhcp4": {}}}'
    assert channel.ask(request) == failure(
        "'arguments' parameter contains unsupported 'Dhcp4' parameter (and 'Logging') (and 'Zoo')"
    )
    assert channel.log.lines[1:] == [
        ("DCTL_CONFIG_DEPRECATED", DEPRECATED % name) for name in ("Dhcp4", "Logging", "Zoo")
    ]
    assert channel.server.done == []


def test_config_reload(channel: Channel) -> None:
    assert channel.ask('{"command": "config-reload", "arguments": [ ]}') == APPLIED
    assert channel.server.done == [("reload", None)]


@pytest.mark.parametrize(
    "request_text",
    [
        '{"command": "config-reload"}',
        '{"command": "config-set", "arguments": {"DhcpDdns": {}}}',
        '{"command": "config-test", "arguments": {"DhcpDdns": {}}}',
    ],
)
def test_the_daemons_refusal_is_the_answer(channel: Channel, request_text: str) -> None:
    channel.server.refusal = refusal("port is out (d2.json:1:113)")
    assert channel.ask(request_text) == failure("port is out (d2.json:1:113)")
    assert channel.log.ids() == ["COMMAND_RECEIVED"]


@pytest.mark.parametrize(
    ("arguments", "text", "done"),
    [
        ("", None, [("exit-value", 0), ("shutdown", ShutdownType.NORMAL)]),
        (', "arguments": {}', None, [("exit-value", 0), ("shutdown", ShutdownType.NORMAL)]),
        (', "arguments": {"type": "now"}', None, [("exit-value", 0), ("shutdown", ShutdownType.NOW)]),
        (
            ', "arguments": {"type": "drain_first", "exit-value": -300}',
            None,
            [("exit-value", -300), ("shutdown", ShutdownType.DRAIN_FIRST)],
        ),
        (', "arguments": [ 1 ]', "Argument must be a map", []),
        (', "arguments": {"exit-value": "7"}', "parameter 'exit-value' is not an integer", []),
        (
            ', "arguments": {"exit-value": 9223372036854775808}',
            "parameter 'exit-value' is not an integer",
            [],
        ),
        (
            ', "arguments": {"type": "later", "exit-value": 9}',
            "Invalid Shutdown type: later",
            [("exit-value", 9), ("cancel", None)],
        ),
        (', "arguments": {"type": ""}', "Invalid Shutdown type: ", [("exit-value", 0), ("cancel", None)]),
        (
            ', "arguments": {"type": 5, "exit-value": 4}',
            "Error during command processing: stringValue() called on non-string Element in (<wire>:0:46)",
            [("exit-value", 4)],
        ),
    ],
)
def test_shutdown(channel: Channel, arguments: str, text: str | None, done: list[Any]) -> None:
    answer = channel.ask(f'{{"command": "shutdown"{arguments}}}')
    assert channel.server.done == done
    if text is None:
        assert answer == f'{{ "result": 0, "text": "Shutdown initiated, type is: {done[-1][1]}" }}'
    else:
        assert answer == failure(text)


def test_shutdown_is_logged_with_its_arguments(channel: Channel) -> None:
    channel.ask('{"command": "shutdown", "arguments": {"type":"now"}}')
    channel.ask('{"command": "shutdown"}')
    lines = [text for message_id, text in channel.log.lines if message_id == "DHCP_DDNS_SHUTDOWN_COMMAND"]
    assert lines == [
        'application received shutdown command with args: { "type": "now" }',
        "application received shutdown command with args: (no arguments)",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("[ 1 ]", "Argument must be a map"), ('{"filename": 5}', "passed parameter 'filename' is not a string")],
)
def test_config_write_checks_its_arguments(channel: Channel, arguments: str, text: str) -> None:
    assert channel.ask(f'{{"command": "config-write", "arguments": {arguments}}}') == failure(text)


def test_config_write_shows_secrets(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = channel.ask('{"command": "config-write", "arguments": {"filename": ""}}')
    written = (tmp_path / "d2.json").read_text()
    assert answer == (
        f'{{ "arguments": {{ "filename": "d2.json", "size": {len(written)} }}, "result": 0, '
        '"text": "Configuration written to d2.json successful" }'
    )
    assert to_text(from_json(written)) == CONFIG

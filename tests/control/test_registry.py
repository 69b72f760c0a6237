"""The registry: request checks, hook libraries, faults of handlers."""

from __future__ import annotations

import pytest

from pyd2.control.answer import success
from pyd2.control.registry import CommandRegistry
from pyd2.data.element import Element, from_plain
from pyd2.data.json import from_wire
from pyd2.data.text import to_text
from pyd2.errors import CommandError, HookError
from tests.control.fakes import FakeHooks, Lines


def processed(registry: CommandRegistry, request: str) -> str:
    response = registry.process(from_wire(request))
    assert response is not None
    return to_text(response)


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def registry(log: Lines) -> CommandRegistry:
    registry = CommandRegistry(log)
    registry.register_list()
    registry.register("echo", lambda arguments: success("echo", arguments))
    registry.register("Beep", lambda _: success("beep"))
    log.take()
    return registry


PREFIX = "Error during command processing: invalid command: "


@pytest.mark.parametrize(
    ("request_text", "text"),
    [
        ("[ ]", "expected toplevel entry to be a map, got list instead"),
        ("{}", "does not contain mandatory 'command'"),
        ('{"arguments": {}, "zap": 1}', "does not contain mandatory 'command'"),
        ('{"command": "echo", "zap": 1, "abc": 2}', "unsupported parameter 'abc'"),
        ('{"command": 5, "zap": 1}', "unsupported parameter 'zap'"),
        ('{"command": null}', "expected 'command' to be a string, got map instead"),
        ('{"command": ["echo"]}', "expected 'command' to be a string, got map instead"),
        ('{"command": "echo", "a\x00b": 1}', "unsupported parameter 'a"),
    ],
)
def test_request_checks(registry: CommandRegistry, log: Lines, request_text: str, text: str) -> None:
    assert processed(registry, request_text) == to_text(from_plain({"result": 1, "text": PREFIX + text}))
    assert log.lines == [
        ("COMMAND_PROCESS_ERROR2", f"Error while processing command: invalid command: {text}")
    ]


def test_a_command_runs(registry: CommandRegistry, log: Lines) -> None:
    request = '{"command": "echo", "arguments": {"b": 1}, "service": ["d2"], "remote-address": "::1"}'
    assert processed(registry, request) == '{ "arguments": { "b": 1 }, "result": 0, "text": "echo" }'
    assert processed(registry, '{"command": "echo"}') == '{ "result": 0, "text": "echo" }'
    assert log.lines == [("COMMAND_RECEIVED", "Received command 'echo'")] * 2


@pytest.mark.parametrize("name", ["ECHO", "", "echo ", "make-coffee"])
def test_unknown_commands(registry: CommandRegistry, log: Lines, name: str) -> None:
    answer = f"{{ \"result\": 2, \"text\": \"'{name}' command not supported.\" }}"
    assert processed(registry, f'{{"command": "{name}"}}') == answer
    assert log.lines == [("COMMAND_RECEIVED", f"Received command '{name}'")]


def test_list_commands(registry: CommandRegistry) -> None:
    listed = '{ "arguments": [ "Beep", "echo", "list-commands" ], "result": 0 }'
    assert processed(registry, '{"command": "list-commands", "arguments": 7}') == listed


def test_registration_is_logged_and_checked(log: Lines) -> None:
    registry = CommandRegistry(log)
    registry.register_list()
    registry.register("echo", lambda _: success())
    with pytest.raises(CommandError, match=r"^Handler for command 'echo' is already installed\.$"):
        registry.register("echo", lambda _: success())
    registry.deregister("echo")
    with pytest.raises(CommandError, match=r"^Handler for command 'echo' not found\.$"):
        registry.deregister("echo")
    with pytest.raises(CommandError, match=r"^Can't uninstall internal command 'list-commands'$"):
        registry.deregister("list-commands")
    assert log.lines == [
        ("COMMAND_REGISTERED", "Command list-commands registered"),
        ("COMMAND_REGISTERED", "Command echo registered"),
        ("COMMAND_DEREGISTERED", "Command echo deregistered"),
    ]


@pytest.mark.parametrize("fault", [CommandError("oops"), HookError("oops"), ZeroDivisionError("oops")])
def test_a_fault_of_a_handler_becomes_the_answer(
    registry: CommandRegistry, log: Lines, fault: Exception
) -> None:
    def fail(_: Element | None) -> Element:
        raise fault

    registry.register("fail", fail)
    log.take()
    text = '{ "result": 1, "text": "Error during command processing: oops" }'
    assert processed(registry, '{"command": "fail"}') == text
    assert log.ids() == ["COMMAND_RECEIVED", "COMMAND_PROCESS_ERROR2"]


def test_hook_libraries_come_first_except_for_list_commands(registry: CommandRegistry) -> None:
    hooks = FakeHooks(echo=success("mine"), list_commands=success("mine"), extra=success("extra"))
    registry.hooks = hooks
    request = '{ "arguments": { "x": 1 }, "command": "echo", "service": [ "d2" ] }'
    assert processed(registry, request) == '{ "result": 0, "text": "mine" }'
    assert hooks.requests == [request]
    assert processed(registry, '{"command": "extra"}') == '{ "result": 0, "text": "extra" }'
    listed = '{ "arguments": [ "Beep", "echo", "extra", "list-commands" ], "result": 0 }'
    assert processed(registry, '{"command": "list-commands"}') == listed


def test_command_processed_sees_each_command_and_may_replace_its_answer(registry: CommandRegistry) -> None:
    hooks = registry.hooks = FakeHooks()
    processed(registry, '{"command": "echo", "arguments": [ 1 ]}')
    processed(registry, '{"command": "nope"}')
    processed(registry, '{"command": 5}')  # no command was recognised: nothing to show
    unsupported = "{ \"result\": 2, \"text\": \"'nope' command not supported.\" }"
    assert hooks.processed == [
        ("echo", "[ 1 ]", '{ "arguments": [ 1 ], "result": 0, "text": "echo" }'),
        ("nope", None, unsupported),
    ]
    hooks.replacement = success("other")
    assert processed(registry, '{"command": "nope"}') == '{ "result": 0, "text": "other" }'


def test_a_hook_library_may_want_no_answer(registry: CommandRegistry) -> None:
    registry.hooks = FakeHooks(silent=None)
    assert registry.process(from_wire('{"command": "silent"}')) is None
    assert registry.hooks.processed == [("silent", None, None)]


def test_a_fault_of_a_hook_library_becomes_the_answer(registry: CommandRegistry) -> None:
    registry.hooks = FakeHooks(bad=HookError("no such key"))
    text = '{ "result": 1, "text": "Error during command processing: no such key" }'
    assert processed(registry, '{"command": "bad"}') == text

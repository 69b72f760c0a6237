"""Kea's own tools in front of the D2: kea-ctrl-agent passes commands on, kea-shell sends them."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.kit import dhcp, kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

pytestmark = pytest.mark.peers

_COMMANDS = ["build-report", "config-get", "config-hash-get", "config-reload", "config-set", "config-test",
             "config-write", "list-commands", "shutdown", "statistic-get", "statistic-get-all",
             "statistic-reset", "statistic-reset-all", "status-get", "version-get"]


@contextlib.contextmanager
def _agent_and_d2(binary: str) -> Iterator[tuple[int, D2, int]]:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(binary, directory, config(port)))
        yield stack.enter_context(dhcp.control_agent({"d2": d2.socket})), d2, port


def test_kea_shell(d2_binary: str) -> None:
    with _agent_and_d2(d2_binary) as (agent, d2, port):
        def ask(command: str, arguments: str = "") -> dict[str, object]:
            (answer,) = dhcp.kea_shell(agent, "d2", command, arguments)
            assert isinstance(answer, dict)
            return answer

        assert ask("list-commands") == {"arguments": _COMMANDS, "result": 0}
        assert ask("config-get") == d2.command("config-get")
        assert ask("version-get")["text"] == kea.chosen().release
        status = ask("status-get")["arguments"]
        assert isinstance(status, dict)
        assert status["pid"] == d2.process.pid
        assert set(d2.statistics().values()) == {0}
        everything = ask("statistic-get-all")["arguments"]
        assert isinstance(everything, dict)
        assert set(everything) == set(d2.statistics())
        assert ask("statistic-reset", '"name": "ncr-received"') == {
            "result": 0, "text": "Statistic 'ncr-received' reset."}
        changed = config(port, {"dns-server-timeout": 1234})
        assert ask("config-test", json.dumps(changed)[1:-1]) == {
            "result": 0, "text": "Configuration check successful"}
        assert ask("config-set", json.dumps(changed)[1:-1])["text"] == "Configuration applied successfully."
        assert d2.command("config-get")["arguments"]["DhcpDdns"]["dns-server-timeout"] == 1234
        assert ask("make-coffee") == {"result": 2, "text": "'make-coffee' command not supported."}
        assert ask("shutdown", '"exit-value": 7')["result"] == 0
        assert d2.process.wait_for_exit() == 7

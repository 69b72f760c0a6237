"""What the parts of the daemon do together."""

import signal

from tests.kit import control
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease


def test_who_has_the_answer_finds_the_command_in_the_log(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        for number in range(20):
            control.exchange(d2.socket, [f'{{ "command": "number-{number}" }}'])
            assert f"Received command 'number-{number}'" in d2.stdout()


def test_signals_during_the_goodbye_do_not_change_the_exit_status(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        control.exchange(d2.socket, ['{ "command": "shutdown", "arguments": { "exit-value": 7 } }'])
        d2.wait_for_log("DCTL_SHUTDOWN ")
        while d2.alive:
            d2.process.send_signal(signal.SIGTERM)
        assert d2.process.exit_status == 7
        assert not list(directory.glob("*.pid"))

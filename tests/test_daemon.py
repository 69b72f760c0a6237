"""What the parts of the daemon do together."""

from tests.kit import control
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease


def test_who_has_the_answer_finds_the_command_in_the_log(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        for number in range(20):
            control.exchange(d2.socket, [f'{{ "command": "number-{number}" }}'])
            assert f"Received command 'number-{number}'" in d2.stdout()

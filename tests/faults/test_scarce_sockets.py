"""More DNS servers than file descriptors or local ports: no update is lost, and commands are answered."""

import os
import socket

import pytest

from tests.faults.scarce import carry_out, few_ports, limited

UPDATES = 400


def test_more_servers_than_open_files(d2_binary: str) -> None:
    with limited(d2_binary, 128, 100) as (d2, port), socket.socket(type=socket.SOCK_DGRAM) as sender:
        lost, most, _ = carry_out(d2, port, 100, UPDATES, sender)
        assert lost == 0
        assert most < 128


@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces")
def test_more_servers_than_local_ports(d2_binary: str) -> None:
    with few_ports(d2_binary, 20) as (d2, port, sender):
        lost, _, _ = carry_out(d2, port, 20, 80, sender)
        assert lost == 0

"""How the log names a server."""

import ipaddress

import pytest

from pyd2.update.server.lane import Lane


@pytest.mark.parametrize(("address", "text"), [
    ("192.0.2.1", "192.0.2.1 port:53"),
    ("2001:DB8:0:0::1", "2001:db8::1 port:53"),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.1 port:53"),
    ("::192.0.2.1", "::192.0.2.1 port:53"),
    ("fe80::1%lo", "fe80::1%lo port:53"),
])
def test_a_server_is_named_as_kea_names_it(address: str, text: str) -> None:
    assert Lane(ipaddress.ip_address(address), 53).text == text

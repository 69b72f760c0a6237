"""An address and a port, as the tools' options write them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from ipaddress import ip_address
from typing import NamedTuple


class Endpoint(NamedTuple):
    """An IP address and a UDP or TCP port."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Return the endpoint of ``192.0.2.1:53`` or ``[2001:db8::1]:53``.

        Raises ArgumentTypeError, which argparse turns into a usage error.
        """
        address, colon, port = text.rpartition(":")
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        wrong = ArgumentTypeError(f"not ADDRESS:PORT: {text}")
        try:
            endpoint = cls(str(ip_address(address)), int(port))
        except ValueError:
            raise wrong from None
        if not colon or not 0 <= endpoint.port <= 65535:
            raise wrong
        return endpoint

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

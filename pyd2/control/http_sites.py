"""What a browser sends for another site on the web, which must neither read a page nor send a command.

The browser says where a request comes from. A name that an attacker has made lead to this address is not
among those that are known (DNS rebinding).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from pyd2.control.http_response import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.control.http_head import Head
    from pyd2.control.http_response import Response


class OtherSites:
    """Refuses requests for other sites than the socket's own; ``hosts`` are its names, in lower case."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset({"localhost", *hosts})

    def refused(self, head: Head) -> Response | None:
        """Return the refusal of a request that a browser makes for another site; None: it is none."""
        if not self._is_known(head.headers.get("host", "")):
            return refusal(421)
        if head.headers.get("sec-fetch-site", "").lower() == "cross-site":
            return refusal(403)
        return None

    def _is_known(self, host: str) -> bool:
        """Whether the header Host has an address or a known name; a client without it is no browser."""
        if not host:
            return True
        name = host.lower().strip()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name.removesuffix(".") in self._hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

"""What the DNS servers hold of a host, as the API shows it: ``hosts/NAME?dns=1``.

A server may be silent, so it is asked in a thread of its own, ``pyd2-ask``: neither commands nor searches
wait for it. The queries go to servers of the configuration, for a name that the history has, and for one host
a second: the daemon is no means to flood a server with queries.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pyd2.control.roles import ALL
from pyd2.web.answers import ApiError
from pyd2.web.worker import Worker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.history.search import Event
    from pyd2.update.model.zones import DomainMatchers

PAUSE: Final = 1.0
"""Seconds between two hosts that are asked for, whoever wants to know."""
WITHIN: Final = 5.0
"""How many seconds the servers of a host have."""


class DnsNow:
    """Asks the servers; ``matchers`` returns those of the configuration in force."""

    def __init__(self, loop: asyncio.AbstractEventLoop, matchers: Callable[[], DomainMatchers]) -> None:
        self._loop = loop
        self._matchers = matchers
        self._next = 0.0
        """From when on the next host may be asked for, by the clock of the loop."""
        self.worker: Final = Worker(loop, "pyd2-ask")

    def asker(self, role: str) -> Callable[[Event], list[dict[str, Any]]]:
        """Return what asks for the host of an event, in the worker. Raises ApiError: not now, or never."""
        if role != ALL:
            raise ApiError("forbidden", "only clients with the role all may have DNS servers asked")
        now = self._loop.time()
        if now < self._next:
            raise ApiError("busy", "DNS servers are asked for one host in a second; try again in a moment")
        self._next = now + PAUSE
        matchers = self._matchers()
        return lambda event: _ask(matchers, event)


def _ask(matchers: DomainMatchers, event: Event) -> list[dict[str, Any]]:
    # dnspython is not loaded before the first question.
    from pyd2.queries.host import ask_host
    from pyd2.queries.transport import read_certificates_again

    read_certificates_again()
    address = ip_address(event.address).packed
    found = ask_host(matchers, event.name, address, event.client, within=WITHIN)
    return [
        {
            **answer._asdict(),
            "answers": [
                {**each._asdict(), "records": [record._asdict() for record in each.records]}
                for each in answer.answers
            ],
        }
        for answer in found
    ]

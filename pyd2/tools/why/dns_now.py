"""What the configured DNS servers hold now of a host, for ``pyd2ctl why --dns``: a record a line."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from pyd2.queries.host import ask_host
from pyd2.update.model.zones import matchers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.config.model import Config
    from pyd2.history.search import Event
    from pyd2.queries.host import NameAnswer, Record


class DnsNow:
    """Asks the servers of a configuration, with its keys and transports."""

    def __init__(self, config: Config) -> None:
        self._matchers = matchers_of(config)

    def lines(self, event: Event) -> list[str]:
        """Return what the servers say of the host of an event."""
        found = ask_host(self._matchers, event.name, ip_address(event.address).packed, event.client)
        return [line for answer in found for line in _lines(answer)]


def _lines(answer: NameAnswer) -> Iterator[str]:
    yield from answer.faults
    if answer.server:
        yield f"{answer.server} says:"
    for found in answer.answers:
        if found.fault:
            yield f"  (the reply is not to be trusted: {found.fault})"
        if found.rcode not in {"NOERROR", "NXDOMAIN"}:
            yield f"  {found.rcode} to the question for {found.type} of {answer.name}"
            continue
        for record in found.records:
            yield f"  {record.name} {record.type} {_data(record)}, TTL {record.ttl}"
        if not any(record.type == found.type for record in found.records):
            yield f"  {answer.name} has no {found.type}"


def _data(record: Record) -> str:
    if not record.client:
        return record.data
    return f"{record.data}, which is {'this client' if record.client == 'same' else 'ANOTHER client'}"

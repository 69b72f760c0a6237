"""What the configured DNS servers hold now of a host, for ``pyd2ctl why --dns``."""

from __future__ import annotations

import asyncio
import secrets
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from pyd2.dns.names import parse_name, reverse_name
from pyd2.dns.tsig import HmacKey
from pyd2.errors import DomainNameError, ReplyError
from pyd2.tools.probe.messages import read
from pyd2.tools.probe.transport import Route, SilenceError, exchange
from pyd2.update.model.zones import WILDCARD, Matcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dns.rdata import Rdata
    from dns.rdatatype import RdataType

    from pyd2.config.model import Config, DdnsDomain, TsigKey
    from pyd2.history.search import Event
    from pyd2.tools.probe.messages import Answer

TIMEOUT: Final = 1.0
"""Seconds for each of three tries."""
_FORWARD: Final = (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.DHCID)


class DnsNow:
    """Asks the servers of a configuration, with its keys and transports."""

    def __init__(self, config: Config) -> None:
        self._forward = Matcher((domain.name, domain) for domain in config.forward_domains)
        self._reverse = Matcher((domain.name, domain) for domain in config.reverse_domains)

    def lines(self, event: Event) -> list[str]:
        """Return what the servers say of the host of an event, a record a line."""
        return asyncio.run(self._lines(event))

    async def _lines(self, event: Event) -> list[str]:
        owner = reverse_name(ip_address(event.address).packed)
        return [
            *await _ask_domain(self._forward.find(event.name), event.name, _FORWARD, event.client),
            *await _ask_domain(self._reverse.find(owner), owner, (dns.rdatatype.PTR,), event.client),
        ]


async def _ask_domain(
    domain: DdnsDomain | None, owner: str, types: Sequence[RdataType], client: str
) -> list[str]:
    """Ask the first server of a domain that replies."""
    if domain is None or domain.name == WILDCARD:
        return [f"{owner} is in no domain of the configuration"]
    lines = []
    for server in domain.servers:
        route = Route.to(server)
        try:
            answers = [await _ask(route, server.key, owner, rdtype) for rdtype in types]
        except SilenceError as error:
            lines.append(f"{route}: {error}")
        except (ReplyError, DomainNameError, dns.exception.DNSException) as error:
            lines.append(f"{route}: cannot be asked for {owner}: {error}")
        else:
            lines.append(f"{route} says:")
            for rdtype, answer in zip(types, answers, strict=True):
                lines += [f"  {text}" for text in _records(answer, owner, rdtype, client)]
            break
    return lines


async def _ask(route: Route, key: TsigKey | None, owner: str, rdtype: RdataType) -> Answer:
    """Return the answer. Raises SilenceError, ReplyError, DomainNameError and DNSException."""
    name = dns.name.from_wire(parse_name(owner), 0)[0]
    message = dns.message.make_query(name, rdtype, flags=0).to_wire()
    now, context = int(time.time()), None
    if key is not None:
        context = HmacKey(key.name, key.algorithm, key.secret, key.digest_bits).create_context()
        message = context.sign(message, secrets.randbits(16), now)
    return read(await exchange(route, message, TIMEOUT), message, context, now)


def _records(answer: Answer, owner: str, rdtype: RdataType, client: str) -> Iterator[str]:
    rcode = dns.rcode.to_text(answer.message.rcode())
    if answer.fault:
        yield f"(the reply is not to be trusted: {answer.fault})"
    if answer.rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} or answer.tsig_error:
        yield f"{rcode} to the question for {rdtype.name} of {owner}"
        return
    found = False
    for rrset in answer.message.answer:
        for rdata in rrset:
            found |= rrset.rdtype == rdtype
            yield f"{rrset.name} {rrset.rdtype.name} {_data(rdata, client)}, TTL {rrset.ttl}"
    if not found:
        yield f"{owner} has no {rdtype.name}"


def _data(rdata: Rdata, client: str) -> str:
    if rdata.rdtype != dns.rdatatype.DHCID:
        return rdata.to_text()
    octets = rdata.to_wire() or b""
    found = octets.hex().upper()
    return f"{found}, which is {'this client' if found == client else 'ANOTHER client'}"

"""What the configured DNS servers hold of a host now: for ``pyd2ctl why --dns`` and the web page."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from pyd2.dns.names import parse_name, reverse_name
from pyd2.dns.tsig import HmacKey
from pyd2.errors import DomainNameError, ReplyError
from pyd2.queries.reply import read
from pyd2.queries.transport import Route, SilenceError, exchange
from pyd2.update.model.zones import WILDCARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dns.rdata import Rdata
    from dns.rdatatype import RdataType

    from pyd2.config.model import DdnsDomain, TsigKey
    from pyd2.queries.reply import Answer
    from pyd2.update.model.zones import DomainMatchers

TIMEOUT: Final = 1.0
"""Seconds for each of three tries."""
_FORWARD: Final = (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.DHCID)
_REVERSE: Final = (dns.rdatatype.PTR,)


class Record(NamedTuple):
    """A record that a server has."""

    name: str
    type: str
    data: str
    """As in a zone file; that of a DHCID in upper-case hex, as the request ID of the log."""
    ttl: int
    client: str
    """Of a DHCID: ``same`` if it is the client's who was asked for, or ``other``. Else empty."""


class TypeAnswer(NamedTuple):
    """What a server says to the query for one type."""

    type: str
    rcode: str
    """``NOERROR`` or ``NXDOMAIN``, or why there is no answer."""
    fault: str
    """Why the reply is not to be trusted; empty: it is."""
    records: tuple[Record, ...]


class NameAnswer(NamedTuple):
    """What is known of one of the two names of a host: its own, and that of its address."""

    name: str
    faults: tuple[str, ...]
    """Why servers, or all of them, said nothing."""
    server: str
    """The one that did; empty: none."""
    answers: tuple[TypeAnswer, ...]


def ask_host(
    matchers: DomainMatchers, name: str, address: bytes, client: str, *, within: float | None = None
) -> list[NameAnswer]:
    """Ask the servers for a name and an address, with the keys and transports of the configuration.

    ``client`` is the DHCID in upper-case hex, ``within`` is how many seconds all may take. It waits for
    them, so it is for a program or a thread that nothing else waits for.
    """
    return asyncio.run(_ask_host(matchers, name, address, client, within))


async def _ask_host(
    matchers: DomainMatchers, name: str, address: bytes, client: str, within: float | None
) -> list[NameAnswer]:
    owner = reverse_name(address)
    found = await asyncio.gather(
        _ask_domain(matchers.forward.find(name), name, _FORWARD, client, within),
        _ask_domain(matchers.reverse.find(owner), owner, _REVERSE, client, within),
    )
    return list(found)


async def _ask_domain(
    domain: DdnsDomain | None, owner: str, types: Sequence[RdataType], client: str, within: float | None
) -> NameAnswer:
    """Ask the first server of a domain that replies."""
    if domain is None or domain.name == WILDCARD:
        return NameAnswer(owner, (f"{owner} is in no domain of the configuration",), "", ())
    faults: list[str] = []
    try:
        async with asyncio.timeout(within):
            for server in domain.servers:
                route = Route.to(server)
                try:
                    answers = [await _ask(route, server.key, owner, rdtype) for rdtype in types]
                except SilenceError as error:
                    faults.append(f"{route}: {error}")
                except (ReplyError, DomainNameError, dns.exception.DNSException) as error:
                    faults.append(f"{route}: cannot be asked for {owner}: {error}")
                else:
                    found = tuple(
                        _type_answer(answer, rdtype, client)
                        for rdtype, answer in zip(types, answers, strict=True)
                    )
                    return NameAnswer(owner, tuple(faults), str(route), found)
    except TimeoutError:
        faults.append(f"{owner}: no server was asked any more after {within:g} s")
    return NameAnswer(owner, tuple(faults), "", ())


async def _ask(route: Route, key: TsigKey | None, owner: str, rdtype: RdataType) -> Answer:
    """Return the answer. Raises SilenceError, ReplyError, DomainNameError and DNSException."""
    name = dns.name.from_wire(parse_name(owner), 0)[0]
    message = dns.message.make_query(name, rdtype, flags=0).to_wire()
    now, context = int(time.time()), None
    if key is not None:
        context = HmacKey(key.name, key.algorithm, key.secret, key.digest_bits).create_context()
        message = context.sign(message, secrets.randbits(16), now)
    return read(await exchange(route, message, TIMEOUT), message, context, now)


def _type_answer(answer: Answer, rdtype: RdataType, client: str) -> TypeAnswer:
    rcode = dns.rcode.to_text(answer.message.rcode())
    records: tuple[Record, ...] = ()
    if answer.rcode in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} and not answer.tsig_error:
        records = tuple(
            _record(str(rrset.name), rrset.ttl, rdata, client)
            for rrset in answer.message.answer for rdata in rrset
        )
    elif answer.tsig_error:
        rcode = dns.rcode.to_text(dns.rcode.NOTAUTH)
    return TypeAnswer(rdtype.name, rcode, answer.fault, records)


def _record(name: str, ttl: int, rdata: Rdata, client: str) -> Record:
    kind = dns.rdatatype.to_text(rdata.rdtype)
    if rdata.rdtype != dns.rdatatype.DHCID:
        return Record(name, kind, rdata.to_text(), ttl, "")
    found = (rdata.to_wire() or b"").hex().upper()
    return Record(name, kind, found, ttl, "same" if found == client else "other")

"""``pyd2ctl explain``: what the daemon would do with a request, and why, without sending anything.

The answer comes from the daemon's own parts: its reader of configurations and requests, its matching, its
tables of steps and its encoder.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, NamedTuple

import dns.rdata

from pyd2.counters import Counters
from pyd2.data.controls import escaped, escaped_lines
from pyd2.dns.constants import rcode_text
from pyd2.dns.names import reverse_name, reverse_name_wire
from pyd2.dns.update import MAX_UDP_MESSAGE, encode_update
from pyd2.errors import ConfigError, NcrError
from pyd2.ncr import decode
from pyd2.packets.plain import PlainLayer
from pyd2.tools.kea import add_kea_option, kea_profile, read_portable
from pyd2.tools.progress import Progress
from pyd2.tools.requests import Identifier, dhcid
from pyd2.tools.send import add_request_arguments, client_dhcid, request_datagram
from pyd2.tools.wire_text import describe_wire
from pyd2.update.model.batch_rules import ASKS, BATCH_RULES
from pyd2.update.model.kinds import DONE, KINDS, MAX_TRIES, NOTED
from pyd2.update.model.plan import make_plan
from pyd2.update.model.reasons import NAMES, reason
from pyd2.update.model.zones import WILDCARD

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pyd2.config.model import DdnsDomain
    from pyd2.dns.update import Zone
    from pyd2.ncr import NameChangeRequest
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.plan import Domain, Server
    from pyd2.update.model.policies import Policy
    from pyd2.update.model.zones import Matcher


_OTHER = b"\0" * 35
"""Stands for the DHCID of another client."""
_OTHER_SHOWN = dns.rdata.from_wire("IN", "DHCID", _OTHER, 0, len(_OTHER)).to_text()

_LISTED = 20
"""How many domains that do not match are listed."""


class _NoMatch(Exception):  # noqa: N818  it is an outcome, not a fault of ours
    """The daemon would drop the request; the text says why and what to do about it."""


class _Direction(NamedTuple):
    """One direction of a request: its name, and the domains to choose from."""

    title: str
    wanted: bool
    name: str
    domains: tuple[DdnsDomain, ...]
    matcher: Matcher[Domain]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl explain``."""
    parser.add_argument("config", metavar="FILE", help="the daemon's configuration")
    add_kea_option(parser)
    add_request_arguments(parser)
    parser.add_argument("--failed", metavar="RCODE", type=_failure,
                        help="say what this RCODE, or other failure, means in each step, and how to mend it")


def run(arguments: argparse.Namespace) -> int:
    """Explain; exit status 0 when the daemon would send updates, 1 when not."""
    try:
        with Progress(f"reading {arguments.config}"):
            config, with_hooks = read_portable(arguments.config, kea_profile(arguments).config)
        client = client_dhcid(arguments) or dhcid(Identifier.CLIENT_ID, b"an example", arguments.name)
        ncr = decode(request_datagram(arguments, client))
    except (ConfigError, NcrError, ValueError) as error:
        print(f"pyd2ctl explain: {escaped(str(error))}", file=sys.stderr)
        return 1
    print(f"Request   {ncr.change_type.name.lower()} {ncr.fqdn} {ncr.address_text}, "
          f"{ncr.conflict_resolution_mode}: kind {KINDS[ncr.kind].name}")
    print(f"          request ID {ncr.request_id}")
    plan = make_plan(config, (), Counters(), 0.0, PlainLayer())
    owner = reverse_name(ncr.address)
    directions = (
        _Direction("Forward", ncr.forward_change, ncr.fqdn, config.forward_domains, plan.forward),
        _Direction("Reverse", ncr.reverse_change, owner, config.reverse_domains, plan.reverse),
    )
    try:
        domains = [_choose(direction) for direction in directions]
    except _NoMatch as reason:
        print(f"\nThe daemon drops the whole request: {escaped_lines(str(reason))}")
        return 1
    policy = next((domain.policy for domain in domains if domain is not None), None)
    if policy is not None:
        print(*_policy(policy, ncr), sep="\n")
        if policy.keeps(ncr):
            return 1
    kind = KINDS[ncr.kind] if policy is None else policy.kinds[ncr.kind]
    for direction, domain in zip(directions, domains, strict=True):
        print()
        print(*map(escaped, _direction(kind, ncr, direction, domain, arguments.failed or "")), sep="\n")
    if with_hooks:
        print("\nHook libraries are not run here: they may skip a server or choose another key.")
    if not any(domains):
        print("\nThe daemon drops this request: there is nothing to do.")
        return 1
    return 0


def _choose(direction: _Direction) -> Domain | None:
    """Return the domain of a direction; None when it is not asked for or switched off. Raises _NoMatch."""
    if not direction.wanted or not direction.domains:
        return None
    domain = direction.matcher.find(direction.name)
    if domain is None:
        listed = "".join(f"\n  {entry.name}  ({entry.position})" for entry in direction.domains[:_LISTED])
        if len(direction.domains) > _LISTED:
            listed += f"\n  and {len(direction.domains) - _LISTED} more"
        raise _NoMatch(
            f"no {direction.title.lower()} domain matches.\n"
            f"  {direction.name} is in none of these domains:{listed}\n"
            f"Add the zone of {direction.name} to {direction.title.lower()}-ddns."
        )
    return domain


def _policy(policy: Policy, ncr: NameChangeRequest) -> Iterator[str]:
    switches = policy.switches
    if policy.keeps(ncr):
        yield f"\nThe daemon makes no change: the policy keep has the name {escaped(ncr.fqdn)}"
        return
    kind = policy.kinds[ncr.kind]
    if kind is KINDS[ncr.kind]:
        yield "          the policies of its domain change nothing of it"
    else:
        yield (f"          policies dual-stack {switches.dual_stack}, adopt {switches.adopt}, remove-yxrrset "
               f"{switches.remove_yxrrset}: kind {kind.name}")


def _failure(text: str) -> str:
    """Return the name of a failure as the table of reasons has it."""
    for name in map(str, NAMES):
        if name.lower() == text.lower():
            return name
    raise ArgumentTypeError(f"no failure has this name: {text}; one of {', '.join(NAMES)}")


def _direction(
    kind: Kind, ncr: NameChangeRequest, direction: _Direction, domain: Domain | None, failed: str
) -> Iterator[str]:
    if domain is None:
        no_domains = f"{direction.title.lower()}-ddns has no ddns-domains"
        yield f"{direction.title}   nothing: {no_domains if direction.wanted else 'not in the request'}"
        return
    yield f"{direction.title}   {direction.name} is in {domain.name}"
    yield from _servers(domain.servers)
    if domain.zone is None:
        yield f"  every update fails: {domain.name} is no domain name: {domain.zone_error}"
        return
    if domain.name == WILDCARD:
        yield "  warning: the updates name the zone '*.', which hardly any server has: name the zone"
    yield from _steps(kind, ncr, domain, domain.zone, failed, forward=direction.title == "Forward")


def _servers(servers: tuple[Server, ...]) -> Iterator[str]:
    for number, server in enumerate(servers):
        key = f"key {server.key.name} {server.key.algorithm}" if server.key else "unsigned"
        batch = server.config.switches.lanes.batch
        together = f", batches of up to {batch} updates" if batch > 1 else ""
        yield f"  {'server' if number == 0 else 'then':8}{server.text}, {key}{together}"


def _steps(
    kind: Kind, ncr: NameChangeRequest, domain: Domain, zone: Zone, failed: str, *, forward: bool
) -> Iterator[str]:
    owner = ncr.fqdn_wire if forward else reverse_name_wire(ncr.address)
    for step in kind.steps.values():
        if step.forward != forward:
            continue
        yield f"  {step.name}"
        if step.asks is not None:
            yield f"    asks the server for the DHCIDs of {ncr.fqdn}, signed as an update"
            for holds, to in step.asks.items():
                yield f"    if {holds.value}: {'done' if to == DONE else to}"
            yield "    else the request fails as with NXRRSET"
        else:
            wire = encode_update(step.template, zone, owner, ncr.fqdn_wire, ncr.address, ncr.dhcid,
                                 ncr.lease_length, _OTHER)
            text = describe_wire(wire)
            yield f"    zone  {text.zone}"
            yield from (f"    if    {line}".replace(_OTHER_SHOWN, "OTHER") for line in text.prerequisites)
            yield from (f"    then  {line}" for line in text.updates)
        yield from _leads_to(step, domain, reverse_follows=forward and ncr.reverse_change)
        if failed and failed not in map(rcode_text, step.on):
            why, mend = reason(failed, kind, step)
            yield f"    {failed:9} means: {why}"
            yield f"    {'':9} mend:  {mend}"
        if any(server.config.switches.lanes.batch > 1 for server in domain.servers):
            yield from _in_a_batch(kind, step)
        if step.asks is None and any(
            len(wire) + (server.key.length if server.key else 0) > MAX_UDP_MESSAGE
            for server in domain.servers
        ):
            yield f"    longer than {MAX_UDP_MESSAGE} bytes: sent over TCP"


def _in_a_batch(kind: Kind, step: Step) -> Iterator[str]:
    rule = BATCH_RULES[kind].get(step)
    if rule is None:
        yield "    never goes in a batch"
        return
    yield "    if updates wait for the server: goes in a batch with others of its zone"
    if ASKS[rule.sort]:
        rcodes = ", ".join(sorted(rcode.name for rcode in ASKS[rule.sort]))
        yield f"      {rcodes}: the server is asked whose the names are; then a second batch"
    yield "      any RCODE but NOERROR leads in the end to this update alone, as above"


def _leads_to(step: Step, domain: Domain, *, reverse_follows: bool) -> Iterator[str]:
    done = "the reverse direction, if it has a domain" if reverse_follows else "success"
    for rcode, to in step.on.items():
        yield f"    {rcode_text(rcode):9} leads to {done if to in (DONE, NOTED) else to}"
    failover = any(server.failover is not None for server in domain.servers)
    retry = any(server.retry is not None for server in domain.servers)
    next_server = "the next server, from the first step on"
    refused = " and ".join([next_server] * failover + ["a retry"] * retry)
    if refused:
        yield f"    SERVFAIL, REFUSED and NOTAUTH lead to {refused}"
    yield "    any other RCODE fails the request; no other server is tried"
    after = next_server if step.other_server or failover else "failure"
    yield f"    {MAX_TRIES} tries without a usable reply lead to {after}{', then to a retry' * retry}"

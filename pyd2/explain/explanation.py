"""What the daemon would do with a request, and why, without sending anything.

It comes from the daemon's own parts: its matching, its tables of steps and its encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.rdata

from pyd2.counters import Counters
from pyd2.dns.constants import rcode_text
from pyd2.dns.names import reverse_name, reverse_name_wire
from pyd2.dns.update import MAX_UDP_MESSAGE, encode_update
from pyd2.explain.wire_text import UpdateText, describe_wire
from pyd2.packets.plain import PlainLayer
from pyd2.update.model.batch_rules import ASKS, BATCH_RULES
from pyd2.update.model.kinds import DONE, KINDS, MAX_TRIES, NOTED
from pyd2.update.model.plan import make_plan
from pyd2.update.model.reasons import reason
from pyd2.update.model.zones import WILDCARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.config.model import Config, DdnsDomain
    from pyd2.dns.update import Zone
    from pyd2.ncr import NameChangeRequest
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.plan import Domain
    from pyd2.update.model.policies import Policy
    from pyd2.update.model.zones import DomainMatchers, Matcher

UPDATES: Final = "updates"
"""An outcome: updates are sent."""
NO_DOMAIN: Final = "no-domain"
"""An outcome: a change has no domain, so the whole request is dropped."""
KEPT: Final = "kept"
"""An outcome: the policy ``keep`` forbids the removal."""
NOTHING: Final = "nothing"
"""An outcome: there are no domains at all for what is asked."""

LISTED: Final = 20
"""How many domains that do not match are listed."""

_OTHER: Final = b"\0" * 35
"""Stands for the DHCID of another client."""
_OTHER_SHOWN: Final = dns.rdata.from_wire("IN", "DHCID", _OTHER, 0, len(_OTHER)).to_text()


@dataclass(frozen=True, slots=True)
class ServerUse:
    """A DNS server of a domain; they are asked in their order."""

    text: str
    """``ADDRESS port:PORT``, as the log names it."""
    key: str
    """The name of the configured key; empty: updates are not signed."""
    algorithm: str
    batch: int
    """Updates of one message at most."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure means in a step."""

    name: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class StepText:
    """A step: what it sends, and what follows."""

    name: str
    asks: dict[str, str]
    """If it is a question for the DHCIDs of the name: what the answer leads to. Empty: it is an update."""
    zone: str
    prerequisites: tuple[str, ...]
    """Records as in RFC 2136; OTHER stands for the DHCID of another client."""
    updates: tuple[str, ...]
    leads_to: dict[str, str]
    """By RCODE: a step, or in words what follows."""
    otherwise: tuple[str, ...]
    """What follows from all else, in sentences."""
    failure: Failure | None
    """What the failure that was asked for means here; None: nothing, or none was asked for."""
    batch: tuple[str, ...]
    """How it goes in a batch, in sentences; none: there are no batches."""
    over_tcp: bool
    """Whether it is too long for UDP."""


@dataclass(frozen=True, slots=True)
class DirectionText:
    """One direction of a request."""

    direction: str
    """``forward`` or ``reverse``."""
    name: str
    """The name that changes."""
    domain: str
    """The domain that holds it; empty: nothing is done, ``note`` says why."""
    note: str
    """What is wrong with it; empty: nothing."""
    servers: tuple[ServerUse, ...]
    steps: tuple[StepText, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What becomes of a request."""

    operation: str
    """``add`` or ``remove``."""
    name: str
    address: str
    mode: str
    kind: str
    client: str
    """The DHCID, in hex."""
    outcome: str
    """UPDATES, NO_DOMAIN, KEPT or NOTHING."""
    text: str
    """Why no update is sent, and what to do about it; empty: some are."""
    policy: str = ""
    """What the policies of its domain change; empty: it has none."""
    directions: tuple[DirectionText, ...] = ()


class _NoMatch(Exception):  # noqa: N818  it is an outcome, not a fault of ours
    """The daemon would drop the request; the text says why and what to do about it."""


class _Direction(NamedTuple):
    """One direction of a request: its name, and the domains to choose from."""

    title: str
    wanted: bool
    name: str
    domains: tuple[DdnsDomain, ...]
    matcher: Matcher[DdnsDomain]


def explain(
    config: Config, matchers: DomainMatchers, ncr: NameChangeRequest, failed: str = ""
) -> Explanation:
    """Return what becomes of a request; ``matchers`` are those of the configuration.

    ``failed`` is a name of the table of reasons, whose meaning is shown in each step.
    """
    directions = (
        _Direction("forward", ncr.forward_change, ncr.fqdn, config.forward_domains, matchers.forward),
        _Direction("reverse", ncr.reverse_change, reverse_name(ncr.address), config.reverse_domains,
                   matchers.reverse),
    )
    try:
        chosen = [_choose(direction) for direction in directions]
    except _NoMatch as error:
        return _explanation(ncr, NO_DOMAIN, str(error))
    domains = _prepared(config, *chosen)
    policy = next((domain.policy for domain in domains if domain is not None), None)
    if policy is not None and policy.keeps(ncr):
        return _explanation(ncr, KEPT, f"the policy keep has the name {ncr.fqdn}")
    kind = KINDS[ncr.kind] if policy is None else policy.kinds[ncr.kind]
    shown = tuple(
        _shown(kind, ncr, direction, domain, failed)
        for direction, domain in zip(directions, domains, strict=True)
    )
    changes = "" if policy is None else _policy(policy, kind, ncr)
    if any(domains):
        return _explanation(ncr, UPDATES, "", changes, shown)
    return _explanation(ncr, NOTHING, "there is nothing to do", changes, shown)


def _explanation(
    ncr: NameChangeRequest, outcome: str, text: str, policy: str = "",
    directions: tuple[DirectionText, ...] = (),
) -> Explanation:
    return Explanation(
        ncr.change_type.name.lower(), ncr.fqdn, ncr.address_text, ncr.conflict_resolution_mode.value,
        KINDS[ncr.kind].name, ncr.request_id, outcome, text, policy, directions,
    )


def _choose(direction: _Direction) -> DdnsDomain | None:
    """Return the domain of a direction; None when it is not asked for or switched off. Raises _NoMatch."""
    if not direction.wanted or not direction.domains:
        return None
    domain = direction.matcher.find(direction.name)
    if domain is None:
        listed = "".join(f"\n  {entry.name}  ({entry.position})" for entry in direction.domains[:LISTED])
        if len(direction.domains) > LISTED:
            listed += f"\n  and {len(direction.domains) - LISTED} more"
        raise _NoMatch(
            f"no {direction.title} domain matches.\n"
            f"  {direction.name} is in none of these domains:{listed}\n"
            f"Add the zone of {direction.name} to {direction.title}-ddns."
        )
    return domain


def _prepared(
    config: Config, forward: DdnsDomain | None, reverse: DdnsDomain | None
) -> tuple[Domain | None, Domain | None]:
    """Return two domains as the engine works by them; all others, which may be many, are left out."""
    few = config._replace(
        tsig_keys=(),
        forward_domains=() if forward is None else (forward,),
        reverse_domains=() if reverse is None else (reverse,),
    )
    plan = make_plan(few, (), Counters(), 0.0, PlainLayer())
    return next(iter(plan.forward.domains), None), next(iter(plan.reverse.domains), None)


def _policy(policy: Policy, kind: Kind, ncr: NameChangeRequest) -> str:
    if kind is KINDS[ncr.kind]:
        return "the policies of its domain change nothing of it"
    switches = policy.switches
    return (f"policies dual-stack {switches.dual_stack}, adopt {switches.adopt}, remove-yxrrset "
            f"{switches.remove_yxrrset}: kind {kind.name}")


def _shown(
    kind: Kind, ncr: NameChangeRequest, direction: _Direction, domain: Domain | None, failed: str
) -> DirectionText:
    title, name = direction.title, direction.name
    if domain is None:
        note = f"{title}-ddns has no ddns-domains" if direction.wanted else "not in the request"
        return DirectionText(title, name, "", note, (), ())
    servers = tuple(
        ServerUse(
            server.text, server.key.name if server.key else "", server.key.algorithm if server.key else "",
            server.config.switches.lanes.batch,
        )
        for server in domain.servers
    )
    if domain.zone is None:
        note = f"every update fails: {domain.name} is no domain name: {domain.zone_error}"
        return DirectionText(title, name, domain.name, note, servers, ())
    note = ""
    if domain.name == WILDCARD:
        note = "warning: the updates name the zone '*.', which hardly any server has: name the zone"
    forward = title == "forward"
    steps = tuple(
        _step(kind, step, ncr, domain, domain.zone, failed)
        for step in kind.steps.values() if step.forward == forward
    )
    return DirectionText(title, name, domain.name, note, servers, steps)


def _step(
    kind: Kind, step: Step, ncr: NameChangeRequest, domain: Domain, zone: Zone, failed: str
) -> StepText:
    asks: dict[str, str] = {}
    text, over_tcp = UpdateText("", (), ()), False
    if step.asks is not None:
        asks = {holds.value: "done" if to == DONE else to for holds, to in step.asks.items()}
    else:
        owner = ncr.fqdn_wire if step.forward else reverse_name_wire(ncr.address)
        wire = encode_update(
            step.template, zone, owner, ncr.fqdn_wire, ncr.address, ncr.dhcid, ncr.lease_length, _OTHER
        )
        text = describe_wire(wire)
        over_tcp = any(
            len(wire) + (server.key.length if server.key else 0) > MAX_UDP_MESSAGE
            for server in domain.servers
        )
    failure = None
    if failed and failed not in map(rcode_text, step.on):
        failure = Failure(failed, *reason(failed, kind, step))
    batches = any(server.config.switches.lanes.batch > 1 for server in domain.servers)
    done = "success"
    if step.forward and ncr.reverse_change:
        done = "the reverse direction, if it has a domain"
    leads_to = {rcode_text(rcode): done if to in {DONE, NOTED} else to for rcode, to in step.on.items()}
    return StepText(
        step.name, asks, text.zone,
        tuple(line.replace(_OTHER_SHOWN, "OTHER") for line in text.prerequisites), text.updates,
        leads_to, tuple(_otherwise(step, domain)), failure,
        tuple(_in_a_batch(kind, step)) if batches else (), over_tcp,
    )


def _otherwise(step: Step, domain: Domain) -> Iterator[str]:
    failover = any(server.failover is not None for server in domain.servers)
    retry = any(server.retry is not None for server in domain.servers)
    next_server = "the next server, from the first step on"
    refused = " and ".join([next_server] * failover + ["a retry"] * retry)
    if refused:
        yield f"SERVFAIL, REFUSED and NOTAUTH lead to {refused}"
    yield "any other RCODE fails the request; no other server is tried"
    after = next_server if step.other_server or failover else "failure"
    yield f"{MAX_TRIES} tries without a usable reply lead to {after}{', then to a retry' * retry}"


def _in_a_batch(kind: Kind, step: Step) -> Iterator[str]:
    rule = BATCH_RULES[kind].get(step)
    if rule is None:
        yield "never goes in a batch"
        return
    yield "if updates wait for the server: goes in a batch with others of its zone"
    if ASKS[rule.sort]:
        rcodes = ", ".join(sorted(rcode.name for rcode in ASKS[rule.sort]))
        yield f"  {rcodes}: the server is asked whose the names are; then a second batch"
    yield "  any RCODE but NOERROR leads in the end to this update alone, as above"

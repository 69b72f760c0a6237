"""``pyd2ctl explain``: what the daemon would do with a request, and why, without sending anything."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from pyd2.data.controls import escaped, escaped_lines
from pyd2.dns.update import MAX_UDP_MESSAGE
from pyd2.errors import ConfigError, NcrError
from pyd2.explain.explanation import KEPT, NO_DOMAIN, NOTHING, UPDATES, explain
from pyd2.ncr import decode
from pyd2.tools.kea import add_kea_option, kea_profile, read_portable
from pyd2.tools.progress import Progress
from pyd2.tools.requests import Identifier, dhcid
from pyd2.tools.send import add_request_arguments, client_dhcid, request_datagram
from pyd2.update.model.reasons import NAMES
from pyd2.update.model.zones import matchers_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pyd2.explain.explanation import DirectionText, Explanation, StepText


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
    found = explain(config, matchers_of(config), ncr, arguments.failed or "")
    print(*_lines(found), sep="\n")
    if with_hooks and found.directions:
        print("\nHook libraries are not run here: they may skip a server or choose another key.")
    if found.outcome == NOTHING:
        print(f"\nThe daemon drops this request: {found.text}.")
    return 0 if found.outcome == UPDATES else 1


def _failure(text: str) -> str:
    """Return the name of a failure as the table of reasons has it."""
    for name in map(str, NAMES):
        if name.lower() == text.lower():
            return name
    raise ArgumentTypeError(f"no failure has this name: {text}; one of {', '.join(NAMES)}")


def _lines(found: Explanation) -> Iterator[str]:
    what = f"{found.operation} {found.name} {found.address}, {found.mode}: kind {found.kind}"
    yield escaped(f"Request   {what}")
    yield f"          request ID {found.client}"
    if found.policy:
        yield f"          {found.policy}"
    if found.outcome == NO_DOMAIN:
        yield f"\nThe daemon drops the whole request: {escaped_lines(found.text)}"
    elif found.outcome == KEPT:
        yield f"\nThe daemon makes no change: {escaped(found.text)}"
    for direction in found.directions:
        yield ""
        yield from map(escaped, _direction(direction, found.name))


def _direction(direction: DirectionText, name: str) -> Iterator[str]:
    title = direction.direction.capitalize()
    if not direction.domain:
        yield f"{title}   nothing: {direction.note}"
        return
    yield f"{title}   {direction.name} is in {direction.domain}"
    for number, server in enumerate(direction.servers):
        key = f"key {server.key} {server.algorithm}" if server.key else "unsigned"
        together = f", batches of up to {server.batch} updates" if server.batch > 1 else ""
        yield f"  {'server' if number == 0 else 'then':8}{server.text}, {key}{together}"
    if direction.note:
        yield f"  {direction.note}"
    for step in direction.steps:
        yield f"  {step.name}"
        yield from (f"    {line}" for line in _step(step, name))


def _step(step: StepText, name: str) -> Iterator[str]:
    if step.asks:
        yield f"asks the server for the DHCIDs of {name}, signed as an update"
        yield from (f"if {holds}: {to}" for holds, to in step.asks.items())
        yield "else the request fails as with NXRRSET"
    else:
        yield f"zone  {step.zone}"
        yield from (f"if    {line}" for line in step.prerequisites)
        yield from (f"then  {line}" for line in step.updates)
    yield from (f"{rcode:9} leads to {to}" for rcode, to in step.leads_to.items())
    yield from step.otherwise
    if step.failure is not None:
        yield f"{step.failure.name:9} means: {step.failure.why}"
        yield f"{'':9} mend:  {step.failure.mend}"
    yield from step.batch
    if step.over_tcp:
        yield f"longer than {MAX_UDP_MESSAGE} bytes: sent over TCP"

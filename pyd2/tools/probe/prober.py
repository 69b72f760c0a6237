"""Asks all servers of a configuration, side by side and within a time, and makes findings of the answers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dns.exception
from dns.rcode import Rcode

from pyd2.dns.tsig import HmacKey
from pyd2.errors import DomainNameError, ReplyError
from pyd2.queries.reply import read
from pyd2.queries.transport import Route, SilenceError, exchange
from pyd2.tools.lint.rules import Finding
from pyd2.tools.probe import verdicts
from pyd2.tools.probe.messages import harmless_update, soa_query, without_dhcid, zone_name
from pyd2.update.model.zones import WILDCARD

if TYPE_CHECKING:
    from collections.abc import Callable

    from dns.name import Name

    from pyd2.config.model import Config, DdnsDomain, DnsServer
    from pyd2.queries.reply import Answer
    from pyd2.tools.progress import Progress

_AT_ONCE: Final = 8
"""Zones that one server is asked about at a time."""
_MOST_SILENT: Final = 3
"""A server that gave no reply about so many zones is asked no more; one that never replied: about one."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A zone and a server of it."""

    domain: DdnsDomain
    server: DnsServer
    zone: Name
    route: Route
    is_asked: bool
    """Whether policies ask the server whose a name is."""

    @property
    def place(self) -> str:
        """What the finding is about."""
        return f"{self.domain.name} at {self.route}"


class _State:
    """What is known of a server while it is asked."""

    def __init__(self) -> None:
        self.left: deque[Question] = deque()
        self.replied = False
        self.silent = 0

    @property
    def given_up(self) -> bool:
        return self.silent >= (_MOST_SILENT if self.replied else 1)


def probe_servers(config: Config, timeout: float, within: float, progress: Progress) -> list[Finding]:
    """Return what is wrong with the servers of a configuration.

    A try may take ``timeout`` seconds, and all of it ``within`` seconds.
    """
    progress.what = "probing the zones"
    return asyncio.run(_Prober(config, timeout, progress).run(within))


class _Prober:
    def __init__(self, config: Config, timeout: float, progress: Progress) -> None:
        self._timeout = timeout
        self._progress = progress
        self._with_hooks = bool(config.hooks_libraries)
        self._keys = {key.name: HmacKey(key.name, key.algorithm, key.secret, key.digest_bits)
                      for key in config.tsig_keys}
        self._findings: list[Finding] = []
        self._states: dict[Route, _State] = {}
        self._open: dict[Question, None] = {}
        """What is not finished, in the order of the configuration."""
        for domain in config.forward_domains:
            for server in domain.servers:
                self._add(domain, server, is_asked=domain.switches.policy.asks)
        for domain in config.reverse_domains:
            for server in domain.servers:
                self._add(domain, server, is_asked=False)
        progress.total = len(self._open)

    def _add(self, domain: DdnsDomain, server: DnsServer, *, is_asked: bool) -> None:
        if domain.name in {WILDCARD, "."} or server.address.is_unspecified or server.address.is_multicast:
            return  # a rule has a finding of it
        try:
            question = Question(domain, server, zone_name(domain.name), Route.to(server), is_asked)
        except DomainNameError:
            return  # of this, too
        self._states.setdefault(question.route, _State()).left.append(question)
        self._open[question] = None

    async def run(self, within: float) -> list[Finding]:
        """Return the findings, after ``within`` seconds at most."""
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(self._ask_server(state) for state in self._states.values()))
        except TimeoutError:
            if self._open:
                self._leave([*self._open], f"{within:g} s are over (--within)")
        return self._findings

    async def _ask_server(self, state: _State) -> None:
        await self._ask_next(state)

        async def work() -> None:
            while state.left and not state.given_up:
                await self._ask_next(state)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        if state.left:
            self._leave([*state.left], "the server does not reply")

    def _leave(self, questions: list[Question], why: str) -> None:
        """Report questions that are not asked, in one finding."""
        first = questions[0]
        others = f" and {len(questions) - 1} more" if len(questions) > 1 else ""
        self._findings.append(Finding(first.server.position, f"{first.place}{others}: not probed: {why}"))
        self._finish(*questions)

    def _finish(self, *questions: Question) -> None:
        for question in questions:
            del self._open[question]
        self._progress.done = self._progress.total - len(self._open)

    async def _ask_next(self, state: _State) -> None:
        question = state.left.popleft()
        try:
            fault = await self._ask(question)
        except SilenceError as error:
            state.silent += 1
            fault = str(error)
        except ReplyError as error:
            fault = f"its reply is no DNS message: {error}"
        except dns.exception.DNSException as error:
            fault = f"the zone cannot be probed: {error}"
        if fault:
            self._findings.append(Finding(question.server.position, f"{question.place}: {fault}"))
        self._finish(question)

    async def _ask(self, question: Question) -> str:
        """Return what is wrong; empty if all is right. Raises SilenceError, ReplyError, DNSException."""
        key = None if question.server.key is None else self._keys[question.server.key.name]
        soa = await self._send(question, soa_query, key)
        if key is not None and soa.tsig_error:
            return verdicts.of_key(soa, key, int(time.time()))
        fault = verdicts.of_soa(soa, question.zone)
        if key is not None and soa.tsig is None and soa.rcode == Rcode.NOTAUTH:
            unsigned = await self._send(question, soa_query, None)
            return verdicts.of_soa(unsigned, question.zone) or verdicts.of_refused_key(key)
        if fault and soa.rcode != Rcode.REFUSED:  # which may be said of queries only
            return fault
        update = await self._send(question, harmless_update, key)
        if fault and not verdicts.takes_updates(update):
            return fault
        if fault and question.is_asked:
            return verdicts.of_refused_question(key)
        if key is not None and update.tsig_error:
            return verdicts.of_key(update, key, int(time.time()))
        plain = None
        if not verdicts.takes_updates(update) and update.rcode != Rcode.NOERROR:
            plain = await self._send(question, without_dhcid, key)
            if verdicts.takes_updates(plain):  # whose trouble may have ended in between
                update = await self._send(question, harmless_update, key)
        fault = verdicts.of_update(update, plain, key)
        if fault and key is None and self._with_hooks:
            fault += "; hook libraries, which may choose a key, were not asked"
        return fault or verdicts.of_signature(update)

    async def _send(self, question: Question, make: Callable[[Name], bytes], key: HmacKey | None) -> Answer:
        message = make(question.zone)
        now = int(time.time())
        context = None if key is None else key.create_context()
        if context is not None:
            message = context.sign(message, secrets.randbits(16), now)
        try:
            reply = await exchange(question.route, message, self._timeout)
        except SilenceError as error:
            what = "a query for the SOA" if make is soa_query else "an update"
            raise SilenceError(f"no reply to {what}: {error}") from None
        self._states[question.route].replied = True
        return read(reply, message, context, now)

"""Makes keys for the DNS servers, in time, and finds the one that signs.

All of it runs on the main thread, except the agreements with servers, which may wait for a KDC, and ``find``:
the update thread may call it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from secrets import randbits
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.config.addresses import address_text
from pyd2.hooks.gss.echoes import Echoes
from pyd2.hooks.gss.exchange import Status, TkeyExchange
from pyd2.hooks.gss.gssapi import Credential, Flags, GssError, SecurityContext
from pyd2.hooks.gss.keys import KeyRing, ManagedKey, State
from pyd2.hooks.gss.matching import match
from pyd2.hooks.gss.statistics import KEY_CREATED, GssStatistics
from pyd2.hooks.gss.transport import ask

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from pyd2.config.addresses import Address
    from pyd2.config.model import Config, DnsServer
    from pyd2.hooks.gss.gssapi import Context
    from pyd2.hooks.gss.messages import GssLog
    from pyd2.hooks.gss.parameters import GssServer, Parameters

THREAD: Final = "pyd2-gss"
OLD: Final = 3
"""How many times the longest lifetime of a key it is kept after it has expired."""
LEAST_WAIT: Final = 1.0
"""Seconds between two keys of a server that are made because of what its replies say."""


Left: TypeAlias = "dict[tuple[object, ...], list[ManagedKey]]"
"""Usable keys, by what must be the same for them to stay right."""


class Found(NamedTuple):
    """What there is for a DNS server of the configuration."""

    ring: KeyRing | None
    """None: GSS-TSIG is not for this server."""
    key: ManagedKey | None = None


class Manager:
    """The keys of all servers.

    ``open_context`` acquires credentials and returns a context for a server; ``ask_server`` sends a message
    and returns the answer. Both run in other threads and may take long.
    """

    def __init__(
        self, parameters: Parameters, log: GssLog, clock: Callable[[], float] = time.time,
        open_context: Callable[[GssServer, Parameters], Context] | None = None,
        ask_server: Callable[[GssServer, bytes], bytes] = ask,
    ) -> None:
        """``clock`` returns seconds since the epoch."""
        self.parameters = parameters
        self.statistics = GssStatistics((server.id for server in parameters.servers), clock)
        self.on_removed: Callable[[str], None] = lambda _: None
        """Called with the name of a key that is removed."""
        self._log = log
        self._clock = clock
        self._open_context = open_context or open_security_context
        self._ask = ask_server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._echoes = Echoes(log.server, clock)
        believes = parameters.ignore_bad_direction
        self.rings = {
            server.id: KeyRing(server, log, clock, believes_echoes=believes) for server in parameters.servers
        }
        for ring in self.rings.values():
            ring.on_need = self._note_need
            ring.on_echo = self._echoes.note
        self.statistics.servers = self._expiries
        self._matched: dict[int, KeyRing | None] = {}
        """The rings of the configuration's servers, by the identity of these; None: it has no GSS-TSIG."""
        self._by_endpoint: dict[tuple[Address, int], KeyRing] = {}
        self._config: Config | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._purge_timer: asyncio.TimerHandle | None = None
        self._working: set[str] = set()
        """Servers with a thread that agrees on keys."""
        self._waiting: dict[str, list[ManagedKey]] = {}
        """Keys that are to be agreed on, by server."""
        self._needed_at: dict[str, float] = {}

    # The configuration's servers.

    def match(self, config: Config) -> None:
        """Find the DNS servers of the configuration that are meant. Raises HookError with Kea's text."""
        self._config = config  # its servers live, so that their identities stay theirs
        self._matched = {
            identity: None if server is None else self.rings[server.id]
            for identity, server in match(config, self.parameters.servers).items()
        }
        self._by_endpoint = {(ring.server.address, ring.server.port): ring for ring in self.rings.values()}

    def find(self, server: DnsServer, *, here: bool = False) -> Found:
        """Return the key for a server of the configuration; after ``stop``, one of those that were left.

        ``here``: the caller is the update thread, which signs with the key itself.
        """
        if id(server) in self._matched:
            ring = self._matched[id(server)]
        else:  # an update that was under way when the configuration changed
            ring = self._by_endpoint.get((server.address, server.port))
        key = None if ring is None else ring.select(here=here)
        if self._log.debug:
            if ring is None:
                self._log.emit("KEY_LOOKUP_DISABLED")
            elif key is None:
                self._log.emit("KEY_LOOKUP_NONE")
            else:
                self._log.emit("KEY_LOOKUP_FOUND", key.name)
        return Found(ring, key)

    # Keys.

    def all_keys(self) -> list[ManagedKey]:
        """Return the keys of all servers."""
        return [key for ring in self.rings.values() for key in ring.keys]

    def key(self, name: str) -> ManagedKey | None:
        """Return the key of a name."""
        return next((key for key in self.all_keys() if key.name == name), None)

    def remove(self, keys: list[ManagedKey]) -> None:
        """Remove keys; updates that they have signed are still verified."""
        for key in keys:
            ring = self.rings[key.server_id]
            ring.keys.remove(key)
            ring.changed = True
        self._forget(keys)

    def _forget(self, keys: list[ManagedKey]) -> None:
        """Show keys no more."""
        for key in keys:
            self.statistics.remove_key(key.name)
            self.on_removed(key.name)

    def create_key(self, ring: KeyRing) -> ManagedKey:
        """Make a key and begin to agree on it with the server."""
        server = ring.server
        self.statistics.count(KEY_CREATED, server.id)
        names = {key.name for key in ring.keys}
        while (name := f"{randbits(32)}.{server.key_name_suffix}".lower()) in names:
            pass
        self._log.emit("GSS_TSIG_NEW_KEY", name)
        key = ManagedKey(ring, name, self._clock())
        key.exchanging = True
        ring.keys.append(key)
        self.statistics.add_key(name)
        self._waiting.setdefault(server.id, []).append(key)
        if self._loop is not None:
            self._loop.call_soon(self._agree, server.id)
        return key

    # Time.

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the first keys, and then others in time, until ``stop``."""
        self._loop = loop
        self._log.emit("GSS_TSIG_MANAGER_STARTED")
        self.process_all()
        if self.parameters.longest_lifetime:
            self._purge_timer = loop.call_later(self.parameters.longest_lifetime, self._purge_regularly)

    def take_over(self, left: Left) -> None:
        """Sign with the keys that another manager has left until there are own ones."""
        for ring in self.rings.values():
            ring.take_over(left.get(self._identity(ring), []))

    def _identity(self, ring: KeyRing) -> tuple[object, ...]:
        """Return what must be the same for a key to stay right: how long new ones last is not part of it."""
        server = ring.server
        return (
            server.domains, server.address, server.port, server.server_principal, server.client_principal,
            server.replay_flag, server.sequence_flag, self.parameters.client_keytab,
            self.parameters.credentials_cache,
        )

    def stop(self) -> Left:
        """End it, and return the keys that are still usable; ``find`` still finds these.

        Nothing waits for an agreement under way: its outcome is ignored.
        """
        now = self._clock()
        left = {self._identity(ring): ring.usable(now)[::-1] for ring in self.rings.values()}
        self._log.emit("GSS_TSIG_MANAGER_STOPPED")
        self._loop = None
        if self._purge_timer is not None:
            self._purge_timer.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        for ring in self.rings.values():
            ring.on_need = lambda _: None
            removed, ring.left = ring.keys, left[self._identity(ring)]
            ring.keys = []
            self._forget(removed)
        return left

    def process_all(self, *, rekey: bool = False) -> None:
        """Look after the keys of all servers; ``rekey``: make new ones at once."""
        for ring in self.rings.values():
            self._process(ring, rekey=rekey)

    def _process(self, ring: KeyRing, *, rekey: bool = False) -> None:
        """Make a new key if it is time, and look after the server's keys again later."""
        if self._loop is None:
            return
        server = ring.server
        now = self._clock()
        newest = ring.keys[-1] if ring.keys else None
        if newest is not None:
            newest.usable(now)
        if newest is None or newest.state in {State.EXPIRED, State.IN_ERROR}:
            rekey = True
        elif newest.state is State.USABLE:
            rekey = rekey or now + server.retry_interval >= newest.expire or (
                now >= newest.inception + server.rekey_interval
            )
        retry = rekey or newest is None or newest.state is State.NOT_READY
        if rekey:
            self.create_key(ring)
        if server.id in self._timers:
            self._timers.pop(server.id).cancel()
        if retry:
            wait = float(server.retry_interval)
            self._log.emit("START_RETRY_TIMER", server.id, server.retry_interval)
        else:
            assert newest is not None
            wait = max(newest.inception + server.rekey_interval - now, 0.001)
            self._log.emit("START_REKEY_TIMER", server.id, int(wait))
        self._timers[server.id] = self._loop.call_later(wait, self._process_again, ring)

    def _process_again(self, ring: KeyRing) -> None:
        self._process(ring)

    def purge(self, now: float) -> list[ManagedKey]:
        """Remove and return the keys that have long expired."""
        most = OLD * self.parameters.longest_lifetime
        old = [key for key in self.all_keys() if key.expire + most < now and not key.exchanging]
        self.remove(old)
        return old

    def _purge_regularly(self) -> None:
        if self._loop is None:
            return
        if old := self.purge(self._clock()):
            self._log.emit("GSS_TSIG_OLD_KEY_REMOVED", len(old))
        self._purge_timer = self._loop.call_later(self.parameters.longest_lifetime, self._purge_regularly)

    def _expiries(self) -> Iterator[tuple[str, str, float]]:
        """Return the ID, address and port of each server, and when its newest usable key expires; 0: none."""
        now = self._clock()
        for server_id, ring in self.rings.items():
            server = ring.server
            host = address_text(server.address)
            place = f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"
            yield server_id, place, max((key.expire for key in ring.usable(now)), default=0.0)

    def _note_need(self, ring: KeyRing) -> None:
        """Have the main thread make a key that is needed; in any thread."""
        loop = self._loop
        if loop is not None and not ring.need_noted:
            ring.need_noted = True
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(self._need, ring)

    def _need(self, ring: KeyRing) -> None:
        """Make a key that is needed beside the newest, or in place of it; not too many of them."""
        ring.need_noted = False
        if self._loop is None:
            return
        server_id, now = ring.server.id, self._clock()
        lost = ring.unknown_key
        ring.wants_another, ring.unknown_key = False, None
        if any(key.exchanging for key in ring.keys):
            return
        if lost is not None:
            if now - self._needed_at.get(server_id, 0.0) < LEAST_WAIT:
                return
            self._needed_at[server_id] = now
            self._log.server.emit("PYD2_GSS_TSIG_KEY_UNKNOWN", _endpoint(ring.server), lost.name)
        self.create_key(ring)

    # Agreements, each server's in a thread of its own.

    def _agree(self, server_id: str) -> None:
        """Have a thread agree on the keys of a server that wait for it, one after the other."""
        loop = self._loop
        if loop is None or server_id in self._working or not self._waiting.get(server_id):
            return
        key = self._waiting[server_id].pop(0)
        self._working.add(server_id)
        # A daemon thread: the process may end while a KDC is silent.
        Thread(
            target=self._exchange, args=(key, self.rings[server_id].server, loop), name=THREAD, daemon=True,
        ).start()

    def _exchange(self, key: ManagedKey, server: GssServer, loop: asyncio.AbstractEventLoop) -> None:
        """Agree on a key; the body of a thread."""
        exchange = TkeyExchange(
            key.name, key.inception, server.lifetime,
            lambda: self._open_context(server, self.parameters), self._log.emit,
            lambda name: self.statistics.count(name, server.id), lambda: randbits(16),
        )
        try:
            run_exchange(exchange, lambda message: self._ask(server, message))
        except Exception as error:  # a fault in pyd2 must not leave the key as it is for ever
            self._log.emit("KEY_PROCESSING_FAILED", server.id, f"{type(error).__name__}: {error}")
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(self._agreed, key, exchange)

    def _agreed(self, key: ManagedKey, exchange: TkeyExchange) -> None:
        """Use the outcome of an agreement."""
        self._working.discard(key.server_id)
        if self._loop is None:
            return
        self._agree(key.server_id)
        key.exchanging = False
        key.outcome = exchange.status or Status.OTHER
        removed = key not in self.rings[key.server_id].keys
        if key.outcome is Status.SUCCESS:
            key.establish(exchange.context, self._clock())
            self._log.emit("GSS_TSIG_NEW_KEY_SETUP_SUCCEED", key.name)
        elif not removed:
            key.state = State.IN_ERROR
            self._log.emit("GSS_TSIG_NEW_KEY_SETUP_FAILED", key.name, key.outcome.value)


def run_exchange(exchange: TkeyExchange, ask_server: Callable[[bytes], bytes]) -> None:
    """Carry an agreement through to its end."""
    message = exchange.begin()
    while message is not None:
        try:
            answer = ask_server(message)
        except TimeoutError:
            exchange.timed_out()
            return
        except OSError as error:
            exchange.io_failed(str(error))
            return
        message = exchange.receive(answer, int(time.time()))


def open_security_context(server: GssServer, parameters: Parameters) -> Context:
    """Acquire credentials and return a context for a server. Raises GssError."""
    credential = None
    keytab, credentials_cache = parameters.client_keytab, parameters.credentials_cache
    if keytab and not credentials_cache:
        # Tickets of the keytab alone: libkrb5 renews them at half of their life, and only pyd2 uses them.
        credentials_cache = f"MEMORY:pyd2 {keytab} {server.client_principal}"
    if keytab or credentials_cache or server.client_principal:
        credential = Credential(server.client_principal, keytab, credentials_cache)
        if credential.lifetime == 0:
            raise GssError(f"credentials expired for {server.client_principal or credential.principal()}")
    flags = Flags.MUTUAL | Flags.INTEGRITY
    if server.replay_flag:
        flags |= Flags.REPLAY
    if server.sequence_flag:
        flags |= Flags.SEQUENCE
    return SecurityContext(credential, server.server_principal, flags)


def _endpoint(server: GssServer) -> str:
    return f"{address_text(server.address)} port {server.port}"

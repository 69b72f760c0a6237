"""The engine in virtual time, with a peer that answers, and the checks that hold whatever comes in."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.errors import Pyd2Error
from pyd2.update.engine import Engine
from pyd2.update.model.kinds import KINDS
from tests.control.http_fakes import CATALOGUE
from tests.update.support import draws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from pyd2.config.model import Config
    from pyd2.messages import LoggedRequest
    from pyd2.update.engine import Outgoing

    Peer: TypeAlias = "Callable[[World, Outgoing], Iterable[bytes]]"
    """Takes a message; returns the replies. Raises OSError if it cannot be sent."""

WALL = 1_700_000_000.0
"""Seconds since the epoch, all the time: signatures are the same in every run."""
QUERY_ID = 0x1234
TERMINAL = frozenset(
    {kind.succeeded for kind in KINDS} | {kind.failed for kind in KINDS}
) | {"DHCP_DDNS_REQUEST_DROPPED", "DHCP_DDNS_NO_FWD_MATCH_ERROR", "DHCP_DDNS_NO_REV_MATCH_ERROR"}
"""The messages that end a request: each request gets one of them."""

_MOST_STEPS = 5000
_PLACE = re.compile(r"%[0-9]")
_PLACES = {message_id: len(_PLACE.findall(message.text)) for message_id, message in CATALOGUE.items()}


class StrictLog:
    """A log where everything is on; each message must have its arguments, and be writable as bytes.

    The engine logs whatever is raised by the key of a hook library and goes on. Here there is none: an error
    that is no refusal is raised again.
    """

    def __init__(self) -> None:
        self.on = CATALOGUE.keys()
        self.lines: list[tuple[str, tuple[str, ...]]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        assert _PLACES[message_id] == len(arguments), f"{message_id} gets {len(arguments)} arguments"
        for argument in arguments:
            if isinstance(argument, Exception) and not isinstance(argument, Pyd2Error):
                raise argument
        texts = tuple(map(str, arguments))
        for text in texts:
            text.encode("utf-8", "surrogateescape")
        self.lines.append((message_id, texts))

    def emit_requests(self, message_id: str, requests: Iterable[LoggedRequest]) -> None:
        for request in requests:
            self.emit(message_id, request.request_id, request.text())


LAYER = ""
"""The packet layer under test; empty: the best there is."""


class World:
    """An engine with its peer."""

    def __init__(self, config: Config, peer: Peer, *, fixed_ids: bool = False) -> None:
        self.log = StrictLog()
        self.counters = Counters()
        self.engine = Engine(self.counters, self.log, make_backend(LAYER))
        self.peer = peer
        self.now = 0.0
        self.fixed_ids = fixed_ids
        self._accepted: Counter[str] = Counter()
        self.engine.configure(config, None, self.now, WALL)

    def receive(self, datagram: bytes) -> str | None:
        """Give the engine a request; return None if it took it, else the error's text."""
        counters, begin = self.counters, len(self.log.lines)
        before = counters.ncr_received.value, counters.ncr_invalid.value
        self._fix_ids()
        self.engine.receive_request(datagram, self.now, WALL)
        after = counters.ncr_received.value, counters.ncr_invalid.value
        new = self.log.lines[begin:]
        if after == (before[0] + 1, before[1]):
            said = "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE"
            received = [texts[0] for message_id, texts in new if message_id == said]
            assert len(received) == 1, f"a request was received with the messages {new}"
            self._accepted[received[0]] += 1
            return None
        assert after == (before[0], before[1] + 1), f"one datagram was counted as {before} -> {after}"
        assert [message_id for message_id, _ in new] == ["DHCP_DDNS_INVALID_NCR"]
        return new[0][1][0]

    def reply(self, outgoing: Outgoing, datagram: bytes) -> None:
        self.engine.receive_reply(outgoing.lane, outgoing.slot, datagram, self.now, WALL)

    def run(self) -> None:
        """Let the peer answer and time go by until nothing is left to do; check that all have ended."""
        engine = self.engine
        for _ in range(_MOST_STEPS):
            self._fix_ids()
            outgoing = engine.messages(engine.collect_output())
            if outgoing:
                for message in outgoing:
                    self._serve(message)
                continue
            timer = engine.timer()
            if timer is None:
                self._check_idle()
                return
            self.now = max(self.now, timer)
            engine.handle_timer(self.now, WALL)
        raise AssertionError(f"{engine.active} transactions and {engine.queued} requests go on without end")

    def _fix_ids(self) -> None:
        if self.fixed_ids:
            self.engine._driver.tries.random = draws([QUERY_ID] * 64)

    def _serve(self, message: Outgoing) -> None:
        try:
            replies = list(self.peer(self, message))
        except OSError as error:
            self.engine.send_failed(message, error.errno or 1, self.now, WALL)
            return
        for reply in replies:
            self.reply(message, reply)

    def _check_idle(self) -> None:
        engine, counters = self.engine, self.counters
        assert (engine.active, engine.queued, engine._driver.tries.in_flight) == (0, 0, 0)
        assert not any(engine._scheduler.clients.held), "a DHCID is held without a transaction"
        assert all(not engine.pending(lane) and not lane.ready and not lane.waiting for lane in engine.lanes)
        assert all(lane.window.in_flight == 0 for lane in engine.lanes)
        ends = Counter(texts[0] for message_id, texts in self.log.lines if message_id in TERMINAL)
        assert ends == self._accepted, f"requests {dict(self._accepted)} ended as {dict(ends)}"
        sent = counters.update_sent.value
        assert sent == counters.update_signed.value + counters.update_unsigned.value
        ended = counters.update_success.value + counters.update_timeout.value + counters.update_error.value
        assert sent == ended, f"{sent} updates were sent and {ended} have an outcome"
        self._accepted.clear()
        self.log.lines.clear()

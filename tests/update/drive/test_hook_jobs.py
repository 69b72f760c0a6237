"""What libraries do for transactions is done elsewhere, and nothing else waits for it."""

from __future__ import annotations

import gc
import weakref
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.dns.question import TruncatedAnswerError
from pyd2.dns.tsig import HmacKey
from pyd2.errors import BadReply, HookError, ReplyError
from pyd2.update.drive.hook_jobs import HookJob
from pyd2.update.engine import Selection
from pyd2.update.server.lane import MAX_HOOK_JOBS
from tests.update.support import VirtualD2, dead, domain, make_config, ok, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.config.model import DnsServer
    from pyd2.dns.tsig import SigningContext, SigningKey, TsigRecord


class LazyD2(VirtualD2):
    """An engine whose hook jobs are done when the test says so."""

    def __post_init__(self) -> None:
        self.hook_jobs: list[HookJob[Any]] = []
        super().__post_init__()

    def run_hook_jobs(self, hook_jobs: Sequence[HookJob[Any]]) -> bool:
        self.hook_jobs += hook_jobs
        return False

    def do_hook_jobs(self) -> None:
        hook_jobs, self.hook_jobs = self.hook_jobs, []
        super().run_hook_jobs(hook_jobs)
        self.flush()


def configured(server: DnsServer, key: SigningKey | None) -> Selection:
    return Selection(key)


def forward(number: int, **fields: object) -> dict[str, Any]:
    name = f"h{number}.example.com."
    return request(**{"fqdn": name, "dhcid": f"{number:08X}", "reverse_change": False, **fields})


def lazy(select_key: Any = configured, *domains: dict[str, Any]) -> LazyD2:
    zones = domains or (domain("example.com.", 1),)
    return LazyD2(make_config(simple_map(zones)), ok, select_key=select_key)


@pytest.mark.parametrize("error", [
    ReplyError("a copy", BadReply.ECHO), TruncatedAnswerError("cut", BadReply.FORMAT),
])
def test_what_is_wrong_with_a_reply_is_known_after_the_job(error: ReplyError) -> None:
    def work() -> int:
        raise error

    lane: Any = None
    job: HookJob[int] = HookJob(lane, 0, work, print)
    job.run()
    with pytest.raises(type(error), match=str(error)) as caught:
        job.result()
    assert caught.value.reason is error.reason
    assert caught.value is not error, "it would keep alive what the library has made"


def test_of_a_library_s_own_errors_only_the_text_is_kept() -> None:
    class OwnError(ReplyError):
        pass

    def work() -> int:
        raise OwnError("odd", BadReply.ECHO)

    lane: Any = None
    job: HookJob[int] = HookJob(lane, 0, work, print)
    job.run()
    with pytest.raises(HookError, match="odd"):
        job.result()


def test_a_transaction_waits_for_its_selection_and_no_other_one_does() -> None:
    d2 = lazy()
    d2.request(forward(1))
    (job,) = d2.hook_jobs
    assert (d2.engine.active, d2.sent, d2.engine.timer()) == (1, [], None)
    # A configuration without such libraries: what begins now is not held up by what they still do.
    d2.select_key = None
    d2.configure(d2.config)
    d2.request(forward(2))
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 1
    job.run()
    d2.engine.end_hook_jobs([job], d2.now, d2.wall)
    d2.flush()
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 2
    assert d2.engine.active == 0


def test_a_transaction_goes_on_whose_plan_was_taken_apart() -> None:
    d2 = lazy()
    d2.request(forward(1))
    engine, config = d2.engine, make_config(simple_map((domain("example.com.", 2),)))
    plan = engine.prepare(config, engine.lanes, d2.wall)
    before = engine.put_in_force(config, plan, configured, d2.now, d2.wall)
    before.take_apart()
    assert (before.domains, bool(before.forward)) == ((), False)
    assert [lane.port for lane in engine.lanes] == [2, 1]
    d2.do_hook_jobs()
    d2.run()
    assert [outgoing.lane.port for _, outgoing in d2.sent] == [1]
    assert (engine.active, d2.log.ids[-1]) == (0, "DHCP_DDNS_ADD_SUCCEEDED")


def test_only_so_many_wait_for_libraries_and_the_rest_in_the_queue() -> None:
    d2 = lazy()
    count = 3 * MAX_HOOK_JOBS
    for number in range(count):
        d2.request(forward(number))
    assert (d2.engine.active, len(d2.hook_jobs)) == (MAX_HOOK_JOBS, MAX_HOOK_JOBS)
    while d2.hook_jobs:
        assert len(d2.hook_jobs) <= MAX_HOOK_JOBS
        d2.do_hook_jobs()
        d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == count


def test_a_paced_lane_that_waits_for_libraries_needs_no_timer() -> None:
    """Else the engine is woken again and again, for nothing, as long as a library takes."""
    context = {"pyd2": {"lanes": {"max-in-flight": 2000}}}
    zones = simple_map((domain("example.com.", 1),), (), {"user-context": context})
    d2 = LazyD2(make_config(zones), dead, select_key=configured)
    (lane,) = d2.engine.lanes
    while lane.window.limit < 1000:
        sent = 0
        while lane.window.in_flight < lane.window.limit:
            d2.now += 0.0002
            for _ in range(lane.window.free_places(d2.now)):
                lane.window.sent()
                sent += 1
        d2.now += 0.02
        for _ in range(sent):
            lane.window.replied(d2.now - 0.02, d2.now)
    for number in range(2 * MAX_HOOK_JOBS):
        d2.request(forward(number))
    assert lane.hook_jobs == MAX_HOOK_JOBS
    assert lane.window.paced_until() <= d2.now
    assert d2.engine.timer() is None
    d2.do_hook_jobs()
    d2.run(d2.now)
    assert (lane.hook_jobs, len(d2.sent)) == (MAX_HOOK_JOBS, MAX_HOOK_JOBS)


def test_the_requests_of_one_client_keep_their_order_while_libraries_work() -> None:
    d2 = lazy()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        d2.request(forward(1, ip_address=address))
    while d2.hook_jobs:
        assert len(d2.hook_jobs) == 1
        d2.do_hook_jobs()
        d2.run()
    texts = d2.log.texts("DHCP_DDNS_ADD_SUCCEEDED")
    assert [text.count(f"192.0.2.{number}") for number, text in enumerate(texts, 1)] == [1, 1, 1]


def test_libraries_get_a_configured_key_that_the_engine_does_not_sign_with() -> None:
    seen: list[SigningKey | None] = []

    def select_key(server: DnsServer, key: SigningKey | None) -> Selection:
        seen.append(key)
        return Selection(key)

    secret = {"name": "k.", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0"}
    zones = simple_map((domain("example.com.", 1, **{"key-name": "k."}),), (), {"tsig-keys": [secret]})
    d2 = LazyD2(make_config(zones), ok, select_key=select_key)
    d2.request(forward(1))
    d2.do_hook_jobs()
    # Its contexts are Python's: C has one buffer for each key, and the update thread uses that.
    assert [type(key) for key in seen] == [HmacKey]
    assert seen[0] is not d2.engine._plan.domains[1].servers[0].key  # type: ignore[union-attr]
    # Chosen again, it is the configured key: with its routes and its statistics.
    assert (len(d2.sent), d2.counters.keys["k."].sent.value, d2.counters.library_keys) == (1, 1, {})


class OwnKey(HmacKey):
    """A shared secret that counts how it is used."""

    def __init__(self) -> None:
        super().__init__("own.", "hmac-sha256", b"0123456789abcdef")
        self.contexts: weakref.WeakSet[Any] = weakref.WeakSet()
        self.made = 0

    def create_context(self) -> SigningContext:  # type: ignore[override]
        context = OwnContext(super().create_context())
        self.contexts.add(context)
        self.made += 1
        return context


class OwnContext:
    def __init__(self, inner: SigningContext) -> None:
        self.inner = inner
        self.length = inner.length

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        return self.inner.sign(message, qid, wall)

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Take everything for authentic: the peer does not sign."""


def test_a_key_that_signs_in_its_own_way_does_so_in_a_hook_job_and_its_context_ends_there() -> None:
    key = OwnKey()
    d2 = lazy(lambda server, _: Selection(key))
    d2.request(forward(1))
    d2.do_hook_jobs()  # the selection
    assert (key.made, d2.sent) == (0, [])
    d2.do_hook_jobs()  # the signature
    assert (key.made, len(d2.sent)) == (1, 1)
    d2.run()
    (job,) = d2.hook_jobs  # the reply is to be verified
    assert d2.engine.active == 1
    job.run()
    gc.collect()
    assert not key.contexts
    d2.engine.end_hook_jobs([job], d2.now, d2.wall)
    d2.hook_jobs.clear()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


def test_an_update_that_is_being_signed_has_its_place_in_the_window() -> None:
    key = OwnKey()
    context = {"pyd2": {"lanes": {"max-in-flight": 2}}}
    zones = simple_map((domain("example.com.", 1),), (), {"user-context": context})
    d2 = LazyD2(make_config(zones), ok, select_key=lambda server, _: Selection(key))
    (lane,) = d2.engine.lanes
    for number in range(20):
        d2.request(forward(number))
    while d2.hook_jobs:
        d2.do_hook_jobs()
        assert lane.signing + lane.window.in_flight <= 2
        d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 20
    assert (lane.signing, lane.hook_jobs, d2.engine.active) == (0, 0, 0)


class SilentError(Exception):
    def __str__(self) -> str:
        raise IndexError("there is no such argument")


@pytest.mark.parametrize(("fault", "text"), [
    (SystemExit(3), "SystemExit: 3"), (CancelledError(), "CancelledError: "), (RuntimeError("3"), "3"),
    (SilentError(), "SilentError, whose text cannot be had"),
])
def test_whatever_a_library_s_key_raises_costs_no_more_than_its_request(
    fault: BaseException, text: str
) -> None:
    class RaisingKey(OwnKey):
        def create_context(self) -> SigningContext:  # type: ignore[override]
            raise fault

    d2 = lazy(lambda server, _: Selection(RaisingKey()))
    for number in range(2):
        d2.request(forward(number))
    d2.do_hook_jobs()
    d2.do_hook_jobs()
    (lane,) = d2.engine.lanes
    assert (d2.engine.active, lane.hook_jobs, d2.log.ids[-1]) == (0, 0, "DHCP_DDNS_ADD_FAILED")
    logged = d2.log.texts("DHCP_DDNS_TRANS_SEND_ERROR")
    assert [line.endswith(f": {text}") for line in logged] == [True, True]


def test_what_a_library_s_error_holds_ends_where_libraries_run() -> None:
    class RaisingKey(OwnKey):
        def create_context(self) -> SigningContext:  # type: ignore[override]
            context = super().create_context()
            raise RuntimeError(repr(context))

    key = RaisingKey()
    d2 = lazy(lambda server, _: Selection(key))
    d2.request(forward(1))
    d2.do_hook_jobs()
    (job,) = d2.hook_jobs
    job.run()
    gc.collect()
    assert (key.made, len(key.contexts)) == (1, 0)


@pytest.mark.parametrize("gone", ["id", "port"])
def test_a_draft_whose_id_or_port_has_gone_while_it_was_signed_is_made_anew(gone: str) -> None:
    key = OwnKey()
    d2 = lazy(lambda server, _: Selection(key))
    d2.request(forward(1))
    d2.do_hook_jobs()
    (lane,) = d2.engine.lanes
    if gone == "port":
        lane.slots[:] = [slot + 10 for slot in lane.slots]
    else:
        tries = d2.engine._driver.tries
        free, answers = tries.is_free, iter([False])
        tries.is_free = lambda *place: next(answers, True) and free(*place)  # type: ignore[method-assign]
    d2.do_hook_jobs()
    assert d2.sent == []
    d2.do_hook_jobs()
    (sent,) = d2.sent
    assert sent[1].slot in lane.slots
    while d2.engine.active:
        d2.run()
        d2.do_hook_jobs()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert d2.counters.update_sent.value == 1

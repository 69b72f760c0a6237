"""Keys that pyd2 itself chooses for servers: in the update thread, without hook jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.dns.tsig import HmacKey
from pyd2.update.drive.server_choice import KeySource, Selection
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, domain, make_config, ok, request, simple_map, statistics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyd2.config.model import DnsServer
    from pyd2.dns.tsig import SigningKey
    from pyd2.update.drive.hook_jobs import HookJob

KEY = HmacKey("chosen.", "HMAC-SHA256", b"secret" * 6)


class Source(KeySource):
    """Signs for some ports, skips others, and leaves the rest as they are configured."""

    def __init__(self, signed: Sequence[int] = (), skipped: Sequence[int] = ()) -> None:
        self.signed = signed
        self.skipped = skipped
        self.asked: list[int] = []

    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        self.asked.append(server.port)
        return Selection(KEY if server.port in self.signed else key, server.port in self.skipped)


class Logging(Source):
    """One that logs each time that it is asked."""

    @property
    def logs_each(self) -> bool:
        return True


class NoJobs(VirtualD2):
    """An engine that has no hook jobs."""

    def run_hook_jobs(self, hook_jobs: Sequence[HookJob[Any]]) -> bool:
        raise AssertionError(f"nothing is for another thread: {hook_jobs}")


def d2(source: Source, debuglevel: int = 0, reverse: tuple[int, ...] = (1, 2)) -> NoJobs:
    zones = simple_map([domain("example.com.", 1, 2)], [domain("192.in-addr.arpa.", *reverse)])
    return NoJobs(make_config(zones), ok, debuglevel, select_key=source)


def ports(running: NoJobs) -> list[int]:
    return [outgoing.lane.port for _, outgoing in running.sent]


@pytest.mark.parametrize("debuglevel", [0, 55])
@pytest.mark.parametrize("other", [(1, 2), (2,)])
def test_both_directions_are_signed_with_what_it_chooses(debuglevel: int, other: tuple[int, ...]) -> None:
    running = d2(Source(signed=(1,)), debuglevel, other)
    running.request(request())
    running.run()
    tsigs = [parse(outgoing.message).tsig for _, outgoing in running.sent]
    # ``ok`` does not sign, so what is signed is tried three times, and then the next server is asked.
    names = [None if tsig is None else tsig.name.to_text() for tsig in tsigs]
    assert names[:4] == ["chosen."] * 3 + [None]
    assert statistics(running.counters)["key[chosen.].update-sent"] == names.count("chosen.")
    assert running.engine.active == 0


def test_a_server_that_it_skips_is_not_asked() -> None:
    running = d2(Source(skipped=(1,)))
    running.request(request())
    running.run()
    assert ports(running) == [2, 2]
    assert statistics(running.counters)["update-success"] == 2


def test_a_request_all_of_whose_servers_are_skipped_fails() -> None:
    running = d2(Source(skipped=(1, 2)))
    running.request(request())
    running.run()
    assert (running.sent, running.engine.active) == ([], 0)
    assert running.log.ids.count("DHCP_DDNS_ADD_FAILED") == 1


def test_the_configured_key_stays_where_it_chooses_none() -> None:
    source = Source()
    running = d2(source)
    for number in range(3):
        running.request(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}"))
    running.run()
    assert ports(running) == [1] * 6
    assert statistics(running.counters)["update-unsigned"] == 6
    assert set(source.asked) == {1}


@pytest.mark.parametrize("debuglevel", [0, 55])
@pytest.mark.parametrize("reverse", [1, 2])
def test_a_source_that_logs_it_is_asked_once_for_each_direction(reverse: int, debuglevel: int) -> None:
    """Else the log would say twice, or for another server, too, that a key was looked for."""
    source = Logging()
    running = d2(source, debuglevel, (reverse,))
    for number in range(3):
        running.request(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}"))
    running.run()
    assert ports(running) == source.asked
    assert sorted(source.asked) == sorted([1, reverse] * 3)

"""Real DNS servers behind the D2s: whether they hold what was added."""

from __future__ import annotations

import dns.query
import dns.rcode
import dns.update
import pytest

from benchmarks import servers
from benchmarks.errors import BenchmarkError
from benchmarks.settings import Settings
from tests.kit.ports import PortLease


def add(port: int, zone: str, *record: str) -> None:
    update = dns.update.UpdateMessage(zone)
    update.add(record[0], 300, *record[1:])
    assert dns.query.udp(update, "127.0.0.1", timeout=10, port=port).rcode() == dns.rcode.NOERROR


@pytest.mark.peers
@pytest.mark.parametrize("name", ["bind", "knot"])
def test_additions_that_a_server_has_not_made_are_missed(name: str) -> None:
    with PortLease() as lease:
        port = lease.take()
        with servers.serving(name, Settings(), port):
            with pytest.raises(BenchmarkError, match="no A record of h00000000"):
                servers.check(port, 1, seconds=0)
            add(port, "bench.example.", "h00000000", "A", "10.0.0.0")
            with pytest.raises(BenchmarkError, match="no PTR record of 0"):
                servers.check(port, 1, seconds=0)
            add(port, "10.in-addr.arpa.", "0.0.0", "PTR", "h00000000.bench.example.")
            servers.check(port, 1)
            with pytest.raises(BenchmarkError, match="no A record of h00000001"):
                servers.check(port, 2, seconds=0)


def test_the_last_requests_may_still_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True, False, True])
    monkeypatch.setattr(servers, "_holds", lambda *_: next(answers))
    servers.check(0, 1)
    assert list(answers) == []

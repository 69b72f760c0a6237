"""``/api/v1/hosts/NAME?dns=1``: what real DNS servers hold of a host; nothing waits for them."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from pyd2.control.http_pages import PageRequest
from pyd2.web.answers import ApiError
from pyd2.web.dns_now import PAUSE, DnsNow
from pyd2.web.events import HistoryApi
from tests.history.site import Site, running_site
from tests.kit import ncr
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until
from tests.web.site import OPERATOR, READER
from tests.web.site import Site as Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyd2.web.worker import Job

NAME = "now.example.com."


class Asked(NamedTuple):
    """A daemon with BIND, and its page."""

    site: Site
    page: Client
    http: list[dict[str, Any]]

    def ask(self) -> Any:
        """Return what the servers hold, once the daemon may ask them."""

        def answered() -> Any:
            status, _, text = self.page.get(f"/api/v1/hosts/{NAME}?dns=1", OPERATOR)
            assert status in {200, 503}, text
            return json.loads(text) if status == 200 else None

        return wait_until(answered, "another host may be asked for")["dns"]


@pytest.fixture(scope="module")
def asked(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    if not is_pyd2:
        pytest.skip("Kea has no page")
    with PortLease() as lease, running_site(d2_binary, tmp_path_factory.mktemp("history")) as site:
        page = Client()
        page.port = lease.take()
        http = [{
            "socket-type": "http", "socket-port": page.port,
            "authentication": {"type": "basic", "clients": [OPERATOR, READER]},
            "user-context": {"pyd2": {"web": True}},
        }]  # fmt: skip
        site.use(site.body(http=http))
        assert site.ask(NAME).result == "done"
        yield Asked(site, page, http)


@pytest.mark.peers
def test_it_shows_what_the_servers_hold(asked: Asked) -> None:
    client = ncr.dhcid(b"one", NAME)
    reverse = "10.2.0.192.in-addr.arpa."
    forward, pointer = asked.ask()
    place = f"127.0.0.1 port {asked.site.server.port}"
    assert (forward["name"], forward["server"], forward["faults"]) == (NAME, place, [])
    assert [(each["type"], each["rcode"], each["fault"], each["records"]) for each in forward["answers"]] == [
        ("A", "NOERROR", "", [{"name": NAME, "type": "A", "data": "192.0.2.10", "ttl": 3600, "client": ""}]),
        ("AAAA", "NOERROR", "", []),
        ("DHCID", "NOERROR", "", [
            {"name": NAME, "type": "DHCID", "data": client, "ttl": 3600, "client": "same"},
        ]),
    ]  # fmt: skip
    assert (pointer["name"], pointer["server"]) == (reverse, place)
    (found,) = pointer["answers"]
    assert found["records"] == [{"name": reverse, "type": "PTR", "data": NAME, "ttl": 3600, "client": ""}]


def test_only_with_the_role_all_and_only_so_often(asked: Asked) -> None:
    assert asked.page.error(f"hosts/{NAME}?dns=1", client=READER) == (403, "forbidden")
    assert "dns" not in asked.page.api(f"hosts/{NAME}", client=READER)
    assert asked.page.error(f"hosts/{NAME}?dns=2") == (400, "bad-request")


def test_a_server_that_says_nothing_has_its_time_and_no_more(asked: Asked) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        asked.site.use(asked.site.body(port=port, http=asked.http))
        try:
            forward, pointer = asked.ask()
        finally:
            asked.site.use(asked.site.body(http=asked.http))
    for answer in (forward, pointer):
        if answer["name"] == NAME:
            (fault,) = answer["faults"]
            assert fault in {
                f"127.0.0.1 port {port}: no reply within 3 s",
                f"{NAME}: no server was asked any more after 5 s",
            }
            assert (answer["server"], answer["answers"]) == ("", [])


# Without a daemon.


class Jobs:
    """Keeps jobs; those of one kind are not carried out by the worker of the other."""

    def __init__(self) -> None:
        self.taken: list[Job] = []

    def add(self, job: Job) -> bool:
        self.taken.append(job)
        return True


@contextmanager
def clocked() -> Iterator[tuple[DnsNow, SimpleNamespace]]:
    clock = SimpleNamespace(now=100.0)
    loop = SimpleNamespace(time=lambda: clock.now)
    yield DnsNow(cast("Any", loop), lambda: cast("Any", None)), clock


def request(query: str, role: str = "all") -> PageRequest:
    return PageRequest(f"/api/v1/hosts/{NAME}", query, {}, role)


def test_servers_are_asked_in_a_thread_that_searches_do_not_wait_for(tmp_path: Path) -> None:
    searches, queries = Jobs(), Jobs()
    with clocked() as (dns_now, clock):
        api = HistoryApi(searches, lambda: str(tmp_path), dns_now)
        dns_now.worker = cast("Any", queries)  # type: ignore[misc]
        later = cast("Any", None)
        api.host(request("")).begin(later)
        api.host(request("dns=0")).begin(later)
        assert (len(searches.taken), len(queries.taken)) == (2, 0)
        api.host(request("dns=1")).begin(later)
        assert (len(searches.taken), len(queries.taken)) == (2, 1)
        with pytest.raises(ApiError, match="one host in a second"):
            api.host(request("dns=1"))
        clock.now += PAUSE
        api.host(request("dns=1")).begin(later)
        assert len(queries.taken) == 2


def test_a_refused_reader_takes_no_turn(tmp_path: Path) -> None:
    with clocked() as (dns_now, _):
        api = HistoryApi(Jobs(), lambda: str(tmp_path), dns_now)
        with pytest.raises(ApiError, match="role all"):
            api.host(request("dns=1", "read"))
        dns_now.asker("all")  # the refused one has not taken its turn


def test_without_a_history_no_server_is_asked() -> None:
    with clocked() as (dns_now, _):
        api = HistoryApi(Jobs(), lambda: "", dns_now)
        with pytest.raises(ApiError, match="the history is off"):
            api.host(request("dns=1"))
        dns_now.asker("all")

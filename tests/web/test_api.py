"""The API of a running daemon."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from pyd2.web.answers import MOST
from tests.kit.waiting import wait_until
from tests.web.site import HOSTILE, HOSTILE_SHOWN, OPERATOR, READER, SECRETS, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINTS = ("status", "servers", "zones", "hosts", "hosts/h1.example.com.", "failures", "history")


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon that has carried out some requests of each kind."""
    if not is_pyd2:
        pytest.skip("Kea has no page")
    with running(d2_binary, tmp_path_factory.mktemp("history")) as site:
        for number in range(1, 6):
            site.send(f"h{number}.example.com.", f"192.0.2.{number}", **{"reverse-change": True})
        site.send("h1.example.com.", "192.0.2.99")
        site.send("bad.refused.example.")
        site.send("lost.silent.example.")
        site.send("nowhere.example.net.")
        site.send(HOSTILE)
        site.wait_for_events(10)
        yield site


def test_the_status(site: Site) -> None:
    wait_until(lambda: len(site.api("status")["problems"]) >= 4, "the causes to be noted")
    status = site.api("status")
    requests = status["requests"]
    assert requests["received"] == sum(value for name, value in requests.items() if name != "received") == 10
    assert (requests["done"], requests["failed"], requests["unmatched"]) == (7, 2, 1)
    assert (status["zones"], status["servers"]) == (4, 3)
    assert status["queue"] == {"type": "memory"}
    assert status["site"] is None
    assert status["policies"] == {"asked": 0, "joined": 0, "adopted": 0, "kept": 0}
    assert status["history"] == {"on": True, "lost": 0, "fault": ""}
    assert status["config"]["ok"]
    texts = [problem["text"] for problem in status["problems"]]
    assert any("its last update was not answered" in text for text in texts)
    assert any(
        text.startswith("refused.example., DNS server 127.0.0.1 port:") and "REFUSED once" in text
        for text in texts
    )
    assert all(problem["mend"] for problem in status["problems"])


def test_the_servers(site: Site) -> None:
    answer = site.api("servers")
    assert answer["total"] == 3
    assert answer["next"] is None
    good, refusing, silent = answer["servers"]
    assert (good["state"], good["keys"], good["zones"], good["rcodes"]) == (
        "up",
        ["k.example."],
        2,
        {"NOERROR": 12},
    )
    assert (refusing["rcodes"], refusing["keys"]) == ({"REFUSED": 1}, [])
    assert (good["batches"], good["gss"]) == (None, None)
    assert (silent["state"], silent["timeouts"], silent["p95_ms"]) == ("silent", 3, None)
    assert 0 < good["p50_ms"] <= good["p95_ms"]


def test_the_zones(site: Site) -> None:
    zones = {zone["name"]: zone for zone in site.api("zones")["zones"]}
    assert list(zones) == ["example.com.", "refused.example.", "silent.example.", "2.0.192.in-addr.arpa."]
    assert (zones["example.com."]["done"], zones["example.com."]["last_failure"]) == (7, None)
    assert zones["refused.example."]["failed"] == 1
    assert zones["refused.example."]["last_failure"]["fault"] == "REFUSED"
    assert zones["2.0.192.in-addr.arpa."]["direction"] == "reverse"
    assert [zone["name"] for zone in site.api("zones?q=REFUSED")["zones"]] == ["refused.example."]
    first = site.api("zones?limit=3")
    assert (first["total"], first["next"]) == (4, 3)
    assert [zone["name"] for zone in site.api("zones?limit=3&offset=3")["zones"]] == ["2.0.192.in-addr.arpa."]


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [event["name"].partition(".")[0] for event in answer["hosts"]]


def test_hosts_are_found(site: Site) -> None:
    assert sorted(names(site.api("hosts?q=h"))) == ["h1", "h2", "h3", "h4", "h5"]
    assert site.api("hosts?q=h1")["hosts"][0]["address"] == "192.0.2.99"
    assert names(site.api("hosts?q=h1.example.com.")) == ["h1"]
    assert names(site.api("hosts?q=192.0.2.3")) == ["h3"]
    assert sorted(names(site.api("hosts?q=192.0.2.0/29"))) == ["h1", "h2", "h3", "h4", "h5"]
    assert site.api("hosts?q=nothing") == {"hosts": [], "before": None}
    (found,) = site.api("hosts?q=" + quote("<img"))["hosts"]
    assert found["name"] == HOSTILE_SHOWN


def test_hosts_come_in_pages_each_once(site: Site) -> None:
    found: list[str] = []
    before = ""
    while True:
        answer = site.api(f"hosts?limit=2{before}")
        found += [event["name"] for event in answer["hosts"]]
        if answer["before"] is None:
            break
        before = f"&before={answer['before']}"
    assert len(found) == len(set(found)) == 9


def test_the_events_of_a_host(site: Site) -> None:
    answer = site.api("hosts/H1.example.com")
    assert answer["name"] == "h1.example.com"
    assert sorted(event["address"] for event in answer["events"]) == ["192.0.2.1", "192.0.2.99"]
    assert {event["forward"] for event in answer["events"]} == {"done"}
    assert site.api("hosts/" + quote(HOSTILE_SHOWN, safe=""))["events"][0]["result"] == "done"
    assert site.error("hosts/none.example.com.") == (404, "not-found")


def test_failures_by_what_failed(site: Site) -> None:
    found = {event["name"]: event for event in site.api("failures")["events"]}
    assert {name: event["fault"] for name, event in found.items()} == {
        "bad.refused.example.": "REFUSED",
        "lost.silent.example.": "timeout",
        "nowhere.example.net.": "unmatched",
    }
    assert found["bad.refused.example."]["why"].startswith("The DNS server does not allow this update")
    server = quote(found["bad.refused.example."]["server"])
    for query in (
        "fault=REFUSED",
        "zone=refused.example.",
        f"server={server}",
        f"fault=REFUSED&server={server}",
    ):
        assert [event["name"] for event in site.api(f"failures?{query}")["events"]] == [
            "bad.refused.example."
        ]
    assert site.api("failures?zone=example.com.")["events"] == []
    assert site.api("failures?zone=unknown.")["events"] == []


@pytest.mark.parametrize("query", [
    "status?x=1", "hosts?limit=0", f"hosts?limit={MOST + 1}", "hosts?limit=x", "hosts?before=-1",
    "hosts?q=%00",
    "hosts?q=192.0.2.0/33", "hosts?before=9999999999999999999999", "zones?offset=1e3", "hosts?q=%ff",
    "failures?zone=" + "z" * 600, "hosts?q=a&&q", "servers?limit=%EF%BC%91", "events?x=1",
])  # fmt: skip
def test_bad_parameters_are_refused(site: Site, query: str) -> None:
    assert site.error(query) == (400, "bad-request")


def test_what_is_not_there(site: Site) -> None:
    for path in (
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/hosts/a/b",
        "/metrics",
        "/../secret",
        "/index.html",
    ):
        assert site.get(path)[0] == 404, path


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_reader_gets_the_same_and_a_stranger_nothing(site: Site, endpoint: str) -> None:
    def without_times(text: str) -> str:
        return re.sub(r'"(now|uptime)":[0-9.]+', "", text)

    status, _, text = site.get(f"/api/v1/{endpoint}", READER)
    assert status == 200
    assert without_times(site.get(f"/api/v1/{endpoint}", OPERATOR)[2]) == without_times(text)
    for path in (f"/api/v1/{endpoint}", "/", "/page.js", "/api/v1/events"):
        assert site.get(path, Authorization="Basic eDp5")[0] == 401
        assert site.get(path, Host="attacker.example")[0] == 421
        assert site.get(path, Sec_Fetch_Site="cross-site")[0] == 403


def test_no_answer_has_a_secret(site: Site) -> None:
    answers = [site.get(f"/api/v1/{endpoint}")[2] for endpoint in ENDPOINTS]
    answers += [site.get("/")[2], json.dumps(site.get("/")[1])]
    for answer in answers:
        for secret in SECRETS:
            assert secret not in answer


@pytest.mark.parametrize("release", ["2.6.3", "3.0.4"])
def test_without_a_history_it_says_so(
    d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory, release: str
) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no page")
    with running(
        d2_binary,
        tmp_path_factory.mktemp("no-history"),
        release=release,
        history={"enabled": False},
        page={"metrics": True},
    ) as site:
        assert site.error("hosts") == (404, "no-history")
        assert site.api("status")["history"]["on"] is False
        assert site.get("/metrics")[0] == 200
        site.set(web=False, metrics=True)
        assert site.get("/")[0] == site.get("/api/v1/status")[0] == 404
        site.set(web=False)
        assert site.get("/")[0] == 400  # as Kea

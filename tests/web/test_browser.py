"""Every view in Chromium: narrow and wide, light and dark, with hostile names and 50,000 hosts.

A message in the console is a failure: scripts and styles that the policy refuses come there, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.kit.browser import ENTER, TAB
from tests.kit.d2 import D2
from tests.kit.waiting import wait_until
from tests.web.browsed import SIZES, VIEWS, browsed_site, operators_browser, show
from tests.web.site import HOSTILE_SHOWN, OPERATOR, READER, Site, credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.browser import Browser

pytestmark = pytest.mark.peers

HOSTS = 50_000


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_pyd2:
        pytest.skip("Kea has no page")
    with browsed_site(d2_binary, tmp_path_factory.mktemp("history"), HOSTS) as site:
        yield site


@pytest.fixture(scope="module")
def browser(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with operators_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_every_view(browser: Browser, site: Site, width: int, dark: bool) -> None:
    browser.show_as(width, dark=dark)
    browser.console()
    for view, text in VIEWS.items():
        show(browser, site, view, text)
        browser.wait_for("Live.", "#connection")
        found = browser.run("""
            const root = document.documentElement;
            const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
            return [innerWidth, root.scrollWidth - root.clientWidth, document.querySelectorAll("h1").length,
                document.querySelectorAll("img, script:not([src]), style, iframe").length,
                ids.length - new Set(ids).size, getComputedStyle(document.body).backgroundColor]""")
        assert found[:3] == [width, 0, 1], view
        assert found[3:5] == [0, 0], view
        assert found[5] == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
        assert browser.console() == [], view


def test_a_hostile_name_stays_text(browser: Browser, site: Site) -> None:
    browser.show_as(1280, dark=False)
    show(browser, site, "hosts?q=%3Cimg", HOSTILE_SHOWN)
    browser.click("main td a")
    browser.wait_for("check", "main")
    assert HOSTILE_SHOWN in browser.text()
    assert (
        browser.run(
            "return [document.querySelectorAll('main img, main b, main script').length, location.hash]"
        )[0]
        == 0
    )
    assert browser.console() == []


def test_the_policy_refuses_what_is_not_ours(browser: Browser, site: Site) -> None:
    """That it does shows that the other tests would see it."""
    show(browser, site, "overview", "Problems")
    refused = browser.run_async("""
        const done = arguments[0];
        const seen = new Set();
        document.addEventListener("securitypolicyviolation", (event) => {
            seen.add(event.effectiveDirective);
            if (seen.size === 3) done([...seen].sort());
        });
        const script = document.createElement("script");
        try { script.textContent = "window.hacked = 1"; } catch { seen.add("refused"); }
        document.body.append(script);
        fetch("http://127.0.0.2:9/").catch(() => {});
        try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); } catch {}
        const style = document.createElement("p");
        style.setAttribute("style", "color: red");
        document.body.append(style);
        setTimeout(() => done([...seen].sort()), 3000);
    """)
    assert "connect-src" in refused
    assert "require-trusted-types-for" in refused
    assert browser.run("return window.hacked === undefined && document.querySelector('body > b') === null")
    assert any("Content Security Policy" in line for line in browser.console())


def test_it_works_by_keyboard(browser: Browser, site: Site) -> None:
    browser.show_as(1280, dark=False)
    show(browser, site, "overview", "Problems")
    browser.press(TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    browser.run("document.querySelector('#views a').focus()")
    for _ in range(10):
        browser.press(TAB)
        if browser.run("return document.activeElement.textContent") == "Hosts":
            break
    browser.press(ENTER)
    browser.wait_for("Hosts, the newest event of each")
    assert browser.run("return document.activeElement.id") == "main"
    browser.press(TAB)
    assert browser.run("return document.activeElement.name") == "q"
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    browser.press(*"client-4999", ENTER)
    browser.wait_for("client-49999.example.com.")
    assert browser.run("return document.querySelectorAll('main tbody tr').length") == 11
    assert browser.console() == []


def test_fifty_thousand_hosts_come_in_pages(browser: Browser, site: Site) -> None:
    show(browser, site, "hosts", "More")
    for pages in (2, 3):
        browser.click("main > div > button")

        def shown(wanted: int = pages) -> bool:
            count: int = browser.run("return document.querySelectorAll('main table').length")
            return count == wanted

        wait_until(shown, "another page")
    found = browser.run(
        "return [...document.querySelectorAll('main tbody td:first-child')].map(e => e.innerText)"
    )
    assert len(found) == len(set(found)) == 150
    show(browser, site, "hosts?q=10.0.195.0/28", "client-49920")
    assert browser.console() == []


def test_a_host_has_its_dns_servers_asked(browser: Browser, site: Site) -> None:
    browser.show_as(320, dark=True)
    show(browser, site, "host?name=h1.example.com.", "What became of its requests")
    browser.click("#dns-now")
    browser.wait_for("cannot be asked for h1.example.com.")  # the scripted server answers updates only
    record = {"name": "h1.example.com.", "type": "DHCID", "data": "0001" * 18, "ttl": 60, "client": "other"}
    answers = [
        {"type": "A", "rcode": "NOERROR", "fault": "", "records": []},
        {"type": "DHCID", "rcode": "NOERROR", "fault": "", "records": [record]},
    ]
    held = {"name": "h1.example.com.", "faults": [], "server": "192.0.2.53 port 53", "answers": answers}
    text = json.dumps(json.dumps({"dns": [held]}))
    browser.run(f"window.fetch = async () => new Response({text})")
    browser.click("#dns-now")
    browser.wait_for("192.0.2.53 port 53 says now")
    assert "none (NOERROR)" in browser.text()
    assert "another client" in browser.text()
    found = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert found[0] <= found[1]
    browser.click("main a[href^='#explain']")
    browser.wait_for("Remove: true or false")
    assert browser.run("return document.querySelector('input[name=name]').value") == "h1.example.com."
    assert browser.console() == []


def test_failures_appear_as_they_happen(browser: Browser, site: Site) -> None:
    show(browser, site, "overview", "Failures since this page is open")
    browser.wait_for("Live.", "#connection")
    site.send("new.refused.example.")
    browser.wait_for("new.refused.example.", "#live")
    assert browser.console() == []


def test_the_last_hour_and_the_button_for_retries(browser: Browser, site: Site) -> None:
    """With a status of which the hour is over, and in which retries wait."""
    browser.show_as(1280, dark=False)
    show(browser, site, "overview", "The last hour")
    browser.run_async("""
        const done = arguments[0];
        import("./overview.js").then(async (overview) => {
            const status = await (await fetch("api/v1/status")).json();
            const numbers = [...Array(60).keys()];
            status.minutes = numbers.map((number) => [60 * number, number % 7, number % 7, number % 3]);
            status.retries.waiting = 5;
            overview.onevent({ status, operate: true, failures: [] }, "status");
            const lines = [...document.querySelectorAll("#chart polyline")].map((line) => line.points.length);
            window.chart = [lines, document.querySelector("#chart svg").getAttribute("aria-label")];
            done();
        });""")
    lines, label = browser.run("return window.chart")
    assert lines == [60, 60]
    assert label == "Requests a minute: 3 received and 2 failed in the last one, at most 6 received."
    browser.click("#again")
    browser.wait_for("Begun again: 0 requests.", "#operations")
    assert browser.console() == []


def test_it_survives_a_restart_of_the_daemon(browser: Browser, site: Site) -> None:
    browser.show_as(1280, dark=False)
    show(browser, site, "zones", "2.0.192.in-addr.arpa.")
    browser.wait_for("Live.", "#connection")
    browser.run("window.same = true")
    directory = site.d2.directory
    site.d2.stop()
    browser.wait_for("Not connected", "#connection")
    site.d2 = D2.start(site.binary, directory, site.whole)
    browser.wait_for("Live.", "#connection")
    browser.wait_for("2.0.192.in-addr.arpa.")
    assert browser.run("return window.same")
    assert [
        line for line in browser.console() if "net::ERR_" not in line
    ] == []  # which says that it was away
    browser.run("location.hash = '#hosts?q=h1'")
    browser.wait_for("h1.example.com.")
    assert browser.console() == []


def test_dead_letters_are_tried_again_and_removed(browser: Browser, site: Site) -> None:
    domain = site.whole["DhcpDdns"]["forward-ddns"]["ddns-domains"][1]
    domain["user-context"] = {"pyd2": {"retry": {"enabled": True, "initial-delay": 3000, "max-delay": 3600}}}
    assert site.d2.command("config-set", site.whole)["result"] == 0
    for name in ("dead1.refused.example.", "dead2.refused.example."):
        site.send(name, **{"lease-expires-on": "20200101000000"})
    wait_until(lambda: site.api("status")["retries"]["waiting"] == 2, "the retries")
    assert site.command("pyd2-retry-now")[1]["result"] == 0
    wait_until(lambda: site.api("status")["queue"]["dead_letters"] == 2, "the dead letters")
    browser.show_as(320, dark=False)
    show(browser, site, "dead-letters", "The newest of 2.")
    assert "add dead1.refused.example. 192.0.2.10" in browser.text()
    browser.click("main tbody tr:first-child button[aria-label^='Try again']")
    browser.wait_for("The newest of 1.")
    browser.click("main tbody button[aria-label^='Remove']")
    browser.wait_for("There is none.")
    assert browser.console() == []
    wait_until(lambda: site.api("status")["retries"]["waiting"] == 1, "the request again")


def test_a_reader_has_no_buttons(browser: Browser, site: Site) -> None:
    browser.send_headers(Authorization=credentials(READER))
    try:
        show(browser, site, "dead-letters", "This socket, or your role, does not allow it.")
        assert "Dead letters" not in browser.text("nav")
        show(browser, site, "host?name=h1.example.com.", "What became of its requests")
        assert browser.run("return document.querySelector('#dns-now')") is None
        assert browser.console() == []
    finally:
        browser.send_headers(Authorization=credentials(OPERATOR))


def test_without_a_script_there_is_the_overview(browser: Browser, site: Site) -> None:
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open("about:blank")
        browser.open(site.address)
        text = browser.devtools("Runtime.evaluate", expression="document.body.innerText")["result"]["value"]
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert "received" in text
    assert "The other views need a script." in text

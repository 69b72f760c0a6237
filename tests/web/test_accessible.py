"""The page by keyboard, in a narrow window, in dark colours, and for a program that reads it aloud.

Without a mouse, and as axe-core judges it, in all views; those of batches, GSS-TSIG, policies and shared
queues included.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.kit.browser import TAB
from tests.kit.waiting import wait_until
from tests.web.browsed import FEW, SIZES, browsed_site, operators_browser, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.browser import Browser
    from tests.web.site import Site

pytestmark = pytest.mark.peers

AXE: Final = Path(__file__).parents[2] / ".axe" / "axe.min.js"
HOSTS: Final = 20
STATUS_OF_SOME: Final = {
    "site": {"name": "site-a", "node": "dhcp1", "server": "", "fault": "", "unacknowledged": 7,
             "oldest_unacknowledged": 65, "state": "standby", "owner": "dhcp2", "waiting": 0, "late": 0},
    "policies": {"asked": 5, "joined": 3, "adopted": 2, "kept": 1},
}
GSS_AND_BATCHES: Final = {
    "gss": {"expires": 0.0, "exchanges": {"success": 0, "timeout": 2, "error": 0}},
    "batches": {"most": 20, "sent": 12, "updates": 230, "questions": 4},
}
"""What only some daemons have; those that have it are in the tests of their subject."""
DEAD_LETTERS: Final = {
    "dead-letters": [{"number": number, "taken": 1.0, "died": 2.0, "reason": "the lease has ended",
                      "request": "add h.example.com. 192.0.2.1"} for number in (2, 1)],
    "total": 2,
}
OF_SOME: Final = ("overview", "servers", "dead-letters")
FOCUSABLE: Final = "a[href], button:not(:disabled), input"


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


@pytest.mark.parametrize("view", FEW)
def test_all_that_can_be_used_is_reached_by_keyboard(browser: Browser, site: Site, view: str) -> None:
    """One after the other in the order of the page, each with a visible outline."""
    browser.show_as(1280, dark=False)
    show(browser, site, view, FEW[view])
    browser.run("""
        const named = (each) => each.getAttribute("href") ?? (each.name || each.id || each.textContent);
        window.named = named;
        window.reached = [];
        document.addEventListener("focusin", ({ target }) => {
            const { outlineStyle, outlineWidth } = getComputedStyle(target);
            window.reached.push([named(target), outlineStyle, outlineWidth]);
        });
        document.activeElement.blur();""")
    wanted = browser.run(f"return [...document.querySelectorAll('{FOCUSABLE}')].map(window.named)")
    browser.press(*([TAB] * len(wanted)))
    reached = browser.run("return window.reached")
    assert set(wanted) <= {name for name, *_ in reached}
    assert {tuple(outline) for _, *outline in reached} == {("solid", "3px")}
    assert browser.console() == []


@pytest.mark.parametrize(
    ("view", "text", "links"),
    [("overview", "More: failures", "#problems a"), ("servers", "k.example.", "main tbody a")],
)
def test_the_focus_survives_what_is_shown_next(
    browser: Browser, site: Site, view: str, text: str, links: str
) -> None:
    """Of links with the same address, too."""
    show(browser, site, view, text)
    last = f"[...document.querySelectorAll('{links}')].pop()"
    wait_until(lambda: browser.run(f"return document.querySelectorAll('{links}').length > 1"), "some links")
    browser.run(f"window.before = {last}; window.before.focus()")
    wait_until(lambda: browser.run("return !window.before.isConnected"), "what is shown next")
    assert browser.run(f"return document.activeElement === {last}")


def show_what_only_some_have(browser: Browser, site: Site, view: str) -> None:
    """Show a view with batches, keys of GSS-TSIG, policies and a shared queue."""
    show(browser, site, "zones", "2.0.192.in-addr.arpa.")

    def answered(answer: Any, text: str) -> None:
        given = json.dumps(json.dumps(answer))
        browser.run(f"window.fetch = async () => new Response({given}); location.hash = '#{view}'")
        browser.wait_for(text)

    if view == "servers":
        found = site.api("servers")
        assert GSS_AND_BATCHES.keys() <= found["servers"][0].keys()
        found["servers"][0] |= GSS_AND_BATCHES
        answered(found, "GSS-TSIG, no usable key")
        assert "12 with 230 updates" in browser.text()
        return
    if view == "dead-letters":
        assert site.command("pyd2-dead-letter-list")[1]["arguments"].keys() == DEAD_LETTERS.keys()
        answered([{"result": 0, "arguments": DEAD_LETTERS}], "The newest of 2.")
        return
    assert STATUS_OF_SOME.keys() <= site.api("status").keys()
    browser.run("""
        const parse = JSON.parse;
        const more = arguments[0];
        JSON.parse = (text) => {
            const value = parse(text);
            return "requests" in value ? { ...value, ...more } : value;
        };
        location.hash = "#overview";""", STATUS_OF_SOME)
    text = "dhcp2 owns it. 7 requests wait for its servers on this machine, the oldest for 1 min"
    browser.wait_for(text, "#counts")
    assert "Policies: 5 names asked for, 3 joined, 2 adopted, 1 kept." in browser.text("#counts")


@pytest.mark.parametrize("view", OF_SOME)
def test_what_only_some_daemons_have(browser: Browser, site: Site, view: str) -> None:
    browser.show_as(320, dark=False)
    show_what_only_some_have(browser, site, view)
    assert browser.run("return document.documentElement.scrollWidth") <= 320
    assert browser.console() == []


@pytest.mark.axe
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_axe_finds_nothing(browser: Browser, site: Site, width: int, dark: bool) -> None:
    script = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=AXE.read_text())

    def violations() -> list[Any]:
        found: list[Any] = browser.run_async("""
            const done = arguments[0];
            const shown = (each) => [each.id, each.impact, each.nodes.map((node) => node.html)];
            axe.run(document, { resultTypes: ["violations"] }).then(
                (found) => done(found.violations.map(shown)), (error) => done([String(error)]));
            """)
        return found

    browser.show_as(width, dark=dark)
    try:
        for view, text in FEW.items():
            show(browser, site, view, text)
            assert violations() == [], view
        for view in OF_SOME:
            show_what_only_some_have(browser, site, view)
            assert violations() == [], view
    finally:
        browser.devtools("Page.removeScriptToEvaluateOnNewDocument", **script)
    browser.console()

"""A daemon whose page a browser shows, with what can be seen in each view, for the tests in Chromium."""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pyd2.history.store import Limits
from tests.history.support import ADD_FAILED, AT, CLIENT, DONE, filled
from tests.kit.browser import Browser
from tests.kit.ports import PortLease
from tests.web.site import HOSTILE, HOSTILE_SHOWN, OPERATOR, Site, credentials, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VIEWS: Final = {
    "overview": "Problems", "hosts": HOSTILE_SHOWN, "host?name=bad.refused.example.": "REFUSED",
    "failures": "The DNS server does not allow this update", "servers": "k.example.",
    "explain?name=h1.example.com.&address=192.0.2.1": "ADDING_FWD_ADDRS",
    "zones": "2.0.192.in-addr.arpa.", "dead-letters": "There is none.",
}  # fmt: skip
FEW: Final = {
    **{view: text for view, text in VIEWS.items() if view not in {"hosts", "failures"}},
    "hosts?q=h": "h5.example.com.", "failures?fault=REFUSED": "bad.refused.example.",
}  # fmt: skip
"""The same views with few entries: axe-core looks at each of them for long."""
SIZES: Final = [(width, dark) for width in (320, 1280) for dark in (False, True)]
"""Width of the window, and whether the user prefers dark colours."""


def old_rows(hosts: int) -> list[tuple[Any, ...]]:
    """Return hosts of the past, some of which have failed."""
    kinds = {number: (DONE if number % 10 else ADD_FAILED) for number in range(hosts)}
    return [
        (AT + number, 0, f"client-{number}.example.com.", ip_address(0x0A000000 + number).packed,
         CLIENT[:3] + number.to_bytes(32, "big"), *kind[5:])
        for number, kind in kinds.items()
    ]  # fmt: skip


@contextmanager
def browsed_site(binary: str, directory: Path, hosts: int) -> Iterator[Site]:
    """Run a daemon with so many hosts of the past, and some of now."""
    filled(directory, old_rows(hosts), Limits(1_000_000, 1 << 30, 10_000))
    queue = {"type": "durable", "directory": str(directory)}
    history = {"enabled": True, "directory": str(directory), "keep-days": 36500}
    with running(binary, directory, page={"web": "operate"}, queue=queue, history=history) as site:
        for number in range(1, 6):
            site.send(f"h{number}.example.com.", f"192.0.2.{number}", **{"reverse-change": True})
        site.send("bad.refused.example.")
        site.send("lost.silent.example.")
        site.send(HOSTILE)
        site.wait_for_events(hosts + 8)
        yield site


@contextmanager
def operators_browser(directory: Path) -> Iterator[Browser]:
    """Run a browser that is known to the daemon as the operator's."""
    with PortLease() as lease, Browser(directory, lease.take()) as browser:
        browser.send_headers(Authorization=credentials(OPERATOR))
        yield browser


def show(browser: Browser, site: Site, view: str, text: str) -> None:
    """Show a view as one does who opens its address."""
    browser.open("about:blank")
    browser.open(f"{site.address}#{view}")
    browser.wait_for(text)

"""The pictures of the documentation: of the page, and of ``pyd2ctl why``.

With the environment variable PICTURES, the folder for them, they are written: docs/web.md names the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.web.browsed import VIEWS, browsed_site, operators_browser, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.browser import Browser
    from tests.web.site import Site

pytestmark = pytest.mark.peers

HOSTS = 20
WIDTH = 900
"""Of the picture of a terminal, in pixels."""


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


def test_the_pictures_of_the_documentation_can_be_made(browser: Browser, site: Site) -> None:
    folder = os.environ.get("PICTURES")
    for name, view, width, dark in (
        ("overview", "overview", 1000, False),
        ("failures", "failures", 1200, True),
        ("narrow", "host?name=bad.refused.example.", 320, False),
    ):
        browser.show_as(width, dark=dark, height=640)
        show(browser, site, view, VIEWS[view])
        browser.wait_for("Live.", "#connection")
        made = browser.picture()
        assert made.startswith(b"\x89PNG")
        if folder:
            Path(folder, f"web-{name}.png").write_bytes(made)


def test_the_picture_of_why_can_be_made(browser: Browser, site: Site) -> None:
    """What ``pyd2ctl why`` prints of the same host, as a terminal shows it."""
    directory = site.whole["DhcpDdns"]["user-context"]["pyd2"]["history"]["directory"]
    name = "bad.refused.example."
    command = [sys.executable, "-m", "pyd2.tools", "why", name, "--directory", directory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Mend:" in done.stdout
    browser.show_as(WIDTH, dark=True)
    browser.open("about:blank")
    height = browser.run("""
        const shown = document.createElement("pre");
        shown.textContent = arguments[0];
        shown.style.cssText = "margin: 0; padding: 16px; font: 14px/1.4 monospace; color: #e6edf3";
        shown.style.whiteSpace = "pre-wrap";
        document.body.style.cssText = "margin: 0; background: #0d1117; overflow: hidden";
        document.body.append(shown);
        return shown.offsetHeight;""", f"$ pyd2ctl why {name} -c /etc/kea/kea-dhcp-ddns.conf\n{done.stdout}")
    browser.show_as(WIDTH, dark=True, height=height)
    made = browser.picture()
    assert made.startswith(b"\x89PNG")
    if folder := os.environ.get("PICTURES"):
        Path(folder, "why.png").write_bytes(made)

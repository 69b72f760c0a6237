"""Chromium without a window, driven over WebDriver by plain HTTP: Debian's chromium and chromium-driver."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from tests.kit.process import Process, find_program
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

TAB = "\ue004"
ENTER = "\ue007"
_KEY_OF_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class BrowserError(AssertionError):
    """The browser refuses a command."""


class Browser:
    """One browser with one page; it keeps its files in a directory."""

    def __init__(self, directory: Path, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        driver = find_program("chromedriver", "chromium-driver")
        env = {
            **os.environ,
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        self._driver = Process([driver, f"--port={port}"], directory, name="chromedriver", env=env)
        try:
            wait_until(self._ready, "chromedriver to answer")
            options = {
                "binary": find_program("chromium", "chromium"),
                "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-extensions",
                    "--disable-component-update",
                    "--lang=en",
                    f"--user-data-dir={directory / 'profile'}",
                ],
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self._driver.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("DELETE", self._session)
        self._driver.stop()

    def _ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise BrowserError(json.load(error)["value"]["message"]) from None

    def _do(self, path: str, body: Any) -> Any:
        return self._ask("POST", self._session + path, body)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Carry out a command of the DevTools protocol."""
        return self._do("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def show_as(self, width: int, *, dark: bool, height: int = 800) -> None:
        """Choose the width of the window, and the colours that the user prefers."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def send_headers(self, **headers: str) -> None:
        """Send headers with each request. Credentials in a URL would forbid the page relative ones."""
        self.devtools("Network.enable")
        self.devtools("Network.setExtraHTTPHeaders", headers=headers)

    def open(self, address: str) -> None:
        """Open a page, and wait until it is loaded."""
        self._do("/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a function body returns in the page."""
        return self._do("/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Return what a function body hands to its last argument, a function."""
        return self._do("/execute/async", {"script": script, "args": list(arguments)})

    def text(self, selector: str = "main") -> str:
        """Return the visible text of an element; empty if there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def wait_for(self, text: str, selector: str = "main") -> None:
        """Wait until an element shows a text."""
        try:
            wait_until(lambda: text in self.text(selector), f"{text!r} in {selector}", 30)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows\n{self.text('body')}\n{self.console()}") from None

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": steps}]})

    def click(self, selector: str) -> None:
        """Click on an element."""
        found = self._do("/element", {"using": "css selector", "value": selector})
        self._do(f"/element/{found[_KEY_OF_ELEMENT]}/click", {})

    def console(self) -> list[str]:
        """Return what the console got since the last call: messages, refused scripts, failed requests."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._do("/se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        """Return the page as PNG."""
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

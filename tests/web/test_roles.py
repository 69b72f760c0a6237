"""Who may see and do what on an HTTP control socket: one table of all that there is.

What is added needs a row: the first two tests fail without it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from pyd2.hooks.gss.commands import Commands
from pyd2.web.files import Files
from pyd2.web.site import Site as Pages
from tests.kit.waiting import wait_until
from tests.web.site import OPERATOR, READER, Site, credentials, running

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "h1.example.com."
READ, ALL = "read", "all"

PAGES: Final = {
    "/": READ,
    "/metrics": READ,
    "/api/v1/status": READ,
    "/api/v1/servers": READ,
    "/api/v1/zones": READ,
    "/api/v1/hosts": READ,
    "/api/v1/hosts/*": READ,
    "/api/v1/hosts/*?dns=1": ALL,
    "/api/v1/failures": READ,
    "/api/v1/history": READ,
    "/api/v1/explain": READ,
    "/api/v1/events": READ,
}
"""By path, the least role that may get it; files of the page, which have no data, are for both."""
PARAMETERS: Final = {"/api/v1/explain": "?name=h.example.com&address=192.0.2.1"}

COMMANDS: Final = {
    "build-report": READ,
    "config-get": READ,
    "config-hash-get": READ,
    "config-reload": ALL,
    "config-set": ALL,
    "config-test": READ,
    "config-write": ALL,
    "list-commands": READ,
    "pyd2-capture-start": ALL,
    "pyd2-capture-stop": ALL,
    "pyd2-dead-letter-list": READ,
    "pyd2-dead-letter-remove": ALL,
    "pyd2-dead-letter-retry": ALL,
    "pyd2-retry-now": ALL,
    "shutdown": ALL,
    "statistic-get": READ,
    "statistic-get-all": READ,
    "statistic-reset": ALL,
    "statistic-reset-all": ALL,
    "status-get": READ,
    "version-get": READ,
}
OF_GSS: Final = {
    "gss-tsig-get": READ,
    "gss-tsig-get-all": READ,
    "gss-tsig-key-del": ALL,
    "gss-tsig-key-expire": ALL,
    "gss-tsig-key-get": READ,
    "gss-tsig-list": ALL,
    "gss-tsig-purge": ALL,
    "gss-tsig-purge-all": ALL,
    "gss-tsig-rekey": ALL,
    "gss-tsig-rekey-all": ALL,
}
"""Those of pyd2's GSS-TSIG, which has the names of Kea's library."""


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon of which everything is on."""
    if not is_pyd2:
        pytest.skip("Kea has no roles")
    directory = tmp_path_factory.mktemp("queue")
    queue = {"type": "durable", "directory": str(directory)}
    page = {"web": "operate", "metrics": True}
    with running(d2_binary, directory, page=page, release="3.0.4", queue=queue, capture=True) as site:
        site.send(NAME)
        site.wait_for_events(1)
        yield site


def test_each_page_has_a_row() -> None:
    loop = asyncio.new_event_loop()
    try:
        made = Pages(loop, cast("Any", None), lambda: None).sources(operate=True)
    finally:
        loop.close()
    files = {f"/{name}" for name in Files().names}
    named = {path for path in PAGES if "?" not in path}
    assert (made.keys() - files) | {"/metrics"} == named


def test_each_command_has_a_row(site: Site) -> None:
    assert set(site.d2.command("list-commands")["arguments"]) == COMMANDS.keys()
    assert Commands(cast("Any", None), lambda: 0.0).table().keys() == OF_GSS.keys()


def status(site: Site, path: str, *headers: str, host: str = "localhost") -> int:
    """Return the status of the answer to a GET, whose body is not waited for: it may never end."""
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall("\r\n".join(head).encode())
        return int(connection.recv(64).split()[1])


@pytest.mark.parametrize("path", [*PAGES, "/page.js", "/page.css"])
def test_a_page_is_for_those_whose_role_has_it(site: Site, path: str) -> None:
    asked = path.replace("*", NAME) + PARAMETERS.get(path, "")
    reader, operator = (f"Authorization: {credentials(client)}" for client in (READER, OPERATOR))
    allowed = PAGES.get(path, READ) == READ
    wait_until(lambda: status(site, asked, operator) == 200, "the operator's answer, not 503 (busy)")
    assert status(site, asked, reader) == (200 if allowed else 403)
    assert status(site, asked) == 401
    assert status(site, asked, "Authorization: Basic eDp5") == 401
    assert status(site, asked, operator, "Sec-Fetch-Site: cross-site") == 403
    assert status(site, asked, operator, host="attacker.example") == 421


@pytest.mark.parametrize("name", [*COMMANDS, *OF_GSS, "no-such-command"])
def test_a_command_is_for_those_whose_role_has_it(site: Site, name: str) -> None:
    role = (COMMANDS | OF_GSS).get(name, ALL)
    assert (site.command(name, READER)[0] == 403) == (role == ALL)
    assert site.command(name.replace("-", "_"), READER)[0] == (403 if role == ALL else 200)


def test_no_other_client_has_a_role(site: Site) -> None:
    for client in (READER | {"password": "x"}, OPERATOR | {"user": "x"}):
        assert site.command("status-get", client)[0] == 401

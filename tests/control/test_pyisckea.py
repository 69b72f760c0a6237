"""pyisckea, a client of Kea's API that operators use, works over HTTP and HTTPS as with the real Kea 3.0."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import kea
from tests.kit.as_kea import as_kea
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.certificates import Certificate

USER, PASSWORD = "admin", "s3cret-Word"
# A process of its own: what it imports warns, and warnings are errors here.
CLIENT = """
import json, ssl, sys
from httpx import BasicAuth, Client
from pyisckea import Kea

asked = json.load(sys.stdin)
context = ssl.create_default_context()
if asked["tls"]:
    authority, certificate, key = asked["tls"]
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
client = Client(verify=context, timeout=60)
server = Kea(asked["url"], auth=BasicAuth(*asked["user"]), client=client)
answers = []
for name, *arguments in asked["calls"]:
    try:
        answers.append(getattr(server.ddns, name)(*arguments).model_dump())
    except Exception as error:
        answers.append(type(error).__name__)
json.dump(answers, sys.stdout)
"""


class Site:
    """Ports, a directory and a configuration for one daemon after the other."""

    def __init__(self, lease: PortLease, directory: Path, files: tuple[Certificate, ...]) -> None:
        authority, server, _ = files
        self.directory = directory
        self.files = files
        self.ports = {"http": lease.take(), "https": lease.take()}
        clients = [{"user": USER, "password": PASSWORD}]
        http = {"authentication": {"type": "basic", "clients": clients}}
        tls = {"trust-anchor": str(authority.cert), "cert-file": str(server.cert),
               "key-file": str(server.key)}
        sockets: list[dict[str, Any]] = [
            CONTROL_SOCKET,
            {"socket-type": "http", "socket-port": self.ports["http"], **http},
            {"socket-type": "https", "socket-port": self.ports["https"], **http, **tls},
        ]
        self.config = config(lease.take(), {"control-sockets": sockets})
        del self.config["DhcpDdns"]["control-socket"]

    def ask(self, scheme: str, *calls: list[Any], password: str = PASSWORD) -> list[Any]:
        """Return what the client gets for its calls, or the names of its errors."""
        authority, _, own = self.files
        asked = {
            "url": f"{scheme}://127.0.0.1:{self.ports[scheme]}", "user": [USER, password], "calls": calls,
            "tls": [str(authority.cert), str(own.cert), str(own.key)] if scheme == "https" else None,
        }
        done = subprocess.run([sys.executable, "-c", CLIENT], input=json.dumps(asked), capture_output=True,
                              text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        assert len(answers) == len(calls)
        return answers

    def ask_all(self, binary: str) -> list[Any]:
        """Return what the client gets for all calls that it has, but those about the build."""
        wrong = {"DhcpDdns": self.config["DhcpDdns"] | {"port": 0}}
        calls: list[list[Any]] = [
            ["list_commands"], ["config_get"], ["config_test", self.config], ["config_test", wrong],
            ["config_set", self.config], ["config_set", wrong], ["config_set", {}], ["config_reload"],
            ["config_write", "written.json"], ["statistic_get", "ncr-received"], ["statistic_get", "none"],
            ["statistic_get_all"],
        ]
        with D2.start(binary, self.directory, self.config):
            answers = [self.ask(scheme, *calls) for scheme in self.ports]
            answers.append(self.ask("http", ["config_get"], password="wrong"))
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", "TIME", json.dumps(answers))
        masked: list[Any] = json.loads(text)
        return masked


@pytest.fixture
def site(files: tuple[Certificate, ...]) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(stack.enter_context(PortLease()), stack.enter_context(private_directory()), files)


@pytest.mark.kea30
@pytest.mark.peers
def test_it_gets_what_it_gets_of_the_real_server(d2_binary: str, tmp_path: Path, site: Site) -> None:
    real = kea.unpacked("3.0")
    theirs = site.ask_all(real.program("kea-dhcp-ddns"))
    assert site.ask_all(as_kea(d2_binary, real.release, tmp_path)) == theirs
    assert {answer["result"] for answers in theirs[:2] for answer in answers} == {0, 1}
    assert theirs[2] == ["KeaUnauthorizedAccessException"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_is_answered(d2_binary: str, tmp_path: Path, site: Site, scheme: str) -> None:
    """Without the real server."""
    with D2.start(as_kea(d2_binary, "3.0.4", tmp_path), site.directory, site.config):
        shown, report, changed, failed = site.ask(
            scheme, ["config_get"], ["build_report"], ["config_set", site.config], ["config_set", {}])
        assert len(shown["arguments"]["DhcpDdns"]["control-sockets"]) == 3
        assert (report["result"], changed["result"]) == (0, 0)
        assert failed == {"result": 1, "text": "Missing mandatory 'DhcpDdns' parameter.", "arguments": None}
        assert site.ask(scheme, ["list_commands"], password="wrong") == ["KeaUnauthorizedAccessException"]

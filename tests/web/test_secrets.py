"""No page, answer, metric, file or log line has a secret: all are searched for, in any spelling."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyd2.history import FILE
from tests.web.site import KEY, OPERATOR, READER, Site, credentials, running
from tests.web.test_roles import COMMANDS, PAGES, PARAMETERS, READ

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_A_FILE: Final = b"Tq7vXw2ZkR9mB4nYc6JdHs8LpFg3KuEa5VtQx1Wz"
PASSWORD_IN_A_FILE: Final = "Passe-partout-77"
FROM_FILE: Final = {"user": "third"}
PIECE: Final = 10
"""So many characters of a secret that follow each other may not be anywhere."""
LOGGER: Final = {
    "name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
    "output-options": [{"output": "stdout"}, {"output": "d2.log", "maxsize": 0}],
}  # fmt: skip


def spellings(secret: bytes) -> set[bytes]:
    """Return pieces of a secret as it may be written: as it is, in hex, in base64 at each of its offsets."""
    texts = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        texts.append(encoded[offset + (offset > 0) :].rstrip(b"="))
    found = set()
    for text in texts:
        size = min(len(text), 2 * PIECE if text in texts[1:3] else PIECE)
        found |= {text[at : at + size] for at in range(len(text) - size)}
    return found


def secrets() -> set[bytes]:
    """Return what nothing may have."""
    found: set[bytes] = set()
    for secret in (base64.b64decode(KEY["secret"]), IN_A_FILE):
        found |= spellings(secret)
    for client in (OPERATOR, READER, FROM_FILE | {"password": PASSWORD_IN_A_FILE}):
        found |= spellings(str(client["password"]).encode())
        known = credentials(client).removeprefix("Basic ").encode()
        found |= {known[at : at + 2 * PIECE] for at in range(len(known) - 2 * PIECE)}
    return found


def secret_in(octets: bytes) -> bytes:
    """Return a piece of a secret with what is around it; empty: there is none."""
    for piece in secrets():
        at = octets.find(piece)
        if at >= 0:
            return octets[max(0, at - 100) : at + 50]
    return b""


def test_a_secret_is_found_however_it_is_written() -> None:
    secret = base64.b64decode(KEY["secret"])
    inside = b"something before " + secret + b" and behind"
    shown = [
        secret, secret[3:17], KEY["secret"].encode(), secret.hex().encode(), secret.hex().upper().encode(),
        *(base64.b64encode(inside[offset:]) for offset in range(3)),
        b"x" + OPERATOR["password"].encode(), credentials(READER).encode(), IN_A_FILE[5:20],
    ]  # fmt: skip
    for octets in shown:
        assert secret_in(octets), octets
    assert not secret_in(b"k.example. hmac-sha256. operator reader third " + json.dumps(COMMANDS).encode())


@pytest.fixture(scope="module")
def site(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon with secrets of all kinds, that has shown and written what it can."""
    if not is_pyd2:
        pytest.skip("Kea shows its secrets to whoever may ask")
    directory = tmp_path_factory.mktemp("history")
    page = {"web": "operate", "metrics": True}
    queue = {"type": "durable", "directory": str(directory)}
    with running(d2_binary, directory, page=page, queue=queue, capture=True) as site:
        (directory / "key").write_text(base64.b64encode(IN_A_FILE).decode())
        (directory / "password").write_text(PASSWORD_IN_A_FILE)
        body = site.whole["DhcpDdns"]
        body["tsig-keys"].append({"name": "f.example.", "algorithm": "HMAC-SHA512",
                                  "secret-file": str(directory / "key")})
        body["forward-ddns"]["ddns-domains"][1]["key-name"] = "f.example."
        clients = body["user-context"]["pyd2"]["http"][0]["authentication"]["clients"]
        clients.append(FROM_FILE | {"password-file": str(directory / "password")})
        body["loggers"] = [LOGGER]
        answer = site.d2.command("config-set", site.whole)
        assert answer["result"] == 0, answer
        assert site.d2.command("pyd2-capture-start", {"file": "capture", "what": "both"})["result"] == 0
        reverse: dict[str, Any] = {"reverse-change": True}
        site.send("h1.example.com.", **reverse)
        site.send("bad.refused.example.")
        site.send("lost.silent.example.")
        site.send("nowhere.example.net.")
        site.wait_for_events(4)
        yield site


def stream(site: Site) -> bytes:
    """Return some seconds of the stream of events, with a failure in it."""
    known = f"Authorization: {credentials(OPERATOR)}"
    head = ["GET /api/v1/events HTTP/1.1", "Host: localhost", known, "", ""]
    found = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall("\r\n".join(head).encode())
        while b"event: status" not in found:
            found += connection.recv(65536)
        site.send("again.refused.example.")
        while b"event: failure" not in found:
            found += connection.recv(65536)
    return found


def shown(site: Site) -> Iterator[tuple[str, bytes]]:
    """Yield all that the daemon shows, by what it is."""
    for path in PAGES:
        asked = path.replace("*", "h1.example.com.") + PARAMETERS.get(path, "")
        if path == "/api/v1/events":
            yield path, stream(site)
            continue
        for client in (OPERATOR, READER):
            status, headers, text = site.get(asked, client)
            yield f"{path} for {client['user']}", f"{status} {headers} {text}".encode()
    yield "OpenMetrics", site.get("/metrics", Accept="application/openmetrics-text")[2].encode()
    for fault in ("zone=x", "fault=REFUSED"):
        yield fault, site.get(f"/api/v1/failures?{fault}")[2].encode()
    for name, role in COMMANDS.items():
        if role == READ:
            yield f"{name} for a reader", json.dumps(site.command(name, READER)).encode()
    yield "config-test", json.dumps(site.command("config-test", READER, **site.whole)).encode()
    yield "a wrong password", site.get("/", READER | {"password": "x"})[2].encode()
    for name in ("status-get", "statistic-get-all", "pyd2-dead-letter-list", "version-get", "build-report"):
        yield f"{name} over the UNIX socket", json.dumps(site.d2.command(name)).encode()


def written(site: Site, directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that the daemon has written, by file."""
    for folder in (directory, site.d2.directory):
        for path in folder.iterdir():
            if path.name not in {"key", "password", "d2.json"} and path.is_file():
                yield str(path.name), path.read_bytes()
    yield "output", site.d2.process.output().encode()


def test_nothing_that_is_shown_or_written_has_a_secret(site: Site) -> None:
    found: dict[str, Any] = dict(shown(site))
    assert sum(len(octets) for octets in found.values()) > 30_000
    assert site.d2.command("pyd2-capture-stop")["result"] == 0
    history = site.whole["DhcpDdns"]["user-context"]["pyd2"]["history"]["directory"]
    files = dict(written(site, Path(history)))
    assert {FILE, "capture", "d2.log"} <= files.keys()
    assert b"k.example." in found["/api/v1/servers for reader"]
    assert b"HTTP_CLIENT_REQUEST_RECEIVED_DETAILS" in files["d2.log"]
    assert b'"reply"' in files["capture"]
    found |= files
    assert {where: piece for where, octets in found.items() if (piece := secret_in(octets))} == {}

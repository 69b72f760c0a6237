"""With GSS-TSIG: no page, answer, metric, capture or log line has a key of the keytab."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.load import Host
from tests.gss.site import ZONE, served, site
from tests.kit.kerberos import Realm, realm
from tests.kit.ports import PortLease
from tests.web.site import Site as Page
from tests.web.test_roles import OF_GSS, PAGES, PARAMETERS
from tests.web.test_secrets import LOGGER, spellings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def kdc() -> Iterator[Realm]:
    with realm() as running:
        yield running


def keys_of(keytab: bytes) -> set[bytes]:
    """Return the keys of a keytab (MIT's format, version 2)."""
    found = set()
    at = 2
    while at + 4 <= len(keytab):
        (size,) = struct.unpack_from(">i", keytab, at)
        at += 4
        if size > 0:
            entry = keytab[at : at + size]
            (count,) = struct.unpack_from(">H", entry)
            inside = 2
            for _ in range(count + 1):
                inside += 2 + struct.unpack_from(">H", entry, inside)[0]
            inside += 4 + 4 + 1 + 2  # type of the name, time, version, type of the key
            (length,) = struct.unpack_from(">H", entry, inside)
            found.add(entry[inside + 2 : inside + 2 + length])
        at += abs(size)
    return found


def test_no_key_is_shown_or_written(d2_binary: str, is_pyd2: bool, kdc: Realm, tmp_path: Path) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no GSS-TSIG of its own")
    keys = keys_of(Path(kdc.client_keytab.removeprefix("FILE:")).read_bytes())
    assert keys
    assert all(len(key) >= 16 for key in keys)
    pieces = {piece for key in keys for piece in spellings(key)}
    host = Host(1, ZONE)
    with PortLease() as lease, served(kdc) as server:
        page = Page()
        page.port, page.client = lease.take(), None
        http = {
            "socket-type": "http", "socket-port": page.port,
            "user-context": {"pyd2": {"web": "operate", "metrics": True}},
        }  # fmt: skip
        own: dict[str, Any] = {
            "http": [http], "capture": True, "history": {"enabled": True, "directory": str(tmp_path)},
        }  # fmt: skip
        body = {"loggers": [LOGGER], "user-context": {"pyd2": own}}
        with site(d2_binary, kdc, server.port, body=body) as here:
            here.wait_for_keys()
            assert here.d2.command("pyd2-capture-start", {"file": "capture", "what": "both"})["result"] == 0
            here.update(host)
            here.gss("rekey-all")
            here.wait_for_keys(2)
            here.update(Host(2, ZONE))
            page.wait_for_events(2)
            found = {
                path: page.get(path.replace("*", host.name) + PARAMETERS.get(path, ""))[2].encode()
                for path in PAGES if path != "/api/v1/events"
            }  # fmt: skip
            for name in (*OF_GSS, "status-get", "statistic-get-all", "config-get"):
                if "-get" in name or name.endswith("-list"):
                    arguments = {"server-id": "bind", "key-name": here.keys()[0]}
                    asked = arguments if name.startswith("gss") else None
                    found[name] = json.dumps(here.d2.command(name, asked)).encode()
            assert here.d2.command("pyd2-capture-stop")["result"] == 0
            for folder in (tmp_path, here.d2.directory):
                found |= {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
            found["output"] = here.d2.process.output().encode()
    assert b"pyd2_gss_key_expiry" in found["/metrics"]
    assert b'"update"' in found["capture"]
    shown = {where for where, octets in found.items() if any(piece in octets for piece in pieces)}
    assert shown == set()

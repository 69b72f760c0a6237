"""A server with compiled libraries and scripted DNS servers: the real one, pyd2, or both in turn."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.kit import kea, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns

from .tkey_server import TkeyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SECRET = "bm90IHZlcnkgc2VjcmV0"
KEYS = {"config.": b"not very secret", "own.": b"0123456789abcdef", "a.": b"not very secret",
        "rolling.": b"today's secret"}
DONE = r"DHCP_DDNS_(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED)"


class Rig(NamedTuple):
    """A server with libraries, two scripted DNS servers, and one that agrees on keys with tkey.cc."""

    d2: D2
    dns: ScriptedDns
    tkey: TkeyServer
    port: int
    dns_ports: tuple[int, int]
    directory: Path
    made: Mapping[str, Any]

    def update(self, count: int) -> None:
        """Send a request and wait until it has come to its end, the count-th of the run."""
        request = ncr.request(f"host{count}.example.com.", "192.0.2.77", f"000101{count:064x}", reverse=False)
        ncr.send(ncr.datagram(request), self.port)
        self.d2.wait_for_log(DONE, count)

    def seen(self) -> list[tuple[str, str, bool]]:
        """Return of each update its server, its key and whether the signature was good."""
        return [(update["server"], *_signature(update)) for update in self.dns.updates()]

    def lines(self) -> list[str]:
        """Return what the log says of hooks and of libraries, and errors; without addresses and durations."""
        entries = log_entries(self.d2.process.stdout(), str(self.directory))
        wanted = re.compile(r"HOOKS_|PROBE_|TKEY_|DHCP_DDNS_(?:CONFIGURED|STATE_MODEL|(?:ADD|REMOVE)_FAILED)")
        return [f"{severity} {logger} {name} {self._plain(text)}" for severity, logger, name, text in entries
                if wanted.match(name)]

    def _plain(self, text: str) -> str:
        text = re.sub(r"0x[0-9a-f]+", "ADDRESS", re.sub(r"\d+\.\d{3} ms", "TIME", text))
        for name, port in (("PORT0", self.dns_ports[0]), ("PORT1", self.dns_ports[1]), ("PORT", self.port)):
            text = re.sub(rf"\b{port}\b", name, text)
        return re.sub(r"Request ID [0-9A-F]+", "Request ID @", text)


def _signature(update: Mapping[str, Any]) -> tuple[str, bool]:
    tsig = update.get("tsig")
    return ("unsigned", True) if tsig is None else (tsig["name"], tsig["mac_valid_over_original_id"])


@contextlib.contextmanager
def rig(binary: str, libraries: list[tuple[Path, Mapping[str, Any] | None]], *,
        user: Mapping[str, Any] | None = None) -> Iterator[Rig]:
    """Start a server; in values `@DIR@` is its directory; `@A@`, `@B@`, `@TKEY@`, `@FREE@` are ports."""
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        directory = stack.enter_context(private_directory())
        port, tkey_port, free, *dns_ports = (lease.take() for _ in range(5))
        dns = stack.enter_context(ScriptedDns({"A": dns_ports[0], "B": dns_ports[1]}))
        dns.set_script([], KEYS)
        tkey = stack.enter_context(TkeyServer(tkey_port, dns.add_key))
        names = {"@DIR@": str(directory), '"@TKEY@"': str(tkey_port), '"@FREE@"': str(free),
                 '"@A@"': str(dns_ports[0]), '"@B@"': str(dns_ports[1])}

        def named(value: Any) -> Any:
            text = json.dumps(value)
            for name, meant in names.items():
                text = text.replace(name, meant)
            return json.loads(text)

        entries = []
        for library, parameters in libraries:
            shutil.copy(library, directory)
            entry: dict[str, Any] = {"library": str(directory / library.name)}
            if parameters is not None:
                entry["parameters"] = named(parameters)
            entries.append(entry)
        servers = [{"ip-address": "127.0.0.1", "port": dns_ports[0], "key-name": "config."},
                   {"ip-address": "127.0.0.1", "port": dns_ports[1]}]
        made = config(port, {
            "tsig-keys": [{"name": "config.", "algorithm": "HMAC-SHA256", "secret": SECRET}],
            "forward-ddns": {"ddns-domains": [{"name": "example.com.", "dns-servers": servers}]},
            # No answer comes too late: even if the machine pauses, nothing is sent again.
            "dns-server-timeout": 20000,
            "hooks-libraries": entries, **named(user or {}),
        }, severity="DEBUG", debuglevel=99)
        (directory / "d2.json").write_text(json.dumps(made))
        d2 = D2(binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
        stack.callback(d2.process.kill)
        d2.wait_for_commands()
        d2.wait_for_listener(port)
        yield Rig(d2, dns, tkey, port, (dns_ports[0], dns_ports[1]), directory, made)


def compare(d2_binary: str, libraries: list[tuple[Path, Mapping[str, Any] | None]],
            scenario: Callable[[Rig], Any], *, user: Mapping[str, Any] | None = None,
            only: Callable[[list[str]], list[str]] = lambda lines: lines) -> Any:
    """Run a scenario on both; return what was seen, which is the same, answers and log included.

    ``only`` takes those lines of the log that are compared.
    """
    real = kea.chosen().program("kea-dhcp-ddns")
    outcomes = []
    for binary in (real, d2_binary):
        with rig(binary, libraries, user=user) as at:
            outcome = scenario(at)
            seen = at.seen()
            assert at.d2.stop() == 0
            outcomes.append((outcome, seen, only(at.lines())))
    wanted, got = outcomes
    assert got[0] == wanted[0]
    assert got[1] == wanted[1]
    assert got[2] == wanted[2]
    return got

"""What happens to a D2 with GSS-TSIG, as scenarios that run in any D2: each returns what is compared.

That are answers, statistics, the DNS server's records, how requests ended, and which messages were logged.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.faults.load import Host, Load
from tests.gss.site import POLICY, REVERSE, ZONE, Site, served, site
from tests.kit import dns_servers
from tests.kit.kerberos import Realm, realm
from tests.kit.normalise import log_entries, mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.kit.dns_servers import DnsServer

SHORT: Final = {"tkey-lifetime": 60, "rekey-interval": 30, "retry-interval": 1}
SHORTEST: Final = {"tkey-lifetime": 8, "rekey-interval": 3, "retry-interval": 1}
MANY: Final = 10_000
TOGETHER: Final = 500
_KEY: Final = re.compile(r"\b\d{1,10}(?=\.sig-)")
_LIFETIME: Final = re.compile(r'("security-context-lifetime": )\d+')


class Daemon(NamedTuple):
    """A D2 to run scenarios in."""

    binary: str
    env: Mapping[str, str] = {}
    """Is added to its environment."""


class Stage:
    """A D2 with its KDC, and what came of a scenario so far."""

    def __init__(self, daemon: Daemon, kdc: Realm) -> None:
        self._daemon = daemon
        self.kdc = kdc
        self.found: dict[str, Any] = {}
        self._keys: dict[str, str] = {}
        self._port = 0

    @contextlib.contextmanager
    def site(self, server_port: int, **more: Any) -> Iterator[Site]:
        """Run the D2."""
        self._port = server_port
        with site(self._daemon.binary, self.kdc, server_port, env=self._daemon.env, **more) as here:
            yield here

    def note(self, label: str, value: Any) -> None:
        """Keep something to be compared, without names, times and ports that differ from run to run."""
        assert label not in self.found
        self.found[label] = _masked(value, self._mask)

    def _mask(self, text: str) -> str:
        text = _KEY.sub(lambda found: self._keys.setdefault(found[0], f"KEY{len(self._keys) + 1}"), text)
        return _LIFETIME.sub(r"\1@N@", mask(text, "@DIR@"))

    def answer(self, here: Site, command: str, **arguments: str) -> dict[str, Any]:
        """Run a command, keep its answer, and return it."""
        given = " ".join(f"{name}={value}" for name, value in arguments.items())
        answer = here.gss(command, **arguments)
        self.note(f"{len(self.found)} gss-tsig-{command} {self._mask(given)}".rstrip(), answer)
        return answer

    def ended(self, here: Site, label: str, *hosts: Host) -> None:
        """Ask for hosts' names, and keep how that ended."""
        here.update(*hosts)
        good = {host.name for host in here.ends.succeeded(hosts)}
        self.note(label, {host.name: host.name in good for host in hosts})

    def close(self, here: Site, server: DnsServer | None, *, statistics: bool = True) -> None:
        """Keep what there is at the end of a scenario."""
        if server is not None:
            self.note("records", sorted([*server.records(ZONE), *server.records(REVERSE)]))
        if statistics:
            self.note("statistics", _statistics(here))
        here.d2.barrier()
        entries = log_entries(here.d2.stdout(), str(here.d2.directory))
        self.note("messages", sorted({f"{severity} {message}" for severity, logger, message, _ in entries
                                      if logger.endswith("gss-tsig-hooks")}))


def _masked(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            change(name): "@N@" if name in {"port", "security-context-lifetime"} else _masked(each, change)
            for name, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


def _statistics(here: Site) -> dict[str, int]:
    """Return the statistics; those of keys as sums, for Kea may sign with an older one than the newest."""
    found: dict[str, int] = {}
    for name, value in here.d2.statistics().items():
        shown = re.sub(r"^key\[.*\]", "key[*]", name)
        found[shown] = found.get(shown, 0) + value
    return {name: value for name, value in found.items()
            if name.startswith(("gss-tsig", "tkey", "server[", "key[", "update"))}


# The scenarios.


def tkey_over_tcp(stage: Stage, protocol: str = "TCP") -> None:
    """A key is agreed on, and signs."""
    with served(stage.kdc) as server, \
            stage.site(server.port, parameters={"tkey-protocol": protocol}) as here:
        here.wait_for_keys()
        stage.ended(here, "ended", Host(1, ZONE), Host(2, ZONE))
        status = here.d2.command("status-get")["arguments"]
        stage.note("status-get", status.get("gss-tsig"))
        stage.close(here, server)


def tkey_over_udp(stage: Stage) -> None:
    """The same over UDP."""
    tkey_over_tcp(stage, "UDP")


def rekey(stage: Stage) -> None:
    """New keys are made by command."""
    with served(stage.kdc) as server, stage.site(server.port) as here:
        here.wait_for_keys()
        stage.ended(here, "before", Host(1, ZONE))
        stage.answer(here, "rekey", **{"server-id": "bind"})
        here.wait_for_keys(2)
        stage.ended(here, "behind", Host(2, ZONE))
        stage.answer(here, "rekey-all")
        here.wait_for_keys(3)
        stage.ended(here, "at the end", Host(3, ZONE))
        stage.answer(here, "list")
        stage.close(here, server)


def rekey_under_load(stage: Stage) -> None:
    """Keys change every few seconds while updates go out, and none is lost."""
    hosts = [Host(number, ZONE) for number in range(800)]
    with served(stage.kdc) as server, stage.site(server.port, parameters=SHORTEST) as here:
        here.wait_for_keys()
        with Load(here.port, (host.request(reverse=True) for host in hosts), 100.0):
            here.ends.wait(len(hosts), 600)
        stage.note("lost", len(hosts) - len(here.ends.succeeded(hosts)))
        numbers = here.d2.statistics()
        stage.note("keys were made", numbers["tkey-success"] >= 3)
        stage.note("errors", [numbers["update-error"], numbers["update-timeout"], numbers["tkey-error"]])
        stage.close(here, server, statistics=False)


def kdc_away_and_back(stage: Stage) -> None:
    """Without a KDC there is no key, and no update; soon after it is back, both are."""
    with served(stage.kdc) as server:
        stage.kdc.process.stop()
        with stage.site(server.port, parameters=SHORT) as here:
            here.wait_for_keys(1, "in error")
            stage.ended(here, "without", Host(1, ZONE))
            stage.note("sent", here.d2.statistics()["tkey-sent"])
            stage.kdc.start()
            here.wait_for_keys()
            stage.ended(here, "with", Host(2, ZONE))
            stage.close(here, server, statistics=False)


def dns_server_away_and_back(stage: Stage) -> None:
    """The same without the DNS server."""
    with served(stage.kdc) as server:
        server.process.stop()
        with stage.site(server.port, parameters=SHORT) as here:
            here.wait_for_keys(1, "in error")
            (one,) = here.gss("get-all")["arguments"]["gss-tsig-servers"]
            stage.note("why", one["keys"][0]["tkey-status"])
            server.start()
            here.wait_for_keys()
            stage.ended(here, "with", Host(1, ZONE))
            stage.close(here, server, statistics=False)


def dns_server_restarted(stage: Stage) -> None:
    """It has forgotten its keys; a new one is made by command."""
    with served(stage.kdc) as server, stage.site(server.port) as here:
        here.wait_for_keys()
        stage.ended(here, "before", Host(1, ZONE))
        server.process.kill()
        for left in server.directory.glob("*.tsigkeys"):
            left.unlink()
        server.start()
        for key in [*here.keys()]:
            here.gss("key-del", **{"key-name": key})
        assert here.gss("rekey", **{"server-id": "bind"})["result"] == 0
        here.wait_for_keys()
        stage.ended(here, "behind", Host(2, ZONE))
        stage.close(here, server)


def expiry(stage: Stage) -> None:
    """A key that has expired does not sign; the next one does."""
    with served(stage.kdc) as server, stage.site(server.port) as here:
        here.wait_for_keys()
        (key,) = here.keys()
        stage.answer(here, "key-expire", **{"key-name": key})
        stage.answer(here, "key-get", **{"key-name": key})
        stage.ended(here, "without", Host(1, ZONE))
        stage.answer(here, "rekey", **{"server-id": "bind"})
        here.wait_for_keys()
        stage.ended(here, "with", Host(2, ZONE))
        stage.answer(here, "purge-all")
        stage.close(here, server)


def fallback(stage: Stage) -> None:
    """Without a key updates go unsigned, if that is asked for."""
    with dns_servers.bind([ZONE, REVERSE]) as server, \
            stage.site(server.port, parameters={"fallback": True}) as here:
        here.wait_for_keys(1, "in error")
        stage.ended(here, "ended", Host(1, ZONE))
        stage.close(here, server)


def no_fallback(stage: Stage) -> None:
    """Without a key no update goes out, by default, and one of an account that may not is refused."""
    with served(stage.kdc, 'grant "other@EXAMPLE.TEST" zonesub ANY;') as server, \
            stage.site(server.port) as here:
        here.wait_for_keys()
        stage.ended(here, "refused", Host(1, ZONE))
        (key,) = here.keys()
        here.gss("key-expire", **{"key-name": key})
        stage.ended(here, "skipped", Host(2, ZONE))
        stage.close(here, server)


def commands(stage: Stage) -> None:
    """Every command, with what it finds and with what it does not."""
    with served(stage.kdc, POLICY) as server, stage.site(server.port) as here:
        here.wait_for_keys()
        (key,) = here.keys()
        named, bind = {"key-name": key}, {"server-id": "bind"}
        stage.answer(here, "get", **bind)
        stage.answer(here, "get-all")
        stage.answer(here, "list")
        stage.answer(here, "key-get", **named)
        for command in ("get", "rekey", "purge"):
            stage.answer(here, command, **{"server-id": "x"})
            stage.answer(here, command, id="bind")
            stage.answer(here, command)
        for command in ("key-get", "key-expire", "key-del"):
            stage.answer(here, command, **{"key-name": "x"})
            stage.answer(here, command, name=key)
            stage.answer(here, command)
        stage.answer(here, "purge-all")
        stage.answer(here, "purge", **bind)
        stage.answer(here, "key-expire", **named)
        stage.answer(here, "key-expire", **named)
        stage.answer(here, "get", **bind)
        stage.answer(here, "purge", **bind)
        stage.answer(here, "list")
        stage.answer(here, "rekey-all")
        here.wait_for_keys()
        (key,) = here.keys()
        stage.answer(here, "key-del", **{"key-name": key})
        stage.answer(here, "get-all")
        stage.close(here, None)


def many(stage: Stage) -> None:
    """Ten thousand requests, five hundred at a time: none is lost."""
    hosts = [Host(number, ZONE) for number in range(MANY)]
    with served(stage.kdc) as server, stage.site(server.port) as here:
        here.wait_for_keys()
        for first in range(0, MANY, TOGETHER):
            here.update(*hosts[first : first + TOGETHER])
        stage.note("lost", MANY - len(here.ends.succeeded(hosts)))
        numbers = here.d2.statistics()
        stage.note("errors", [numbers["update-error"], numbers["update-timeout"]])
        stage.note("signed", numbers["update-signed"])
        stage.note("names", len({owner for owner, *_ in server.records(ZONE)}))
        stage.note("pointers", len({owner for owner, *_ in server.records(REVERSE)}))


SCENARIOS: Final[dict[str, Callable[[Stage], None]]] = {
    scenario.__name__.replace("_", "-"): scenario for scenario in (
        tkey_over_tcp, tkey_over_udp, rekey, rekey_under_load, kdc_away_and_back, dns_server_away_and_back,
        dns_server_restarted, expiry, fallback, no_fallback, commands, many,
    )
}


def play(name: str, daemon: Daemon) -> dict[str, Any]:
    """Run a scenario in a D2 with a KDC of its own; return what is compared."""
    with realm() as kdc:
        stage = Stage(daemon, kdc)
        SCENARIOS[name](stage)
        return stage.found

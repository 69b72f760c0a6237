"""pyd2's own GSS-TSIG with Samba as a domain controller: what works there, and whether all else is explained.

Run by root: ``python -m tests.interop.samba [--dns internal]``, with Samba's own DNS server, and with BIND
and Samba's module (``bind``). Samba, its KDC, pyd2 and this program run in namespaces of their own, so
nothing of the machine changes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

import dns.update

from benchmarks.daemon import end_on_sigterm
from pyd2.dns.constants import rcode_text
from pyd2.dns.reply import parse_reply, read_reply
from pyd2.errors import ReplyError
from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, parse_query
from pyd2.hooks.gss.transport import ask
from pyd2.tools import gss_tsig
from tests.fuzz.ticket_target import keytab
from tests.gss.test_parameters import parse
from tests.kit import ncr, samba
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.history.search import Event
    from tests.kit.samba import DomainController

WITH_DHCID, WITHOUT_DHCID = ncr.MODES[0], ncr.MODES[3]
BINARY = str(Path(sys.executable).with_name("pyd2"))
DHCID = "AAEBIJ48RqkwjaeGLYDcc2sRWLKDGqvpsbNUwIxdgkbYRVo="
TAKES_NONE = "PYD2_SERVER_TAKES_NO_DHCID"
_RETRY = {"enabled": True, "initial-delay": 0.3, "max-delay": 0.5}


class Answer(NamedTuple):
    """What the DNS server answers to an update."""

    rcode: str
    verified: str
    """Empty if it is signed rightly, else what is wrong: ``echo`` is a copy of the update's signature."""


class Account:
    """An account that changes zones by itself, without a daemon."""

    def __init__(self, controller: DomainController, account: str) -> None:
        parameters = parse(parameters_of(controller, account))
        self._server = parameters.servers[0]
        with contextlib.redirect_stdout(io.StringIO()):
            self._key = gss_tsig._agree(self._server, parameters).key

    def update(self, message: dns.update.UpdateMessage) -> Answer:
        """Send an update, signed with a key of the account."""
        now = int(time.time())
        context = self._key.create_context()
        reply = ask(self._server, context.sign(message.to_wire(), message.id, now))
        rcode = rcode_text(parse_reply(reply).rcode)
        try:
            read_reply(reply, context, now)
        except ReplyError as error:
            return Answer(rcode, str(error.reason))
        return Answer(rcode, "")


class Site:
    """The domain controller, and a daemon that updates its zones as the account ``dhcp``."""

    def __init__(self, controller: DomainController, d2: D2, port: int, http_port: int) -> None:
        self.controller, self.d2, self.port, self.http_port = controller, d2, port, http_port

    def use(self, **parameters: Any) -> None:
        """Put a configuration in force with further parameters, and wait for its key."""
        body = body_of(self, **parameters)
        assert self.d2.command("config-set", body)["result"] == 0
        self.wait_for_key()

    def wait_for_key(self) -> None:
        """Wait until there is a usable key."""
        def usable() -> bool:
            servers = self.d2.command("gss-tsig-get-all")["arguments"]["gss-tsig-servers"]
            return any(key["status"] == "usable" for server in servers for key in server["keys"])

        wait_until(usable, "a usable key")

    def send(self, name: str, address: str, mode: str = WITHOUT_DHCID, change: int = ncr.ADD) -> None:
        """Send a request."""
        request = ncr.request(name, address, ncr.dhcid(b"client", name), mode=mode, change=change)
        ncr.send(ncr.datagram(request), self.port)

    def ask(self, name: str, address: str, mode: str = WITHOUT_DHCID, change: int = ncr.ADD) -> Event:
        """Send a request, and return what has become of it at last."""
        before = len(self.events(name))
        self.send(name, address, mode, change)

        def ended() -> Event | None:
            new = self.events(name)[: len(self.events(name)) - before]
            return next((event for event in new if event.result in {"done", "failed"}), None)

        found = wait_until(ended, f"the end of {name} in the history")
        assert found is not None
        return found

    def events(self, name: str) -> list[Event]:
        """Return what the history has of a name, the newest first."""
        try:
            history = History(self.d2.directory / FILE)
        except HistoryError:
            return []
        with contextlib.closing(history):
            return list(history.find(parse_query(name), limit=100))

    def why(self, name: str) -> str:
        """Return what ``pyd2ctl why`` says."""
        return self.tool("why", name, "--directory", str(self.d2.directory))[1]

    def tool(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run pyd2ctl; return its exit status and what it prints."""
        done = subprocess.run([sys.executable, "-m", "pyd2.tools", *arguments], env=os.environ | environment,
                              capture_output=True, text=True, timeout=TIMEOUT, check=False)
        return done.returncode, done.stdout + done.stderr

    @property
    def is_internal(self) -> bool:
        """Whether it is Samba's own DNS server."""
        return self.controller.dns_server == samba.INTERNAL

    def echoes(self) -> float:
        """Return how many replies had a copy of the update's signature, by the metrics."""
        with urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=20) as response:
            lines = response.read().decode().splitlines()
        found = (line for line in lines if line.startswith("pyd2_dns_bad_replies_total{") and "echo" in line)
        return sum(float(line.rpartition(" ")[2]) for line in found)


def parameters_of(controller: DomainController, account: str = "dhcp", **more: Any) -> dict[str, Any]:
    """Return the parameters of the library for an account."""
    return {
        "server-principal": samba.DNS_SERVICE, "client-principal": controller.principal(account),
        "client-keytab": controller.keytab(account),
        "servers": [{"id": "dc1", "ip-address": samba.ADDRESS}], **more,
    }


def body_of(site: Site, **parameters: Any) -> dict[str, Any]:
    """Return the configuration of the daemon."""
    server = {"ip-address": samba.ADDRESS, "port": 53}
    zones = [{"name": zone, "dns-servers": [server]} for zone in (samba.ZONE, samba.REVERSE4, samba.REVERSE6)]
    metrics = {"pyd2": {"metrics": True}}
    shown = {"socket-type": "http", "socket-port": site.http_port, "user-context": metrics}
    own = {"retry": _RETRY, "http": [shown],
           "history": {"enabled": True, "directory": str(site.controller.directory / "d2")}}
    library = {"library": "libddns_gss_tsig.so", "parameters": parameters_of(site.controller, **parameters)}
    return config(site.port, {
        "forward-ddns": {"ddns-domains": zones[:1]}, "reverse-ddns": {"ddns-domains": zones[1:]},
        "dns-server-timeout": 5000, "hooks-libraries": [library], "user-context": {"pyd2": own},
    })


@contextlib.contextmanager
def running(dns_server: str) -> Iterator[Site]:
    """Run the domain controller and the daemon, in the namespaces that this process has."""
    with private_directory() as directory, PortLease() as lease:
        begin = time.monotonic()
        controller = samba.DomainController(directory, dns_server)
        print(f"domain controller: {time.monotonic() - begin:.1f} s", flush=True)
        os.environ.update(controller.environment)
        own = directory / "d2"
        own.mkdir(mode=0o750)
        site = Site(controller, None, lease.take(), lease.take())  # type: ignore[arg-type]
        try:
            with D2.start(BINARY, own, body_of(site), env=controller.environment) as d2:
                site.d2 = d2
                d2.wait_for_listener(site.port)
                site.wait_for_key()
                yield site
        finally:
            controller.stop()
            subprocess.run(["umount", "--lazy", str(directory)], check=False)


# What works.


def names_and_addresses(site: Site) -> None:
    """Addresses of both families and their PTR records: added, replaced, removed, with no DHCID."""
    records = site.controller.records
    numbers = site.d2.statistics()
    assert (numbers["tkey-sent"], numbers["tkey-success"], numbers["tkey-error"]) == (1, 1, 0), numbers
    for kind, first, second, pointers in (
        ("A", "10.77.0.1", "10.77.0.2", [f"{number}.0.{samba.REVERSE4}" for number in (1, 2)]),
        ("AAAA", "2001:db8:77::1", "2001:db8:77::2",
         [f"{number}.{'0.' * 19}{samba.REVERSE6}" for number in (1, 2)]),
    ):
        name = f"{kind.lower()}.{samba.ZONE}"
        assert site.ask(name, first).result == "done"
        assert records(name, kind) == {first}
        assert records(pointers[0], "PTR") == {name}
        assert site.ask(name, second).result == "done"
        assert records(name, kind) == {second}, "the second address takes the place of the first one"
        assert records(pointers[1], "PTR") == {name}
        for address, pointer in ((second, pointers[1]), (first, pointers[0])):
            assert site.ask(name, address, change=ncr.REMOVE).result == "done"
            assert records(pointer, "PTR") == set()
        assert records(name, kind) == set()
    assert site.d2.statistics()["update-error"] == 0


# What does not, and why.


def refusals_by_rcode(site: Site) -> None:
    """Which refusals come with a copy of the update's signature."""
    dhcp, other = (Account(site.controller, account) for account in samba.ACCOUNTS)
    name = f"there.{samba.ZONE}"

    def update(*changes: tuple[Any, ...], account: Account = other, zone: str = samba.ZONE) -> Answer:
        message = dns.update.UpdateMessage(zone)
        for method, *arguments in changes:
            getattr(message, method)(*arguments)
        return account.update(message)

    add, nothing = ("add", name, 300, "A", "10.77.1.1"), ("delete", name, "AAAA")
    found = {
        "added": update(add),
        "name in use": update(("absent", name), add),
        "RRset exists": update(("absent", name, "A"), add),
        "name missing": update(("present", f"none.{samba.ZONE}"), nothing),
        "RRset missing": update(("present", name, "AAAA"), nothing),
        "DHCID added": update(("add", f"dhcid.{samba.ZONE}", 300, "DHCID", DHCID)),
        "DHCID required": update(("present", name, "DHCID", DHCID), nothing),
        "record of another account": update(("replace", name, 300, "A", "10.77.1.2"), account=dhcp),
        "zone of another server": update(("add", "a.b.test.", 300, "A", "10.77.1.1"), zone="b.test."),
    }
    # What pyd2 asks with (update/drive/dhcid_support.py); the second time there is a tombstone of the name.
    probe = f"pyd2-probe.{samba.ZONE}"
    for kind, data in (("DHCID", DHCID), ("A", "10.77.1.1"), ("AAAA", "2001:db8:77::1"), ("A", "10.77.1.1")):
        what = f"{kind} added and removed{', again' if f'{kind} added and removed' in found else ''}"
        found[what] = update(("absent", probe), ("add", probe, 0, kind, data), ("delete", probe, kind))
        assert site.controller.records(probe, kind) == set()
    for what, answer in found.items():
        print(f"    {what:26} {answer.rcode:10} {answer.verified or 'signed rightly'}")
    echo = "echo" if site.is_internal else ""
    assert found == {
        "added": Answer("NOERROR", ""),
        "name in use": Answer("YXDOMAIN", echo),
        "RRset exists": Answer("YXRRSET", echo),
        "name missing": Answer("NXDOMAIN", ""),
        "RRset missing": Answer("NXRRSET", echo),
        "DHCID added": Answer("NOTIMP" if site.is_internal else "SERVFAIL", echo),
        "DHCID required": Answer("NOTIMP" if site.is_internal else "NXRRSET", echo),
        "record of another account": Answer("REFUSED", echo),
        "zone of another server": Answer("NOTAUTH", ""),
        "DHCID added and removed": Answer("NOTIMP" if site.is_internal else "SERVFAIL", echo),
        "A added and removed": Answer("NOERROR", ""),
        "AAAA added and removed": Answer("NOERROR", ""),
        "A added and removed, again": Answer("NOERROR", ""),
    }
    assert site.controller.records(name, "A") == {"10.77.1.1"}


def a_record_of_another_account(site: Site) -> None:
    """The daemon may not change it: the log and ``why`` say why, and name both cures."""
    name = f"there.{samba.ZONE}"
    site.send(name, "10.77.1.2")
    event = wait_until(lambda: next(iter(site.events(name)), None), f"{name} in the history")
    assert event is not None
    assert (event.result, event.fault) == ("retrying", "echo" if site.is_internal else "REFUSED"), event
    said = site.why(name)
    assert "one account for all DHCP servers" in said, said
    assert "DnsUpdateProxy" in said, said
    if site.is_internal:
        site.d2.wait_for_log("PYD2_GSS_TSIG_ECHO .* with REFUSED, .*use one account for all DHCP servers")
        assert site.echoes() >= 1


def updates_with_dhcids(site: Site) -> None:
    """The server is recognised as one that cannot hold them, and such updates are not tried for ever."""
    for number in range(8):
        site.send(f"dhcid{number}.{samba.ZONE}", f"10.77.2.{number}", WITH_DHCID)
    site.d2.wait_for_log(TAKES_NONE)
    if site.is_internal:
        site.d2.wait_for_log("PYD2_GSS_TSIG_ECHO .* with NOTIMP, .*Samba takes no DHCID")
    event = site.ask(f"dhcid9.{samba.ZONE}", "10.77.2.9", WITH_DHCID)
    assert (event.result, event.fault) == ("failed", "no-dhcid"), event
    assert "no-check-without-dhcid" in site.why(f"dhcid9.{samba.ZONE}")

    def others_ended() -> bool:
        newest = [next(iter(site.events(f"dhcid{number}.{samba.ZONE}")), None) for number in range(8)]
        return all(event is not None and event.result == "failed" for event in newest)

    wait_until(others_ended, "the end of all requests that nothing helps")
    assert site.ask(f"plain.{samba.ZONE}", "10.77.2.10").result == "done"


def refusals_that_are_believed(site: Site) -> None:
    """With ``ignore-bad-direction`` the rcode of such a refusal counts."""
    site.use(**{"ignore-bad-direction": True})
    before = site.echoes()
    name = f"there.{samba.ZONE}"
    site.send(name, "10.77.1.2")
    wait_until(lambda: any(event.fault == "REFUSED" for event in site.events(name)), f"{name} with REFUSED")
    assert "DnsUpdateProxy" in site.why(name)
    site.d2.wait_for_log("GSS_TSIG_IGNORED_BAD_DIRECTION|pyd2 believes it, as ignore-bad-direction asks")
    event = site.ask(f"believed.{samba.ZONE}", "10.77.3.1", WITH_DHCID)
    assert (event.result, event.note) == ("failed", f"NOTIMP from {samba.ADDRESS} port:53"), event
    assert "no-check-without-dhcid" in site.why(f"believed.{samba.ZONE}")
    assert site.echoes() == before
    assert site.ask(f"believed.{samba.ZONE}", "10.77.3.1").result == "done"
    site.use()


# pyd2ctl gss-tsig check.


def _check(site: Site, environment: dict[str, str] | None = None, **parameters: Any) -> tuple[int, str]:
    file = site.controller.directory / "check.json"
    file.write_text(json.dumps(body_of(site, **parameters)))
    return site.tool("gss-tsig", "check", str(file), **(environment or {}))


def the_check_in_good_order(site: Site) -> None:
    """All is well; and it says that the server takes no DHCIDs."""
    status, said = _check(site)
    assert status == 0, said
    assert said.count("  ok ") == 5, said
    assert f"credentials of {site.controller.principal('dhcp')}" in said
    assert said.count("no-check-without-dhcid") == 1, said


def the_check_of_what_is_wrong(site: Site) -> None:
    """Each fault in plain words."""
    controller = site.controller
    nowhere, ghost = (controller.directory / f"{name}.keytab" for name in ("nowhere", "ghost"))
    ghost.write_bytes(keytab(samba.REALM, ("ghost",)))
    controller.change_password("other")
    faketime = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    rows: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
        ("keytab missing", {"client-keytab": f"FILE:{nowhere}"}, {}, f"{nowhere} does not exist"),
        ("keytab of another", {"client-principal": controller.principal("ghost")}, {},
         "has no key of client-principal"),
        ("keytab too old",
         {"client-principal": controller.principal("other"), "client-keytab": controller.keytab("other")}, {},
         "export the keytab again"),
        ("principal unknown",
         {"client-principal": controller.principal("ghost"), "client-keytab": f"FILE:{ghost}"}, {},
         "the realm has no such account"),
        ("service wrong", {"server-principal": f"DNS/none.ad.example.test@{samba.REALM}"}, {}, "setspn -L"),
        ("ticket too short", {"tkey-lifetime": 90000, "rekey-interval": 80000}, {}, "a key needs 25 h 0 min"),
    ]
    if faketime is None:
        print("    clock: not checked, as faketime is not installed")
    else:
        rows.append(("clock", {}, {"LD_PRELOAD": str(faketime), "FAKETIME": "-20m"}, "set both by NTP"))
    for what, parameters, environment, words in rows:
        status, said = _check(site, environment, **parameters)
        last = said.strip().splitlines()[-1].strip()
        print(f"    {what:20} {last}")
        assert words in said, said
        assert status == 1, said


CHECKS: dict[str, tuple[Callable[[Site], None], ...]] = {
    samba.INTERNAL: (
        names_and_addresses, refusals_by_rcode, a_record_of_another_account, updates_with_dhcids,
        refusals_that_are_believed, the_check_in_good_order, the_check_of_what_is_wrong,
    ),
    samba.BIND: (
        names_and_addresses, refusals_by_rcode, a_record_of_another_account, updates_with_dhcids,
        the_check_in_good_order,
    ),
}


def inside(dns_server: str) -> int:
    """Run all checks in the namespaces that this process has; return the exit status."""
    begin = time.monotonic()
    failed = []
    with running(dns_server) as site:
        for check in CHECKS[dns_server]:
            started = time.monotonic()
            try:
                check(site)
            except Exception:
                failed.append(check.__name__)
                traceback.print_exc()
            outcome = "FAIL" if check.__name__ in failed else "ok"
            print(f"{outcome:4} {check.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        if failed:
            print(site.d2.process.output()[-6000:])
        assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()
    passed = len(CHECKS[dns_server]) - len(failed)
    seconds = time.monotonic() - begin
    print(f"{dns_server}: {passed} passed, {len(failed)} failed, {seconds:.1f} s", flush=True)
    return 1 if failed else 0


def main() -> int:
    """Run the checks, each time in namespaces of their own."""
    servers = {"internal": samba.INTERNAL, "bind": samba.BIND}
    parser = argparse.ArgumentParser(prog="python -m tests.interop.samba", description=__doc__)
    parser.add_argument("--dns", choices=servers, help="only this DNS server (default: both)")
    parser.add_argument("--inside", choices=servers.values(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside)
    chosen = [servers[options.dns]] if options.dns else [*servers.values()]
    commands = (samba.in_namespaces("-m", "tests.interop.samba", "--inside", one) for one in chosen)
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())

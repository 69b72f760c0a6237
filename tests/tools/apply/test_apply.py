"""pyd2ctl apply: with a running daemon, requests on their way, and DNS servers that answer or do not."""

from __future__ import annotations

import contextlib
import io
import json
import re
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from pyd2.tools.apply import command as command_module
from pyd2.tools.cli import main
from tests.docs.test_docs import BLOCK, DOCS, whole_example
from tests.kit import ncr
from tests.kit.as_kea import as_kea
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import find_program
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = "example.com."
SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_SECRET = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
WATCH = ("--watch", "0.5")
PATIENT: dict[str, Any] = {"dns-server-timeout": 20000}
"""Where no reply may be late, however busy the machine is."""


@dataclass
class Site:
    """A daemon, the DNS server that it uses, and a port where none is."""

    d2: D2
    port: int
    dns_port: int
    dead: int
    directory: Path

    def body(self, at: int | None = None, /, **members: Any) -> dict[str, Any]:
        """Return a configuration with one zone at a DNS server, which is the usual one by default."""
        server = {"ip-address": "127.0.0.1", "port": at or self.dns_port}
        domains = {"ddns-domains": [{"name": ZONE, "dns-servers": [server]}]}
        return config(self.port, {"dns-server-timeout": 40, "forward-ddns": domains} | members)

    def file(self, body: dict[str, Any], name: str = "new.json") -> str:
        path = self.directory / name
        path.write_text("# a comment\n" + json.dumps(body, indent=1))
        return str(path)

    def apply(self, body: dict[str, Any], *options: str) -> int:
        return main(["apply", self.file(body), "--to", str(self.d2.socket), *options])

    @contextlib.contextmanager
    def process(self, timeout: int,
                before_it: float) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
        """Apply a dns-server-timeout in a process of its own; give it with its output and errors.

        It watches for ``before_it`` seconds before, and for ever afterwards.
        """
        code = ("import sys; from pyd2.tools.apply import command; from pyd2.tools.cli import main; "
                f"command.MOST_BEFORE = {before_it}; sys.exit(main(sys.argv[1:]))")
        file = self.file(self.body(**{"dns-server-timeout": timeout}))
        argv = [sys.executable, "-c", code, "apply", file, "--to", str(self.d2.socket), "--watch", "100000"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                yield process, process.stdout, process.stderr
            finally:
                process.kill()

    def hash(self) -> str:
        found: str = self.d2.command("config-hash-get")["arguments"]["hash"]
        return found

    def timeout(self) -> int:
        """Return the dns-server-timeout in force."""
        found: int = self.d2.command("config-get")["arguments"]["DhcpDdns"]["dns-server-timeout"]
        return found

    @contextlib.contextmanager
    def requests(self) -> Iterator[None]:
        """Send requests while the block lasts."""
        end = threading.Event()

        def send() -> None:
            number = 0
            while not end.wait(0.01):
                number += 1
                name = f"h{number}.{ZONE}"
                ask = ncr.request(name, "192.0.2.1", ncr.dhcid(b"me", name), reverse=False, mode=ncr.MODES[3])
                ncr.send(ncr.datagram(ask), self.port)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


@contextlib.contextmanager
def running(binary: str, **members: Any) -> Iterator[Site]:
    with PortLease() as lease, private_directory() as directory:
        site = Site.__new__(Site)
        site.port, site.dns_port, site.dead = lease.take(), lease.take(), lease.take()
        site.directory = directory
        with ScriptedDns({"A": site.dns_port}), D2.start(binary, directory, site.body(**members)) as site.d2:
            site.d2.wait_for_listener(site.port)
            yield site
            if Path(binary).name == "kea-dhcp-ddns":
                site.d2.process.kill()  # it may not end while transactions are active (contract, section 12)


@pytest.fixture(scope="module", params=["pyd2", pytest.param("kea", marks=pytest.mark.peers)])
def binary(request: pytest.FixtureRequest, d2_binary: str) -> str:
    """Each of the two daemons."""
    return d2_binary if request.param == "pyd2" else find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server")


@pytest.fixture(scope="module")
def unchanged(binary: str) -> Iterator[Site]:
    """A daemon for the tests after which it has the configuration of before."""
    with running(binary) as site:
        yield site


@pytest.fixture
def site(unchanged: Site) -> Iterator[Site]:
    before = unchanged.hash()
    yield unchanged
    assert unchanged.hash() == before


def test_a_configuration_comes_into_force(binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(binary, **PATIENT) as site, site.requests():
        body = site.body(**{"dns-server-timeout": 20001})
        assert site.apply(body, *WATCH) == 0
        assert site.timeout() == 20001
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert lines[:2] == ["~ dns-server-timeout: 20000 -> 20001", "set; watching for 0.5 s"]
        assert re.fullmatch(r"in force: [1-9]\d* updates sent, \d+ timeouts, \d+ errors in 0\.5 s", lines[2])
        assert lines[3].startswith("not written: unless ")
        assert (len(lines), err) == (4, "")
        assert site.apply(body, *WATCH) == 0
        assert "new.json changes nothing in the configuration that runs\n" in capsys.readouterr().out


def test_it_goes_back_when_updates_get_no_reply(binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(binary) as site, site.requests():
        before = site.hash()
        assert site.apply(site.body(site.dead), *WATCH) == 1
        assert site.hash() == before
        out, err = capsys.readouterr()
        dead = re.escape(f"forward-ddns > ddns-domains {ZONE} > dns-servers 127.0.0.1 port {site.dead}")
        assert re.search(rf"^\+ {dead}: {{ ", out, re.MULTILINE)
        assert re.search(r"^pyd2ctl apply: going back: \d+ of \d+ updates got no reply or a wrong one: ", err)
        assert err.endswith("\npyd2ctl apply: the earlier configuration is in force again\n")


def test_it_stays_where_it_was_no_better_before(d2_binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with PortLease() as lease, running(d2_binary) as site, site.requests():
        other = lease.take()
        assert site.d2.command("config-set", site.body(site.dead))["result"] == 0
        # By then no update is under way to the server that answered.
        wait_until(lambda: site.d2.statistics()["update-timeout"] > 50, "the dead server's timeouts")
        assert site.apply(site.body(other), *WATCH) == 0
        assert re.search(r"in force: [1-9]\d* updates sent, [1-9]\d* timeouts", capsys.readouterr().out)


def test_requests_that_fail_count_where_the_daemon_tells(
    d2_binary: str, is_pyd2: bool, capsys: pytest.CaptureFixture[str],
) -> None:
    """Kea counts a reply as a success whatever its RCODE; pyd2 with retries says what became of requests."""
    if not is_pyd2:
        pytest.skip("only pyd2 says what became of requests")
    own = PATIENT | {"user-context": {"pyd2": {"failover": {"enabled": True}}}}
    with running(d2_binary, **own) as site, site.requests():
        body = site.body(**own)
        body["DhcpDdns"]["forward-ddns"]["ddns-domains"][0]["name"] = "example.net."
        assert site.apply(body, *WATCH) == 1
        assert re.search(r"going back: \d+ of \d+ requests failed; before: 0 of ", capsys.readouterr().err)


def test_without_updates_it_says_that_nothing_was_seen(d2_binary: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    with running(d2_binary) as site:
        assert site.apply(site.body(site.dead), *WATCH) == 0
        assert f"\n{command_module.NOTHING_SEEN}\n" in capsys.readouterr().out


def test_a_configuration_that_is_refused(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    body = site.body()
    body["DhcpDdns"]["forward-ddns"]["ddns-domains"][0]["key-name"] = "unknown."
    assert site.apply(body, *WATCH) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyd2ctl apply: nothing was set: the daemon refuses the configuration: ")
    here = r"^here: .*undefined key: unknown\. \(.*new\.json:\d+:\d+\)$"
    assert re.search(here, err, re.MULTILINE), err


def test_files_that_are_no_configuration(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.apply({"DhcpDdns": {"prot": 1}}) == 1
    assert 'nothing was set: ' in (err := capsys.readouterr().err)
    assert err.endswith('; instead: write "port"\n')
    assert main(["apply", "/no/such/file", "--to", str(site.d2.socket)]) == 1
    assert "/no/such/file" in capsys.readouterr().err


def test_a_daemon_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    socket = str(tmp_path / "socket")
    assert main(["apply", "x", "--to", socket]) == 1
    assert capsys.readouterr().err == (
        f"pyd2ctl apply: no answer to version-get from {socket}: No such file or directory: nothing was set\n"
    )


def test_a_dry_run(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.apply(site.body(**{"dns-server-timeout": 50, "port": site.dead}), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "~ dns-server-timeout: 40 -> 50", f"~ port: {site.port} -> {site.dead}", "tested only: 2 changes",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_goes_back(site: Site, number: signal.Signals) -> None:
    before = site.hash()
    with site.process(50, before_it=1000) as (process, out, err):
        assert out.readline() == "~ dns-server-timeout: 40 -> 50\n"
        process.send_signal(number)
        assert process.wait(60) == 1
        assert err.read() == "pyd2ctl apply: interrupted: nothing was set\n"
    assert site.hash() == before
    with site.process(50, before_it=0) as (process, out, err):
        assert out.readline() == "~ dns-server-timeout: 40 -> 50\n"
        assert out.readline() == "set; watching for 100000 s\n"
        assert site.timeout() == 50
        process.send_signal(number)
        assert process.wait(60) == 1
        assert err.read() == ("pyd2ctl apply: going back: interrupted\n"
                              "pyd2ctl apply: the earlier configuration is in force again\n")


class GoesAway(io.StringIO):
    """An output that ends when it reads that the configuration is set."""

    def write(self, text: str) -> int:
        if "set;" in text:
            raise BrokenPipeError("gone")
        return super().write(text)


def test_a_terminal_that_goes_away_goes_back(site: Site, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", GoesAway())
    assert site.apply(site.body(**{"dns-server-timeout": 50}), "--watch", "0.1") == 1
    assert "going back: gone\n" in capsys.readouterr().err


def test_a_daemon_that_dies_meanwhile(d2_binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = {"name": "k.", "algorithm": "HMAC-SHA256", "secret": SECRET}
    with running(d2_binary, **{"tsig-keys": [key]}) as site:
        def kill() -> None:
            wait_until(lambda: site.timeout() == 50, "the new configuration")
            site.d2.process.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        body = site.body(**{"dns-server-timeout": 50, "tsig-keys": [key]})
        assert site.apply(body, "--watch", "1000") == 3
        thread.join()
        err = capsys.readouterr().err
        assert "going back: no answer to statistic-get-all from " in err
        found = re.search(r"COULD NOT GO BACK: .*\. The earlier configuration is in (\S+), with its", err)
        assert found is not None, err
        kept = Path(found[1])
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        saved = json.loads(kept.read_text())["DhcpDdns"]
        kept.unlink()
        assert (saved["dns-server-timeout"], saved["tsig-keys"][0]["secret"]) == (40, SECRET)


def test_it_is_written_where_that_is_asked_for(binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(binary) as site:
        file = site.directory / "d2.json"
        assert site.apply(site.body(**{"dns-server-timeout": 50}), "--watch", "0.1") == 0
        assert json.loads(file.read_text())["DhcpDdns"]["dns-server-timeout"] == 40
        assert site.apply(site.body(**{"dns-server-timeout": 60}), "--watch", "0.1", "--write") == 0
        assert json.loads(file.read_text())["DhcpDdns"]["dns-server-timeout"] == 60
        assert "onfiguration written to d2.json successful" in capsys.readouterr().out


def test_secrets_are_not_shown(d2_binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    def keys(*secrets: str) -> dict[str, Any]:
        return {"tsig-keys": [{"name": f"k{number}.", "algorithm": "HMAC-SHA256", "secret": secret}
                              for number, secret in enumerate(secrets)]}

    with running(d2_binary, **keys(SECRET)) as site:
        assert site.apply(site.body(**keys(OTHER_SECRET, SECRET)), "--watch", "0.1") == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[:2] == [
            "~ tsig-keys k0. > secret (not shown: it is secret)",
            ('+ tsig-keys k1.: { "algorithm": "HMAC-SHA256", "name": "k1.", '
             '"secret": "*****" }'),
        ]
        assert SECRET not in out + err
        assert OTHER_SECRET not in out + err


def test_a_daemon_that_hides_its_secrets(d2_binary: str, is_pyd2: bool,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    if not is_pyd2:
        pytest.skip("only pyd2 can hide them")
    members: dict[str, Any] = {"user-context": {"pyd2": {"redact-secrets": True}},
                               "tsig-keys": [{"name": "k.", "algorithm": "HMAC-SHA256", "secret": SECRET}]}
    with running(d2_binary, **members) as site, site.requests():
        before = site.hash()
        body = site.body(site.dead, **members)
        assert site.apply(body, *WATCH) == 1
        assert "nothing was set: the daemon hides its secrets" in capsys.readouterr().err
        assert site.hash() == before
        back = site.file(site.body(**members), "back.json")
        assert site.apply(body, *WATCH, "--back", back) == 1
        assert "the earlier configuration is in force again" in capsys.readouterr().err
        assert site.hash() == before


def test_the_socket_that_it_uses_must_stay(binary: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(binary) as site:
        before = site.hash()
        other = {"control-socket": CONTROL_SOCKET | {"socket-name": "other.sock"}}
        assert site.apply(site.body(**other), *WATCH) == 1
        assert f"closes or changes {site.d2.socket}" in capsys.readouterr().err
        assert site.hash() == before
        assert site.apply(site.body(**other), "--watch", "0") == 0
        assert "in force, and not watched\n" in capsys.readouterr().out
        wait_until((site.directory / "other.sock").exists, "the other socket")


def test_the_example_of_the_documentation(d2_binary: str, capsys: pytest.CaptureFixture[str],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """With the socket of a daemon of the tests, and a shorter time."""
    page = (DOCS / "pyd2ctl.md").read_text().partition("\n## apply\n")[2].partition("\n## ")[0]
    (_, _, example), = BLOCK.findall(page)
    (change, _), (command, expected) = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example, re.MULTILINE)
    assert command == "pyd2ctl apply new.conf"
    with PortLease() as lease, private_directory() as directory:
        monkeypatch.chdir(directory)
        text = whole_example().replace("53001", str(lease.take()))
        Path("kea-dhcp-ddns.conf").write_text(text.replace("kea-ddns-ctrl-socket", "d2.sock"))
        subprocess.run(change, shell=True, check=True)
        with D2.start(d2_binary, directory, Path("kea-dhcp-ddns.conf").read_text()) as d2:
            assert main(["apply", "new.conf", "--to", str(d2.socket), "--watch", "0.2"]) == 0
    found = capsys.readouterr().out.replace(f"{command_module.NOTHING_SEEN}\n", "")
    assert re.sub(r"\d+ updates", "120 updates", found) == expected.replace("10 s\n", "0.2 s\n")


@pytest.fixture(scope="module")
def d2_3_0(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> str:
    if not is_pyd2:
        pytest.skip("the installed Kea has no HTTP sockets")
    return as_kea(d2_binary, "3.0.4", tmp_path_factory.mktemp("as-kea"))


@pytest.mark.parametrize("kind", ["http", "https"])
def test_over_http(d2_3_0: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clients = [{"user": "admin", "password": "s3cret-Word"}]
    socket: dict[str, Any] = {"socket-type": kind, "authentication": {"type": "basic", "clients": clients}}
    options: list[str] = []
    if kind == "https":
        authority = make_authority(tmp_path)
        own = make_certificate(tmp_path, authority, "IP:127.0.0.1")
        socket |= {"trust-anchor": str(authority.cert), "cert-file": str(own.cert), "key-file": str(own.key)}
        options = ["--ca", str(authority.cert), "--cert", str(own.cert), "--key", str(own.key)]
    good, wrong = tmp_path / "good", tmp_path / "wrong"
    good.write_text("admin:s3cret-Word\n")
    wrong.write_text("admin:wrong")
    with PortLease() as lease, private_directory() as directory:
        site = Site.__new__(Site)
        site.port, site.dns_port, site.directory = lease.take(), lease.take(), directory
        port = lease.take()

        def body(**members: Any) -> dict[str, Any]:
            sockets = [CONTROL_SOCKET, socket | {"socket-port": port}]
            whole = site.body(**{"control-sockets": sockets}, **members)
            del whole["DhcpDdns"]["control-socket"]
            return whole

        with D2.start(d2_3_0, directory, body()) as site.d2:
            url = f"{kind}://127.0.0.1:{port}"
            file = site.file(body(**{"dns-server-timeout": 50}))
            base = ["apply", file, "--to", url, "--watch", "0.1", *options]
            assert main([*base, "--credentials", str(wrong)]) == 1
            assert "HTTP status 401 Unauthorized: nothing was set" in capsys.readouterr().err
            assert main([*base, "--credentials", str(good)]) == 0
            out, err = capsys.readouterr()
            assert out.splitlines()[0] == "~ dns-server-timeout: 40 -> 50"
            assert err == ""
            assert site.timeout() == 50
            clients[0]["password"] = "an0ther-Word"
            site.file(body())
            assert main([*base, "--credentials", str(good)]) == 1
            out, err = capsys.readouterr()
            assert "closes or changes http" in err
            assert "Word" not in out + err

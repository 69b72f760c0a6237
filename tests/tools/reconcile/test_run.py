"""pyd2ctl reconcile with a running daemon and a DNS server: reports, repairs, brakes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyd2.ncr import ChangeType
from pyd2.tools.cli import main
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.reconcile.channel import Channel
from pyd2.tools.reconcile.daemon import Daemon
from pyd2.tools.reconcile.difference import Kind
from pyd2.tools.reconcile.dns_reader import DnsReader
from pyd2.tools.reconcile.repair import Repair
from pyd2.tools.requests import Sender, encode, request
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import find_program
from tests.kit.waiting import wait_until
from tests.tools.reconcile.made import DHCP4, DHCP6, FORWARD, HEADER6, REVERSE, put, row4, row6
from tests.tools.reconcile.station import Station, station
from tests.tools.reconcile.test_lease_commands import LEASE, answer_all

ROOT = Path(__file__).parents[3]
ONE, TWO = "h1.example.com.", "h2.example.com."


def five_leases(made: Station) -> None:
    """The example of docs/reconcile.md."""
    made.leases(*(row4(f"192.0.2.1{number}", number, f"h{number}.example.com.") for number in range(1, 6)))
    for number in (1, 5):
        made.name(f"h{number}.example.com.", number, f"192.0.2.1{number}")
    made.name("h3.example.com.", 3, "192.0.2.99")
    put(made.port, FORWARD, "h4.example.com. 3600 A 192.0.2.14")
    for number in (1, 3, 4):
        made.pointer(f"192.0.2.1{number}", number, f"h{number}.example.com.")
    made.name("old.example.com.", 40, "192.0.2.40")
    made.pointer("192.0.2.41", 41, "gone.example.com.")


def test_the_example_of_the_docs(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    before = made.records(ttl=True)
    assert made.compare("--kea", "2.6") == 1
    assert made.records(ttl=True) == before, "without --repair nothing is changed"
    shown = re.findall(r"^```console\n\$ pyd2ctl reconcile .*\n((?s:.*?))^```$",
                       (ROOT / "docs" / "reconcile.md").read_text(), re.MULTILINE)
    assert capsys.readouterr().out == shown[0]


def test_every_class_has_a_row_in_the_docs() -> None:
    page = (ROOT / "docs" / "reconcile.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| ", page.partition("## The classes")[2], re.MULTILINE)
    assert rows == list(Kind)


def test_equal(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.name(ONE, 1, "192.0.2.11")
    made.pointer("192.0.2.11", 1, ONE)
    assert made.compare() == 0
    zones = "example.com., 2.0.192.in-addr.arpa."
    expected = f"1 leases want records; 2 names in {zones} have a DHCID\nleases and records are equal\n"
    assert capsys.readouterr() == (expected, "")


def test_json(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    assert made.compare("--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == dict.fromkeys(map(str, Kind), 0) | {
        "missing": 1, "missing-ptr": 2, "wrong-address": 1, "unguarded": 1, "stale": 1, "orphan-ptr": 1}
    (missing,) = (one for one in report["differences"] if one["class"] == "missing")
    assert (missing["name"], missing["address"], missing["lease"]["reverse"]) == (TWO, "192.0.2.12", True)
    assert "repair" not in report


def test_odd_octets_are_shown(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE), row4("192.0.2.12", 2, "a..b"))
    file = made.directory / "leases.csv"
    file.write_bytes(file.read_bytes().replace(b"a..b", b"a..\xff\x1b"))
    assert made.compare("--json") == 1
    shown = capsys.readouterr()
    (note,) = json.loads(shown.out)["notes"]
    assert "192.0.2.12: no request can be made for its hostname: duplicate period in a..\\udcff" in note
    assert "\x1b" not in shown.err


def test_zones_can_be_chosen(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    assert made.compare("--json", "--zone", "EXAMPLE.com") == 1
    report = json.loads(capsys.readouterr().out)
    found = {kind for kind, count in report["counts"].items() if count}
    assert found == {"missing", "wrong-address", "unguarded", "stale"}
    assert made.compare("--zone", "example.net") == 2
    assert "--zone example.net: the daemon does not change it" in capsys.readouterr().err


def test_queries_find_what_leases_name(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    with (made.directory / "leases.csv").open("a") as file:
        file.write(row4("192.0.2.40", 40, "old.example.com.", age=9000) + "\n")
    assert made.compare("--query", "--json", "--rate", "100000") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == dict.fromkeys(map(str, Kind), 0) | {
        "missing": 1, "missing-ptr": 2, "wrong-address": 1, "unguarded": 1, "stale": 1}


def test_all_is_mended_and_taken_back(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    before = made.records(ttl=True)
    classes = "missing,missing-ptr,wrong-address,stale,orphan-ptr"
    assert made.compare("--repair", classes, "--json", "--undo", "taken.back") == 1, "unguarded is left"
    report = json.loads(capsys.readouterr().out)
    assert {kind for kind, count in report["counts"].items() if count} == {*classes.split(","), "unguarded"}
    assert (len(report["repair"]["mended"]), report["repair"]["undo-file"]) == (6, "taken.back")
    assert made.compare("--json") == 1
    left = json.loads(capsys.readouterr().out)["counts"]
    assert {kind for kind, count in left.items() if count} == {"unguarded"}
    assert not [record for record in made.records() if record.startswith(("old.", "40.", "41."))]
    nsupdate = find_program("nsupdate", "bind9-dnsutils")
    done = subprocess.run([nsupdate, "taken.back"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert made.records(ttl=True) == before
    assert Path("taken.back").stat().st_mode & 0o777 == 0o640


def test_what_goes_with_a_name_is_taken_back_too(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.name("a\\032b\\;.example.com.", 40, "192.0.2.40")
    made.pointer("192.0.2.40", 40, "a\\032b\\;.example.com.")
    put(made.port, FORWARD, 'a\\032b\\;.example.com. 60 TXT "by; hand" two',
        "a\\032b\\;.example.com. 61 MX 5 Other.example.com.")
    put(made.port, REVERSE, f"40.{REVERSE} 62 TXT note")
    before = made.records(ttl=True)
    for more in ((), ("--query",)):
        if more:
            with (made.directory / "leases.csv").open("a") as file:
                file.write(row4("192.0.2.40", 40, "a b;.example.com.", age=9000) + "\n")
        undo = f"taken{len(more)}.back"
        assert made.compare("--repair", "stale", "--undo", undo, "--rate", "100000", *more) == 1
        assert "mended 1, not mended 0" in capsys.readouterr().out
        assert made.records() == set()
        nsupdate = find_program("nsupdate", "bind9-dnsutils")
        done = subprocess.run([nsupdate, undo], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert made.records(ttl=True) == before


def test_the_way_back_from_dual_stack(
    d2_binary: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    policy = {"user-context": {"pyd2": {"policy": {"dual-stack": "per-family"}}}}
    with station(d2_binary, policy) as made:
        monkeypatch.setenv("KEA_CONTROL_SOCKET_DIR", str(made.directory))
        monkeypatch.chdir(made.directory)
        made.leases(row4("192.0.2.11", 1, ONE), row4("192.0.2.12", 2, TWO))
        row = row6("2001:db8::11", 1, ONE).replace(",1,1,h1", ",1,0,h1")
        (made.directory / "six.csv").write_text("\n".join([HEADER6, row, ""]))
        (made.directory / "dhcp6.conf").write_text(json.dumps(DHCP6))
        for number, name in ((1, ONE), (2, TWO)):
            made.name(name, number, f"192.0.2.1{number}")
            made.pointer(f"192.0.2.1{number}", number, name)
        of_kea = made.records()
        six = ["--leases6", "six.csv", "--dhcp6", "dhcp6.conf"]
        assert made.compare(*six) == 1
        assert f"missing       {ONE} 2001:db8::11" in capsys.readouterr().out
        assert made.compare(*six, "--repair", "missing") == 0
        assert made.compare(*six) == 0
        assert made.compare(*six, "--repair", "single-dhcid", "--max-remove", "100%") == 0
        assert made.records() == of_kea


def test_only_what_is_asked_for_is_mended(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    five_leases(made)
    before = made.records()
    assert made.compare("--repair", "stale") == 1
    assert "mended 1, not mended 0, skipped 0, left 0" in capsys.readouterr().out
    assert {record.split()[0] for record in before - made.records()} == {"old.example.com."}


def test_more_removals_than_the_limit(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    for number in range(40, 44):
        made.name(f"s{number}.example.com.", number, f"192.0.2.{number}")
    options = ["--yes-so-few", "1", "--repair", "stale", "--json", "--max-remove"]
    assert made.compare(*options, "3") == 2
    shown = capsys.readouterr()
    assert "1 removals are left: the limit is reached" in shown.err
    assert json.loads(shown.out)["repair"]["left"] == 1
    assert sum(" A " in record for record in made.records()) == 1
    assert made.compare(*options, "50%") == 2, "of one name, none"
    assert made.compare(*options, "100%") == 1, "the lease has no records"


def test_a_lease_that_comes_before_its_turn(made: Station, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.name(ONE, 1, "192.0.2.11")
    made.pointer("192.0.2.11", 1, ONE)
    made.name(TWO, 2, "192.0.2.12")
    run = Repair.run

    def after_a_lease(self: Repair, *arguments: object) -> object:
        with (made.directory / "leases.csv").open("a") as file:
            file.write(row4("192.0.2.12", 2, TWO) + "\n")
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Repair, "run", after_a_lease)
    assert made.compare("--repair", "stale") == 1
    assert f"skipped: stale         {TWO} 192.0.2.12: there is a lease again" in capsys.readouterr().out
    assert any(record.startswith(f"{TWO} A ") for record in made.records())
    assert not list(made.directory.glob("*.undo"))


def test_a_lease_that_comes_after_the_removal(made: Station, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.name(ONE, 1, "192.0.2.11")
    made.pointer("192.0.2.11", 1, ONE)
    made.name(TWO, 2, "192.0.2.12")
    remove = Daemon.remove

    def before_a_lease(self: Daemon, *arguments: object) -> None:
        remove(self, *arguments)  # type: ignore[arg-type]
        with (made.directory / "leases.csv").open("a") as file:
            file.write(row4("192.0.2.12", 2, TWO) + "\n")

    monkeypatch.setattr(Daemon, "remove", before_a_lease)
    assert made.compare("--repair", "stale") == 1
    assert "there is a lease again: its records were added" in capsys.readouterr().out
    assert {f"{TWO} A 192.0.2.12", f"12.2.0.192.in-addr.arpa. PTR {TWO}"} <= made.records()


def test_records_that_change_before_their_turn(made: Station, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.pointer("192.0.2.11", 1, ONE)
    run = Repair.run

    def after_a_change(self: Repair, *arguments: object) -> object:
        made.name(ONE, 2, "192.0.2.99")
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Repair, "run", after_a_change)
    assert made.compare("--repair", "missing") == 1
    assert "the records have changed" in capsys.readouterr().out
    assert f"{ONE} A 192.0.2.99" in made.records()


# Brakes.


def test_no_lease_came(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases()
    made.name(ONE, 1, "192.0.2.11")
    assert made.compare("--repair", "stale") == 2
    assert "has no lease that is held, so every name would look stale" in capsys.readouterr().err
    assert made.compare("--yes-so-few", "0") == 1


def test_too_few_leases(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    for number in range(40, 43):
        made.name(f"s{number}.example.com.", number, f"192.0.2.{number}")
    assert made.compare() == 2
    assert "1 leases are fewer than half of the 3 names with a DHCID" in capsys.readouterr().err
    assert made.compare("--yes-so-few", "2") == 2
    assert made.compare("--yes-so-few", "1") == 1


def test_leases_of_one_family_do_not_stand_for_those_of_the_other(
    made: Station, capsys: pytest.CaptureFixture[str],
) -> None:
    """A lease file of DHCPv4 that was lost is seen beside many leases of DHCPv6."""
    made.leases(row4("192.0.2.11", 1, ONE))
    rows = [row6(f"2001:db8::{number}", number, f"h{number}.example.com.") for number in range(1, 10)]
    (made.directory / "six.csv").write_text("\n".join([HEADER6, *rows, ""]))
    (made.directory / "dhcp6.conf").write_text(json.dumps(DHCP6))
    six = ["--leases6", str(made.directory / "six.csv"), "--dhcp6", str(made.directory / "dhcp6.conf")]
    for number in range(40, 43):
        made.name(f"s{number}.example.com.", number, f"192.0.2.{number}")
    assert made.compare(*six) == 2
    assert "1 leases are fewer than half of the 3 names with a DHCID and A records" in capsys.readouterr().err
    assert made.compare(*six, "--yes-so-few", "10") == 1


def test_names_of_other_servers_need_no_leases(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    for number in range(5):
        made.name(f"o{number}.example.com.", number, f"198.51.100.{number}")
    assert made.compare("--json") == 1
    assert json.loads(capsys.readouterr().out)["counts"]["outside"] == 5


def test_rows_that_cannot_be_read(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE), "192.0.2.12,broken")
    made.name(TWO, 2, "192.0.2.12")
    assert made.compare() == 1
    assert "leases.csv:3: it has 2 columns instead of 12" in capsys.readouterr().err
    assert made.compare("--repair", "stale") == 2
    assert "1 leases could not be read" in capsys.readouterr().err
    assert any(record.startswith(TWO) for record in made.records())


def test_reservations_in_a_database(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    dhcp4 = {"Dhcp4": {**DHCP4["Dhcp4"], "hosts-database": {"type": "mysql"}}}
    made.leases(row4("192.0.2.11", 1, ONE), dhcp=dhcp4)
    assert made.compare("--repair", "orphan-ptr") == 2
    assert "reservations in a hosts database" in capsys.readouterr().err
    assert made.compare("--repair", "missing,missing-ptr") == 0


def test_a_daemon_at_work(made: Station, monkeypatch: pytest.MonkeyPatch,
                          capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    monkeypatch.setattr(Daemon, "waiting", lambda _: 3)
    assert made.compare() == 1
    assert "note: the daemon is at work" in capsys.readouterr().err
    assert made.compare("--repair", "missing") == 2
    assert "the daemon is at work (3 requests or updates)" in capsys.readouterr().err


def test_a_daemon_that_does_not_run(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    made.d2.stop()
    assert made.compare("--repair", "missing") == 2
    assert "no answer to status-get" in capsys.readouterr().err
    assert made.compare() == 1


def test_a_daemon_that_cannot_be_asked(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    file = made.directory / "d2.json"
    whole = json.loads(file.read_text())
    del whole["DhcpDdns"]["control-socket"]
    file.write_text(json.dumps(whole))
    assert made.compare("--repair", "missing") == 2
    assert "the daemon has no control socket that reconcile can use" in capsys.readouterr().err
    assert made.records() == set()


@pytest.mark.parametrize("state", [1, 2, 3, 4])
def test_a_lease_that_is_declined_reclaimed_released_or_registered(
    made: Station, capsys: pytest.CaptureFixture[str], state: int,
) -> None:
    """It is not held; its name is not stale before its time is over: a request may be on its way."""
    made.leases(row4("192.0.2.11", 1, ONE, age=9000, state=state), row4("192.0.2.12", 2, TWO, state=state),
                row4("192.0.2.13", 3, "h3.example.com."))
    for number, name in ((1, ONE), (2, TWO), (3, "h3.example.com.")):
        made.name(name, number, f"192.0.2.1{number}")
        made.pointer(f"192.0.2.1{number}", number, name)
    assert made.compare("--json", "--yes-so-few", "1") == 1
    report = json.loads(capsys.readouterr().out)
    assert [(one["class"], one["name"]) for one in report["differences"]] == [("stale", ONE)]


def test_a_page_that_fails(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.name(ONE, 1, "192.0.2.11")
    page = {"result": 0, "arguments": {"leases": [LEASE]}}
    answers = [{"result": 0, "arguments": DHCP4}, page, {"result": 1, "text": "the database is away"}]
    thread = answer_all(made.directory / "kea", answers)
    assert made.reconcile("--leases4", "unix:kea", "--repair", "stale") == 2
    thread.join()
    assert "lease4-get-page failed: the database is away" in capsys.readouterr().err
    assert any(record.startswith(ONE) for record in made.records())


def test_a_transfer_of_an_older_zone(made: Station, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    serial = DnsReader._serial
    monkeypatch.setattr(DnsReader, "_serial", lambda self, zone: serial(self, zone) + 1)
    assert made.compare() == 2
    assert re.search(r"the zone transfer has the serial 1, which is older than 2", capsys.readouterr().err)


def test_a_transfer_that_is_cut_in_the_middle(
    made: Station, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """The server hangs up behind the first kilobytes: half a zone is no zone."""
    made.leases(row4("192.0.2.11", 1, ONE))
    for number in range(40, 90):
        made.name(f"s{number}.example.com.", number, f"192.0.2.{number}")
    before = made.records()

    class CutShort(socket.socket):
        left = 3000

        def recv(self, size: int, *flags: int) -> bytes:
            octets = super().recv(min(size, max(self.left, 1)), *flags) if self.left > 0 else b""
            self.left -= len(octets)
            return octets

    def make(family: int, kind: int, *more: Any) -> socket.socket:
        return (CutShort if kind == socket.SOCK_STREAM else socket.socket)(family, kind, *more)

    monkeypatch.setattr("dns.query.socket_factory", make)
    assert made.compare("--repair", "missing,stale", "--yes-so-few", "1") == 2
    monkeypatch.undo()
    shown = capsys.readouterr()
    assert f"{FORWARD}: 127.0.0.1:" in shown.err
    assert "zone transfer: EOF" in shown.err
    assert shown.out == ""
    assert made.records() == before


def test_a_daemon_that_ends_during_the_repair(made: Station, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    add = Daemon.add

    def after_its_end(self: Daemon, *arguments: object) -> None:
        made.d2.process.kill()
        add(self, *arguments)  # type: ignore[arg-type]

    made.leases(row4("192.0.2.11", 1, ONE))
    monkeypatch.setattr(Daemon, "add", after_its_end)
    assert made.compare("--repair", "missing", "--undo", "back") == 2
    assert "; what was changed until then is in back" in capsys.readouterr().err
    assert (made.directory / "back").exists()


def test_an_undo_file_that_is_there(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    before = made.records()
    assert made.compare("--repair", "missing", "--undo", "leases.csv") == 2
    assert "leases.csv: File exists: without the undo file nothing is changed" in capsys.readouterr().err
    assert made.records() == before


def test_two_runs_in_a_second_have_two_undo_files(made: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.tools.reconcile.command.time.strftime", lambda *_: "reconcile-now")
    (made.directory / "reconcile-now.undo").write_text("of the run before")
    made.leases(row4("192.0.2.11", 1, ONE))
    assert made.compare("--repair", "missing") == 1, "missing-ptr is left"
    assert (made.directory / "reconcile-now.undo").read_text() == "of the run before"
    assert (made.directory / "reconcile-now-2.undo").stat().st_size



def test_the_same_source_twice(made: Station, capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    assert made.compare("--dhcp4", "dhcp4.conf") == 2
    assert "192.0.2.0/25 and 192.0.2.0/25 overlap" in capsys.readouterr().err
    (made.directory / "other.conf").write_text(json.dumps({"Dhcp4": {"subnet4": []}}))
    sources = ["--dhcp4", "other.conf", "--leases4", "leases.csv", "--leases4", "leases.csv"]
    assert made.compare(*sources) == 2
    assert "192.0.2.11 is leased by both leases.csv and leases.csv" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "reason"), [
    ([], "no source of leases"),
    (["--leases4", "leases.csv"], "a lease file does not say the subnets"),
    (["--leases4", "pgsql://kea@127.0.0.1/kea"], "a database does not say the subnets"),
    (["--dhcp4", "mysql.conf"], "mysql.conf: its lease-database has no name"),
    (["--dhcp4", "dhcp4.conf", "--leases4", "a", "--leases4", "b"], "2 --leases4 and 1 --dhcp4"),
    (["--dhcp4", "dhcp4.conf", "--axfr-key", "k"], "there is no such key"),
    (["--dhcp4", "dhcp4.conf", "--http-auth", "none"], "none: No such file"),
    (["--leases4", "unix:none"], "unix:none: no answer to config-get"),
])
def test_what_is_wrong_is_said(made: Station, options: list[str], reason: str,
                               capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    (made.directory / "mysql.conf").write_text('{"Dhcp4": {"lease-database": {"type": "mysql"}}}')
    assert made.reconcile(*options) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--repair", "outside"], ["--max-remove", "101%"], ["--max-remove", "-1"],
                                    ["--rate", "0"], ["--grace", "x"]])
def test_wrong_options(option: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["reconcile", "d2.json", *option])
    assert caught.value.code == 2


def test_a_dns_server_that_is_away(made: Station, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    made.leases(row4("192.0.2.11", 1, ONE))
    text = (made.directory / "d2.json").read_text().replace(FORWARD, "example.net.")
    (made.directory / "d2.json").write_text(text)
    assert made.compare() == 2
    assert "example.net.: 127.0.0.1:" in capsys.readouterr().err


@pytest.mark.parametrize("switches", [{}, {"user-context": {"pyd2": {"retry": {"enabled": True}}}}],
                         ids=["statistics", "status"])
def test_the_daemon_says_whether_it_is_idle(d2_binary: str, switches: dict[str, Any]) -> None:
    """By its statistics, or by the status that a switch adds."""
    with PortLease() as ports, private_directory() as directory, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = ports.take()
        servers = [{"ip-address": "127.0.0.1", "port": silent.getsockname()[1]}]
        body = {"forward-ddns": {"ddns-domains": [{"name": FORWARD, "dns-servers": servers}]},
                "dns-server-timeout": 10000, **switches}
        with D2.start(d2_binary, directory, config(port, body)) as d2, \
                Sender(Endpoint("127.0.0.1", port)) as sender:
            d2.wait_for_listener(port)
            daemon = Daemon(Channel(f"unix:{directory}/d2.sock", "d2"), sender)
            wait_until(lambda: daemon.waiting() == 0, "an idle daemon")
            sender.send(encode(request(ChangeType.ADD, ONE, "192.0.2.11", "00", reverse=False)))
            silent.recv(4096)
            assert daemon.waiting() == 1
            assert not daemon.wait_until_idle(0)
            d2.process.kill()


def test_a_daemon_with_retries_is_not_idle(d2_binary: str, is_pyd2: bool) -> None:
    """Only its status shows them: all updates that the statistics count have ended."""
    if not is_pyd2:
        pytest.skip("Kea tries nothing again")
    with PortLease() as ports, private_directory() as directory, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = ports.take()
        servers = [{"ip-address": "127.0.0.1", "port": silent.getsockname()[1]}]
        retry = {"enabled": True, "initial-delay": 3600, "max-delay": 3600}
        body = {"forward-ddns": {"ddns-domains": [{"name": FORWARD, "dns-servers": servers}]},
                "dns-server-timeout": 10, "user-context": {"pyd2": {"retry": retry}}}
        with D2.start(d2_binary, directory, config(port, body)) as d2, \
                Sender(Endpoint("127.0.0.1", port)) as sender:
            d2.wait_for_listener(port)
            channel = Channel(f"unix:{directory}/d2.sock", "d2")
            sender.send(encode(request(ChangeType.ADD, ONE, "192.0.2.11", "00", reverse=False)))
            wait_until(lambda: ((channel.command("status-get") or {})["pyd2"]["requests"]["queued"]) == 1,
                       "a request that is tried again")
            assert Daemon(channel, sender).waiting() == 1

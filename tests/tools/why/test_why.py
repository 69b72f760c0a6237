"""``pyd2ctl why`` and ``pyd2ctl history``, on files that a store has written."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pyd2.history import search
from pyd2.tools import kea
from pyd2.tools.cli import main
from pyd2.tools.why import command
from tests.history.support import ADD_FAILED, AT, DONE, GIVEN_UP, filled

if TYPE_CHECKING:
    from pathlib import Path


def why(*arguments: str) -> int:
    return main(["why", *arguments])


def test_a_story_begins_with_what_came_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path, [ADD_FAILED, DONE])
    assert why("host.example.com.", "--directory", str(tmp_path)) == 0
    text = capsys.readouterr().out
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "@TIME@", text)
    assert text == (
        "host.example.com.\n"
        "  @TIME@  add    192.0.2.10  done  192.0.2.53 port:53  2.5 ms\n"
        "      client 000101AAAAAAAA0000000000000000000000, check-with-dhcid: forward done, PTR done\n"
        "  @TIME@  add    192.0.2.10  FAILED  NXRRSET  192.0.2.53 port:53  1.0 ms\n"
        "      client 000101AAAAAAAA0000000000000000000000, check-with-dhcid: forward not done, PTR not "
        "done\n"
        "      NXRRSET from 192.0.2.53 port:53\n"
        "      Why:  The name belongs to another client, whose DHCID it has; or it was entered by hand and "
        "has no "
        "DHCID.\n"
        "      Mend: If the name is to be this client's, remove it from the zone with its DHCID; the "
        "client gets it "
        "with its next request. Else give one of the two clients another name. If one host comes by DHCPv4 "
        "and DHCPv6 with different identifiers, set the policy dual-stack; if it comes with several in one "
        "family (a boot loader), set ddns-conflict-resolution-mode check-exists-with-dhcid for its subnet: "
        "then clients can take names from each other. If names without DHCID are left over from another DHCP "
        "server, set the policy adopt for a while.\n"
    )
    assert why("192.0.2.10", "--file", str(path), "--limit", "1") == 0


def test_the_exit_status_says_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, [DONE, GIVEN_UP])
    assert why("host", "--directory", str(tmp_path)) == 1
    assert "GIVEN UP" in capsys.readouterr().out
    assert why("stranger", "--directory", str(tmp_path)) == 2
    assert "nothing is known of stranger\nthe history has 2 requests since" in capsys.readouterr().err


def test_json_has_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, [ADD_FAILED])
    assert why("host*", "--directory", str(tmp_path), "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["fault"], event["step"], event["tries"]) == ("NXRRSET", "REPLACING_FWD_ADDRS", 1)
    assert event["why"].startswith("The name belongs to another client")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["x", "--directory", "@DIR@/none"],
            "pyd2ctl why: there is no history at @DIR@/none/pyd2-history.sqlite3",
        ),
        (["192.0.2.0/99", "--directory", "@DIR@"], "pyd2ctl why: '192.0.2.0/99' does not appear to be"),
        (["x", "--file", "@DIR@/text"], "pyd2ctl why: @DIR@/text cannot be read: file is not a database"),
    ],
)
def test_what_cannot_be_found_is_said(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("text " * 1000)
    assert why(*(each.replace("@DIR@", str(tmp_path)) for each in arguments)) == 2
    assert text.replace("@DIR@", str(tmp_path)) in capsys.readouterr().err


def test_a_configuration_names_the_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, [DONE])
    config = tmp_path / "d2.json"
    own = {"history": {"enabled": True, "directory": str(tmp_path)}}
    config.write_text(json.dumps({"DhcpDdns": {"user-context": {"pyd2": own}}}))
    assert why("host", "-c", str(config)) == 0
    assert main(["history", "count", "-c", str(config)]) == 0
    assert "1 request\nthe oldest from 2026-" in capsys.readouterr().out


def test_the_packaged_configuration_is_the_usual_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path, [DONE])
    config = tmp_path / "d2.json"
    monkeypatch.setattr(kea, "PACKAGED_CONFIG", str(config))
    own = {"history": {"enabled": True, "directory": str(tmp_path)}}
    config.write_text(json.dumps({"DhcpDdns": {"user-context": {"pyd2": own}}}))
    assert why("host") == 0
    assert why("stranger") == 2
    assert f": {path}\n" in capsys.readouterr().err  # which one that is
    monkeypatch.setattr(command, "DIRECTORY", str(tmp_path))
    for text in ("no configuration", json.dumps({"DhcpDdns": {}})):
        config.write_text(text)
        assert why("host") == 0  # that of the default directory


def test_what_is_known_of_several_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each host comes once, as does each reason, and says what follows the mend."""
    other = (*ADD_FAILED[:2], "other.example.com.", *ADD_FAILED[3:11], "k.example.", *ADD_FAILED[12:])
    removal = (AT, 4, *ADD_FAILED[2:7], "timeout", "REMOVING_FWD_ADDRS", *ADD_FAILED[9:])
    filled(tmp_path, [removal, ADD_FAILED, DONE, other, ADD_FAILED])
    assert why("192.0.2.0/24", "--directory", str(tmp_path)) == 1
    shown = capsys.readouterr().out.splitlines()
    hosts = [line for line in shown if not line.startswith(" ")]
    assert hosts == ["host.example.com.", "", "other.example.com."]
    assert sum(line.startswith("      Why:  The name belongs") for line in shown) == 1
    assert shown.count("      Why, and mend: as for host.example.com.") == 1
    assert sum("check-with-dhcid, key k.example.: forward not done" in line for line in shown) == 1
    then = [line for line in shown if line.startswith("      Then: ")]
    assert len(then) == 2
    assert all("lease4-resend-ddns" in line for line in then)
    filled(tmp_path, [removal])
    assert why("host", "--directory", str(tmp_path), "--limit", "1") == 1
    assert "      Then: The removal is not made again." in capsys.readouterr().out


def test_a_host_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path, [DONE, ADD_FAILED, (*DONE[:2], "other.example.com.", *DONE[3:])])
    assert b"host.example" in path.read_bytes()
    assert main(["history", "forget", "host.example.com.", "--directory", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 requests removed\n"
    assert why("host", "--directory", str(tmp_path)) == 2
    assert why("other", "--directory", str(tmp_path)) == 0
    assert not any(b"host.example" in file.read_bytes() for file in tmp_path.iterdir())
    assert main(["history", "forget", "x", "--file", str(tmp_path / "none")]) == 1


def test_what_a_reader_keeps_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that began before: it sees what was there then, which stays in the file for that long."""
    monkeypatch.setattr(search, "WAIT", 0.05)
    path = filled(tmp_path, [DONE])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM segments").fetchall()
        assert main(["history", "forget", "host", "--file", str(path)]) == 1
        assert "1 request removed, but another program reads the history" in capsys.readouterr().err
    assert main(["history", "forget", "host", "--file", str(path)]) == 0
    assert not any(b"host.example" in file.read_bytes() for file in tmp_path.iterdir())


def test_the_limit_is_a_number_of_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, [DONE])
    for limit in ("0", "-1"):
        with pytest.raises(SystemExit):
            why("host", "--directory", str(tmp_path), "--limit", limit)
    assert "at least 1" in capsys.readouterr().err

"""The end-to-end benchmark: what it takes to be right, its table, and a small run of it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.end_to_end.__main__ import main
from benchmarks.end_to_end.dhcp import DhcpServer, Lease
from benchmarks.end_to_end.report import chart, markdown, rows
from benchmarks.end_to_end.variants import parse
from benchmarks.end_to_end.zones import Records, count_right

if TYPE_CHECKING:
    from pathlib import Path

LEASE = Lease("10.64.0.1", "h-10-64-0-1.bench.example.", b"\0\0\1" + bytes(32))
DIGEST = base64.b64encode(LEASE.dhcid).decode()
REVERSE = "1.0.64.10.in-addr.arpa."


def zones() -> tuple[Records, Records]:
    """Return what the DNS holds when the lease is right there."""
    return ({(LEASE.name, "A"): {LEASE.address}, (LEASE.name, "DHCID"): {DIGEST}},
            {(REVERSE, "PTR"): {LEASE.name}, (REVERSE, "DHCID"): {DIGEST}})


def test_a_lease_is_right_if_all_its_records_are_there() -> None:
    assert count_right([LEASE], *zones()) == 1
    assert count_right([LEASE, Lease("10.64.0.2", "other.", b"")], *zones()) == 1


@pytest.mark.parametrize(("zone", "key"), [
    (0, (LEASE.name, "A")), (0, (LEASE.name, "DHCID")), (1, (REVERSE, "PTR")), (1, (REVERSE, "DHCID")),
])
@pytest.mark.parametrize("instead", [set(), {"another"}, None])
def test_a_lease_is_wrong_if_one_is_missing_or_another_is_there(
    zone: int, key: tuple[str, str], instead: set[str] | None
) -> None:
    held = zones()
    held[zone][key] = held[zone][key] | {"another"} if instead is None else instead
    assert count_right([LEASE], *held) == 0


def test_leases_are_read_with_the_dhcid_that_kea_makes(tmp_path: Path) -> None:
    """The example of RFC 4701, section 3.6.2, with a client identifier, and one without."""
    (tmp_path / "leases.csv").write_text(
        "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
        "user_context,pool_id\n"
        "10.0.0.1,01:02:03:04:05:06,01:07:08:09:0a:0b:0c,60,1,1,1,1,Chi.Example.com.,0,,0\n"
        "10.0.0.2,01:02:03:04:05:06,,60,1,1,1,1,,0,,0\n"
        "10.0.0.3,01:02:03:04:05:06,,60,1,1,1,1,gone.example.com.,1,,0\n")
    server = DhcpServer(tmp_path, 0)
    (lease,) = server.leases()
    assert server.count() == 3
    assert lease[:2] == ("10.0.0.1", "chi.example.com.")
    assert base64.b64encode(lease.dhcid) == b"AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No="


def test_a_variant_is_one_of_those_there_are_or_has_its_own_switches() -> None:
    assert parse("kea").subject == "kea"
    assert parse("pyd2-retry").retries
    mine = parse('mine={"lanes": {"max-in-flight": 64}}')
    assert (mine.name, mine.subject, mine.retries) == ("mine", "pyd2", False)
    assert mine.settings_before("knot").user_context == {"lanes": {"max-in-flight": 64}}
    assert mine.settings_before("knot").timeout_ms == 500
    assert parse("pyd2-batches").settings_before("knot").user_context == {"lanes": {"batch": 200}}
    assert parse("pyd2-batches").settings_before("knot").timeout_ms == 2000
    for text in ("other", "mine=[]", "mine={"):
        with pytest.raises(ValueError, match=r"."):
            parse(text)


def run(right: int) -> dict[str, Any]:
    return {"looks": [[100, 50], [100, right]], "leases": 100, "waiting": 0, "lost": 100 - right,
            "ended_s": 3.2, "received": 100, "drops": 0, "timeouts": 0, "updates": 200,
            "cpu_s": 0.01, "server_cpu_s": 0.02}


def test_the_table_has_medians() -> None:
    results = {"bind": {"pyd2": [run(100), run(98), run(99)], "kea": []}}
    assert rows(results) == [["BIND", "pyd2", "100", "50", "99", "0", "1", "3", "2.00", "100", "200"]]
    about = {"at": [2.0, 10.0], "disk": False, "commit": "c", "date": "2026-01-02T03", "cpu": "2 x CPU",
             "leases": 100, "rate": 50, "runs": 3, "load_before": 0.2}
    text = markdown(about, results)
    assert "| DNS server | D2 | leases | right after 2 s | right after 10 s | waiting | lost |" in text
    assert "99.0%" in chart(results, [2.0, 10.0])


@pytest.mark.peers
def test_some_clients_from_the_dhcp_server_to_the_dns(tmp_path: Path) -> None:
    assert main(["--leases", "60", "--rate", "60", "--at", "60", "--server", "bind", "--variant", "pyd2",
                 "--out", str(tmp_path)]) == 0
    data = json.loads((tmp_path / "end-to-end.json").read_text())
    (figures,) = data["results"]["bind"]["pyd2"]
    assert figures["leases"] > 0
    assert figures["waiting"] == figures["lost"] == figures["drops"] == 0
    assert figures["received"] >= figures["leases"]
    assert (tmp_path / "end-to-end.svg").exists()

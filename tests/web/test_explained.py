"""``/api/v1/explain``: what ``pyd2ctl explain`` prints, as data, of the configuration that is in force."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from pyd2.ncr import ConflictResolutionMode
from pyd2.tools.cli import main
from tests.web.site import READER, SECRETS, Site

if TYPE_CHECKING:
    from pathlib import Path


def explained(site: Site, **given: str) -> dict[str, Any]:
    found: dict[str, Any] = site.api(f"explain?{urlencode(given)}")
    return found


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("mode", [mode.value for mode in ConflictResolutionMode])
def test_it_says_what_the_tool_prints(
    site: Site, mode: str, remove: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = explained(
        site, name="Host.example.com", address="192.0.2.10", mode=mode, remove=str(remove).lower()
    )
    file = tmp_path / "d2.json"
    file.write_text(json.dumps(site.whole))
    options = ["--mode", mode, "--dhcid", found["client"], *["--remove"] * remove]
    assert main(["explain", str(file), "Host.example.com", "192.0.2.10", *options]) == 0
    printed = capsys.readouterr().out
    assert (found["operation"], found["name"]) == ("remove" if remove else "add", "Host.example.com.")
    assert f"kind {found['kind']}\n" in printed
    assert (found["outcome"], found["text"], found["policy"], found["hooks"]) == ("updates", "", "", False)
    at = 0
    for direction in found["directions"]:
        at = printed.index(f"{direction['direction'].capitalize()}   {direction['name']} is in", at)
        for server in direction["servers"]:
            at = printed.index(f"{server['text']}, key {server['key']} {server['algorithm']}", at)
        assert direction["steps"]
        for step in direction["steps"]:
            lines = [f"  {step['name']}", f"    zone  {step['zone']}"]
            lines += [f"    if    {line}" for line in step["prerequisites"]]
            lines += [f"    then  {line}" for line in step["updates"]]
            lines += [f"    {rcode:9} leads to {to}" for rcode, to in step["leads_to"].items()]
            lines += [f"    {line}" for line in step["otherwise"]]
            at = printed.index("\n".join(lines) + "\n", at)


def test_what_is_dropped_says_why(site: Site) -> None:
    found = explained(site, name="host.example.net", address="192.0.2.10")
    assert (found["outcome"], found["directions"]) == ("no-domain", [])
    assert "Add the zone of host.example.net. to forward-ddns." in found["text"]
    found = explained(site, name="host.example.com", address="2001:db8::1")
    assert "Add the zone of 1.0.0.0." in found["text"]


def test_a_reader_may_ask_and_sees_no_secret(site: Site) -> None:
    status, _, text = site.get("/api/v1/explain?name=h.example.com&address=192.0.2.1", READER)
    assert status == 200
    assert "k.example." in text
    assert not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("query", [
    "", "name=h.example.com", "address=192.0.2.1", "name=h..example.com&address=192.0.2.1",
    f"name={'a' * 64}.example.com&address=192.0.2.1", "name=h.example.com&address=192.0.2.256",
    "name=h.example.com&address=192.0.2.1&mode=none", "name=h.example.com&address=192.0.2.1&remove=2",
    "name=h.example.com&address=192.0.2.1&x=1", "name=%00&address=192.0.2.1",
    f"name={quote('.' * 300)}&address=::1",
])  # fmt: skip
def test_what_cannot_be_explained_is_refused(site: Site, query: str) -> None:
    assert site.error(f"explain?{query}") == (400, "bad-request")


def test_another_configuration_counts_at_once(site: Site) -> None:
    asked = {"name": "h.refused.example", "address": "192.0.2.1"}
    assert explained(site, **asked)["directions"][0]["domain"] == "refused.example."
    domains = site.whole["DhcpDdns"]["forward-ddns"]["ddns-domains"]
    removed = domains.pop(1)
    try:
        assert site.d2.command("config-set", site.whole)["result"] == 0
        assert explained(site, **asked)["outcome"] == "no-domain"
    finally:
        domains.insert(1, removed)

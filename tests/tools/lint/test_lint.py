"""pyd2ctl lint: every rule finds its fault at its place, and nothing in a good configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.profiles.installed import Installed
from pyd2.profiles.release import release_of
from pyd2.tools.cli import main
from tests.tools.changed import changed as changed_copy

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
GOOD: dict[str, Any] = {
    "control-socket": {"socket-type": "unix", "socket-name": "socket"},
    "tsig-keys": [{"name": "k.", "algorithm": "HMAC-SHA256", "secret": SECRET}],
    "forward-ddns": {"ddns-domains": [
        {"name": "example.com.", "key-name": "k.", "dns-servers": [{"ip-address": "192.0.2.53"}]}]},
    "reverse-ddns": {"ddns-domains": [
        {"name": "2.0.192.in-addr.arpa.", "dns-servers": [{"ip-address": "127.0.0.1"}]}]},
    "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO", "output-options": [{"output": "syslog"}]}],
}


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    for name in ("KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


def lint(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, mode: int = 0o640) -> list[str]:
    """Lint a configuration and return its lines, without the file's directory."""
    file = tmp_path / "d2.json"
    file.write_text(text)
    file.chmod(mode)
    status = main(["lint", str(file)])
    lines = [line.replace(f"{tmp_path}/", "") for line in capsys.readouterr().out.splitlines()]
    assert status == (1 if lines else 0)
    return lines


def changed(path: str, value: object) -> str:
    """Return the good configuration with one value replaced; None removes it."""
    return json.dumps({"DhcpDdns": changed_copy(GOOD, path, value)}, indent=1)


def test_the_rules_of_another_kea(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {name: value for name, value in GOOD.items() if name != "control-socket"}
    sockets = [GOOD["control-socket"], {"socket-type": "http"}]
    file = tmp_path / "d2.json"
    file.write_text(json.dumps({"DhcpDdns": config | {"control-sockets": sockets}}))
    file.chmod(0o640)
    for version, status in (("2.6", 1), ("2.6.3", 1), ("3.0", 0), ("3.0.3", 0), ("3.0.12", 0)):
        assert main(["lint", "--kea", version, str(file)]) == status, version
    capsys.readouterr()
    tmp_path.chmod(0o770)
    assert main(["lint", "--kea", "3.0", str(file)]) == 1
    assert "has more relaxed permissions than 750" in capsys.readouterr().out
    file.write_text(json.dumps({"DhcpDdns": config | {"control-sockets": sockets[1:]}}))
    assert main(["lint", "--kea", "3.0", str(file)]) == 0, "no UNIX socket, no directory"
    with pytest.raises(SystemExit) as caught:
        main(["lint", "--kea", "3.2", str(file)])
    assert caught.value.code == 2
    assert "pyd2 knows Kea 2.6.x and 3.0.x, but not 3.2" in capsys.readouterr().err


def test_a_good_configuration_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(tmp_path, capsys, json.dumps({"DhcpDdns": GOOD})) == []


FORWARD = "forward-ddns/ddns-domains/0"
OTHER_FORWARD = "forward-ddns/ddns-domains/1"
CASES = [
    (f"{FORWARD}/name", "example.com", "domain example.com has no final dot"),
    (f"{FORWARD}/name", "*", "domain * matches every name"),
    (f"{FORWARD}/name", "3.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa. is a reverse domain, but"),
    ("reverse-ddns/ddns-domains/0/name", "example.net.", "example.net. is no reverse domain, but"),
    (f"{FORWARD}/name", ".", "domain . matches no name"),
    ("reverse-ddns/ddns-domains/0/name", "0/25.2.0.192.in-addr.arpa.", "no address is in 0/25.2.0.192"),
    ("reverse-ddns/ddns-domains/0/name", "02.0.192.in-addr.arpa.", "no address is in 02.0.192"),
    ("reverse-ddns/ddns-domains/0/name", "256.in-addr.arpa.", "no address is in 256"),
    ("reverse-ddns/ddns-domains/0/name", "8b.d0.10.02.ip6.arpa.", "no address is in 8b"),
    (f"{FORWARD}/name", "in-addr.arpa.", "in-addr.arpa. is a reverse domain, but is listed"),
    (f"{FORWARD}/name", "a..b.", "a..b. is no domain name, so each update of it fails: duplicate period"),
    (f"{FORWARD}/name", "a..b", "a..b is no domain name"),
    (f"{FORWARD}/name", "x" * 64 + ".", "label is too long"),
    ("reverse-ddns/ddns-domains/0/name", "0.192.in-addr.arpa..", "0.192.in-addr.arpa.. is no domain name"),
    (f"{FORWARD}/dns-servers/0/ip-address", "0.0.0.0", "server 0.0.0.0 of domain example.com.: no server"),
    (f"{FORWARD}/dns-servers/0/ip-address", "::", "server :: of"),
    (f"{FORWARD}/dns-servers/0/ip-address", "239.1.2.3", "server 239.1.2.3 of"),
    (f"{FORWARD}/dns-servers/0/ip-address", "ff02::fb", "server ff02::fb of"),
    (f"{FORWARD}/dns-servers/0/ip-address", "255.255.255.255", "server 255.255.255.255 of"),
    ("reverse-ddns/ddns-domains/0/name", "192.168.in-addr.arpa.", "did you mean 168.192.in-addr.arpa.?"),
    ("reverse-ddns/ddns-domains/0/name", "10.1.2.in-addr.arpa.", "did you mean 2.1.10.in-addr.arpa.?"),
    ("reverse-ddns/ddns-domains/0/name", "172.16.IN-ADDR.arpa.", "did you mean 16.172.in-addr.arpa.?"),
    ("reverse-ddns", {}, "there is no reverse domain"),
    ("forward-ddns", {}, "there is no forward domain"),
    (OTHER_FORWARD, {"name": "EXAMPLE.com.", "dns-servers": [{"ip-address": "::1"}]},
     "domain EXAMPLE.com. is the same as example.com. (d2.json:"),
    ("tsig-keys/1", {"name": "K.", "algorithm": "HMAC-SHA256", "secret": SECRET},
     "key K. is the same in the DNS as k. ("),
    (f"{FORWARD}/dns-servers/1", {"ip-address": "192.0.2.53", "port": 53}, "port 53 is listed twice"),
    ("tsig-keys/1", {"name": "x.", "algorithm": "HMAC-SHA256", "secret": SECRET}, "key x. is not used"),
    ("tsig-keys/0/algorithm", "HMAC-MD5", "HMAC-MD5 is outdated"),
    ("tsig-keys/0/algorithm", "hmac-sha1", "hmac-sha1 is outdated"),
    ("tsig-keys/0/algorithm", "HMAC-SHA512", "a secret of 32 bytes is shorter than the digest's 64"),
    ("tsig-keys/0/digest-bits", 128, "digest-bits 128 cuts the signature"),
    ("tsig-keys/0/digest-bits", 256, "digest-bits 256 has no effect"),
    ("reverse-ddns/ddns-domains/0/dns-servers/0/ip-address", "2001:db8::53", "are not signed"),
    ("ip-address", "0.0.0.0", "requests are accepted at 0.0.0.0 without authentication"),
    ("dns-server-timeout", 5, "slow for a moment"),
    ("dns-server-timeout", 60000, "dns-server-timeout is 60 s"),
    ("dns-server-timeout", 2**31, "nothing is ever sent"),
    ("loggers", None, "the log goes to stderr"),
    ("loggers/0/severity", "DEBUG", "is at DEBUG, level 0"),
    ("loggers/0/severity", "NONE", "not even errors"),
    ("loggers/0/debuglevel", 40, "has no effect at severity INFO"),
    ("loggers/0/output-options", None, "has no output-options"),
    ("loggers/0/output-options", [{"output": "d2.log", "maxsize": 0}], "grows until the disk is full"),
    ("control-socket", None, "there is no control-socket"),
    ("user-context", {"PyD2": {}}, "PyD2 in user-context is ignored"),
    ("user-context", {"pyd2": {"queue": {"max-entries": 10}}}, "a queue of 10 requests is shorter"),
    ("user-context", {"pyd2": {"retry": {"enabled": True}}}, "retry without a durable queue"),
    ("user-context", {"pyd2": {"policy": {"adopt": "same-address"}}}, "then set it to never"),
    ("user-context", {"pyd2": {"policy": {"dual-stack": "per-family"}}}, "gives names two DHCIDs"),
    ("reverse-ddns/ddns-domains/0/user-context", {"pyd2": {"policy": {"adopt": "same-address"}}},
     "the policies of 2.0.192.in-addr.arpa. have no effect"),
    (f"{FORWARD}/user-context", {"pyd2": {"policy": {"keep": ["a.example.com.", "*.b.EXAMPLE.com",
    "x.test."]}}},
     "has x.test.: not in it"),
]


@pytest.mark.parametrize("name", [
    "2.0.192.in-addr.arpa.", "255.0.0.192.IN-ADDR.ARPA.", "in-addr.arpa.", "8.B.d.0.1.0.0.2.ip6.arpa.",
    "ip6.arpa.",
])
def test_reverse_domains_that_addresses_lie_in(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    assert lint(tmp_path, capsys, changed("reverse-ddns/ddns-domains/0/name", name)) == []


FOLLOW_UPS = ("is not used", "is ever added")
"""What some faults bring with them."""


@pytest.mark.parametrize(("path", "value", "text"), CASES)
def test_each_fault_is_found_alone_and_with_its_place(
    path: str, value: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lint(tmp_path, capsys, changed(path, value))
    (found,) = [line for line in lines if text in line]
    place = found.split(": ")[0]
    assert place.startswith("d2.json:")
    assert all(part.isdigit() for part in place.split(":")[1:])
    others = [line for line in lines if not any(words in line for words in FOLLOW_UPS)]
    assert others in ([found], [])


def test_positions_are_those_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = changed(f"{FORWARD}/name", "example.com")
    rows = text.splitlines()
    row = next(number for number, row in enumerate(rows) if '"example.com"' in row)
    (line,) = lint(tmp_path, capsys, text)
    assert line.startswith(f"d2.json:{row}:{rows[row - 1].index('{') + 1}: ")


def test_secrets_that_everybody_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lint(tmp_path, capsys, json.dumps({"DhcpDdns": GOOD}), 0o644)
    assert line.endswith("every user can read d2.json, which holds secrets")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o604)
    key = {"name": "k.", "algorithm": "HMAC-SHA256", "secret-file": str(secret)}
    (line,) = lint(tmp_path, capsys, changed("tsig-keys/0", key), 0o644)
    assert line.endswith("every user can read secret")


def test_passwords_and_keys_that_everybody_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.tools.kea.installed", lambda: Installed(release_of("3.0.3")))
    inline, key = {"user": "a", "password": "long-and-random"}, tmp_path / "d2.key"
    for name in ("words", "d2.key"):
        (tmp_path / name).write_text("u:word")
        (tmp_path / name).chmod(0o604)

    def of(*clients: dict[str, str], **members: str) -> str:
        authentication = {"type": "basic", "directory": str(tmp_path), "clients": clients}
        socket = {"socket-type": "http", "authentication": authentication, **members}
        config = {name: value for name, value in GOOD.items() if name not in {"tsig-keys", "control-socket"}}
        del config["forward-ddns"]
        return json.dumps({"DhcpDdns": config | {"control-sockets": [socket]}})

    def found(text: str, mode: int) -> list[str]:
        return [line.split(": ")[1] for line in lint(tmp_path, capsys, text, mode) if "every user" in line]

    assert found(of(inline), 0o640) == []
    assert found(of(inline), 0o644) == ["every user can read d2.json, which holds secrets"]
    assert found(of({"password-file": "words"}), 0o644) == ["every user can read words"]
    tls = {"trust-anchor": "x", "cert-file": "x", "key-file": str(key)}
    assert found(of(inline, **tls), 0o640) == ["every user can read d2.key, the key of TLS"]
    (tmp_path / "words").chmod(0o600)
    key.chmod(0o600)
    assert found(of({"password-file": "words"}, **tls), 0o644) == []


def test_what_does_not_parse_is_reported_as_the_daemon_does(tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lint(tmp_path, capsys, changed("port", 0))
    assert line.startswith("error: ")
    assert "port must be greater than zero but less than 65536" in line
    line, instead = lint(tmp_path, capsys, changed("user-context", {"pyd2": {"quue": {}}}))
    assert "unknown parameter 'quue' in pyd2 map" in line
    assert instead == 'instead: write "queue"'


def test_extra_commas_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lint(tmp_path, capsys, json.dumps({"DhcpDdns": GOOD})[:-1] + ",}")
    assert "Extraneous comma" in line


def test_several_files_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    good, doubtful = json.dumps({"DhcpDdns": GOOD}), changed("control-socket", None)
    for name, text in (("a.json", good), ("b.json", doubtful)):
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    assert main(["lint", *files]) == 1
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("name", ["168.192.in-addr.arpa.", "10.in-addr.arpa.", "0.10.in-addr.arpa.",
                                  "16.172.10.in-addr.arpa.", "1.2.in-addr.arpa."])
def test_a_reverse_domain_that_may_be_meant_passes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint(tmp_path, capsys, changed("reverse-ddns/ddns-domains/0/name", name)) == []


TIMEOUT = '"dns-server-timeout": 1'
INSTEAD: list[tuple[str, Any, str, str, str]] = [
    ("", None, '"DhcpDdns": {', '"Logging": { "loggers": [] }, "DhcpDdns": {', "loggers belong in"),
    ("", None, "}\n}", '}, "Logging": { } }', "loggers belong in DhcpDdns"),
    ("", None, "}\n}", '}, "Dhcp4": { } }', "reads only DhcpDdns"),
    ("control-sockets", [], "", "", 'Kea 2.6 has one socket: "control-socket"'),
    ("ip-adress", "127.0.0.1", "", "", 'write "ip-address"'),
    ("ddns-domains", [], "", "", "ddns-domains belongs in forward-ddns or reverse-ddns, not in DhcpDdns"),
    (f"{FORWARD}/dns-server", [], "", "", 'write "dns-servers"'),
    ("tsig-keys/0/key", "x", "", "", ""),
    ("tsig-keys/0/algorithm", "sha256", "", "", 'write "HMAC-SHA256"'),
    ("tsig-keys/0/algorithm", "hmac_sha512", "", "", 'write "HMAC-SHA512"'),
    ("tsig-keys/0/algorithm", "hmac-md5.sig-alg.reg.int", "", "", 'write "HMAC-MD5"'),
    ("tsig-keys/0/algorithm", "rsa", "", "", "one of HMAC-MD5, HMAC-SHA1"),
    ("loggers/0/severty", "INFO", "", "", 'write "severity"'),
    ("loggers/0/output-options/0/maxsiz", 1, "", "", 'write "maxsize"'),
    ("loggers/0/output-options/0/output", "/x/y.log", "", "", "variable KEA_LOG_FILE_DIR of the daemon"),
    ("control-socket/socket-name", "/x/y", "", "", "variable KEA_CONTROL_SOCKET_DIR of the daemon names"),
    ("user-context", {"pyd2": {"redact-secret": True}}, "", "", 'write "redact-secrets"'),
    ("user-context", {"pyd2": {"queue": {"dir": "/x"}}}, "", "", ""),
    ("user-context", {"pyd2": {"retry": {"max_delay": 1}}}, "", "", 'write "max-delay"'),
    ("dns-server-timeout", 1, TIMEOUT, '<?include "nothere.json"?>', "write an absolute path"),
    ("dns-server-timeout", 1, TIMEOUT, '<?include "/nothere.json"?>', "there is no /nothere"),
]


@pytest.mark.parametrize(("path", "value", "old", "new", "instead"), INSTEAD)
def test_it_says_what_to_write_instead(
    path: str, value: object, old: str, new: str, instead: str,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    text = json.dumps({"DhcpDdns": GOOD}, indent=1) if value is None else changed(path, value)
    lines = lint(tmp_path, capsys, text.replace(old, new) if old else text)
    (at,) = (number for number, line in enumerate(lines) if line.startswith("error: "))
    more = lines[at + 1 :]
    if not instead:
        assert not more
    else:
        assert len(more) == 1
        assert more[0].startswith("instead: ")
        assert instead in more[0]


def test_the_file_that_holds_the_secret_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not the one that includes it, which every user may read."""
    keys = tmp_path / "keys.inc"
    keys.write_text(json.dumps(GOOD["tsig-keys"]))
    text = json.dumps({"DhcpDdns": {**GOOD, "tsig-keys": "KEYS"}}).replace('"KEYS"', f'<?include "{keys}"?>')
    keys.chmod(0o640)
    assert lint(tmp_path, capsys, text, 0o644) == []
    keys.chmod(0o644)
    (found,) = lint(tmp_path, capsys, text, 0o644)
    assert found == "keys.inc:1:55: every user can read keys.inc, which holds secrets"


def test_it_reports_the_control_sockets_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"DhcpDdns": GOOD})
    tmp_path.chmod(0o755)
    (wrong,) = lint(tmp_path, capsys, text)
    assert "has mode 755: the daemon does not start unless it is 750" in wrong
    monkeypatch.setenv("KEA_CONTROL_SOCKET_DIR", str(tmp_path / "missing"))
    (missing,) = lint(tmp_path, capsys, text)
    assert "is missing: the daemon does not start until it exists" in missing

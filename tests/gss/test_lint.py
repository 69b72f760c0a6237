"""What ``pyd2ctl lint`` says about GSS-TSIG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.cli import main
from tests.update.support import simple_map

if TYPE_CHECKING:
    from pathlib import Path

_SERVER = {"id": "a", "ip-address": "192.0.2.1", "server-principal": "DNS/ns.example.org@R"}


@pytest.mark.parametrize(("parameters", "finding"), [
    ({"servers": [_SERVER]}, ""),
    ({"servers": [_SERVER], "client-keytab": "a", "credentials-cache": "b"},
     "GSS-TSIG has both client-keytab and credentials-cache"),
    ({"servers": [_SERVER], "tkey-lifetime": 1}, "the parameters of GSS-TSIG are refused: the default"),
    ({"servers": [_SERVER | {"port": 54}]},
     "the parameters of GSS-TSIG are refused: server info can't be found"),
    ({"servers": []}, "updates of example.org. to 192.0.2.1 are not signed"),
])
def test_parameters_are_checked_and_signed_servers_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    parameters: dict[str, Any], finding: str,
) -> None:
    monkeypatch.setenv("KEA_HOOKS_PATH", str(tmp_path))
    domain = {"name": "example.org.", "dns-servers": [{"ip-address": "192.0.2.1"}]}
    library = {"library": "libddns_gss_tsig.so", "parameters": parameters}
    whole = simple_map([domain], [domain | {"name": "2.0.192.in-addr.arpa."}], {"hooks-libraries": [library]})
    file = tmp_path / "d2.json"
    file.write_text(json.dumps({"DhcpDdns": whole}, indent=1))
    file.chmod(0o640)
    main(["lint", str(file)])
    found = [line for line in capsys.readouterr().out.splitlines() if "GSS-TSIG" in line or "signed" in line]
    assert bool(found) is bool(finding)
    assert all("d2.json:" in line for line in found)
    assert any(finding in line for line in found) or not finding

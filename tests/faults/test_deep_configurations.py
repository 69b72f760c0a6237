"""A configuration file 10,000 levels deep: the check and the server must outlive it."""

import json

import pytest

from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

MEBIBYTE = 1 << 20
LISTS = '{"a":' + "[" * 10000 + "]" * 10000 + "}"
MAPS = '{"a":' * 10000 + "1" + "}" * 10000


def _deep(port: int, context: str) -> str:
    return json.dumps(config(port, {"user-context": "@"})).replace('"@"', context)


@pytest.mark.parametrize("context", [LISTS, MAPS], ids=["lists", "maps"])
def test_check(d2_binary: str, is_pyd2: bool, context: str) -> None:
    with PortLease() as lease, private_directory() as directory:
        (directory / "d2.json").write_text(_deep(lease.take(), context))
        d2 = D2(d2_binary, directory, ["-t", "d2.json"])
        status = d2.process.wait_for_exit()
        if is_pyd2:
            assert status == 1
            assert d2.stderr().startswith("Syntax check failed with: d2.json:1.")
            assert "250 levels of nesting" in d2.stderr()
            assert len(d2.process.output()) < 1000
        else:
            assert status == 0  # the real server takes what its stack can hold


@pytest.mark.parametrize("context", [LISTS, MAPS], ids=["lists", "maps"])
def test_reload(d2_binary: str, is_pyd2: bool, context: str) -> None:
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port)) as d2:
            before = d2.process.resident_bytes()
            (directory / "d2.json").write_text(_deep(port, context))
            answer = d2.command("config-reload")
            if is_pyd2:
                assert answer["result"] == 1
                assert "250 levels of nesting" in answer["text"]
                assert "user-context" not in d2.command("config-get")["arguments"]["DhcpDdns"]
            else:
                assert answer["result"] == 1  # it parses the file, then can't print what it has parsed
            assert d2.command("list-commands")["result"] == 0
            assert d2.process.peak_resident_bytes() - before < 64 * MEBIBYTE


def test_an_include_that_includes_itself_is_refused(d2_binary: str) -> None:
    with private_directory() as directory:
        (directory / "d2.json").write_text('<?include "d2.json"?>')
        check = Process([d2_binary, "-t", "d2.json"], directory)
        wait_until(lambda: not check.alive, "the end of the check")
        assert check.wait_for_exit() == 1
        assert "Too many nested include." in check.stderr()

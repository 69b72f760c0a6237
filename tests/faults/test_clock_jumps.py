"""The wall clock of a running daemon jumps under load, with a real BIND that has the right time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Ends, Host, Load, check_balance, domain
from tests.faults.outages import request_counts
from tests.kit import dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.peers]

ZONE, REVERSE = "clock.test.", "10.in-addr.arpa."
KEY = TsigKey.of("HMAC-SHA256")
HOSTS = [Host(number, ZONE) for number in range(200)]


class Clock:
    """The wall clock that a D2 sees, with its offset in a file. Monotonic time is the real one."""

    def __init__(self, file: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "libfaketime is not installed, and the tests need it: install the package faketime"
        self._file = file
        self.jump("+0")
        self.env = {
            "LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def jump(self, offset: str) -> None:
        """Be off by that much, such as ``-1d``."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.rename(self._file)  # at once: half a file would be another time


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea tries nothing again")


@pytest.fixture
def bind() -> Iterator[dns_servers.DnsServer]:
    with dns_servers.bind([ZONE, REVERSE], KEY) as server:
        yield server


def _settings(port: int, directory: Path) -> dict[str, Any]:
    named = {"key-name": KEY.name}
    return {
        "forward-ddns": {"ddns-domains": [domain(ZONE, port, **named)]},
        "reverse-ddns": {"ddns-domains": [domain(REVERSE, port, **named)]},
        "tsig-keys": [KEY.kea()],
        "dns-server-timeout": 2000,
        "user-context": {"pyd2": {
            "queue": {"type": "durable", "directory": str(directory / "queue")},
            "retry": {"enabled": True, "initial-delay": 0.2, "max-delay": 0.5},
        }},
    }  # fmt: skip


@pytest.mark.parametrize("offset", ["-1d", "+1h"])
def test_nothing_is_lost_and_no_timer_takes_note(d2_binary: str, bind: dns_servers.DnsServer,
                                                 offset: str) -> None:
    """While the clock is off, BIND refuses the signatures, and refused updates are tried again."""
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        clock = Clock(directory / "clock")
        (directory / "d2.json").write_text(json.dumps(config(port, _settings(bind.port, directory))))
        with D2(d2_binary, directory, env=clock.env) as d2:
            d2.wait_for_commands()
            d2.wait_for_listener(port)
            ends = Ends(d2)
            load = Load(port, (host.request(reverse=True) for host in HOSTS), 400)
            load.allowed = len(HOSTS) // 2  # the others come when the clock is off
            with load:
                ends.wait(30)
                clock.jump(offset)
                load.allowed = len(HOSTS)
                wait_until(lambda: "(BADTIME)" in bind.process.output(), "BIND to refuse a signature")
                # A timer that went by the wall clock would run out in a day, or at once and all the time.
                d2.wait_for_log("PYD2_RETRY_SCHEDULED", 3 * len(HOSTS))
                assert request_counts(d2)["queued"]
                clock.jump("+0")
                ends.wait(len(HOSTS))
            requests = request_counts(d2)
            assert (requests["received"], requests["done"]) == (len(HOSTS), len(HOSTS))
            check_balance(d2)
        held = {owner for zone in (ZONE, REVERSE) for owner, _, _, _ in bind.records(zone)}
    assert held == {name for host in HOSTS for name in (host.name, host.pointer)}

"""Measured runs with retries: a DNS server that is down for a while, and a network that damages messages."""

import contextlib
import signal
import threading
import time
from typing import Any, Final

from tests.faults.load import Ends, Host, Load, check_balance, domain
from tests.kit import dns_servers, ncr
from tests.kit.adversity import Adversity, Faults
from tests.kit.d2 import D2, config, private_directory
from tests.kit.dns_servers import Record
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

ZONE, REVERSE = "outage.test.", "10.in-addr.arpa."
LEAD: Final = 2.0
"""Seconds of load before the outage and after it."""
ROUGH: Final = Faults(lose=0.1, delay=0.3, delay_seconds=0.05, duplicate=0.1, flip=0.01)
RETRY: Final[dict[str, Any]] = {"user-context": {"pyd2": {"retry": {"enabled": True}}}}


def settings(dns_port: int, key: TsigKey | None = None) -> dict[str, Any]:
    """Return a D2's configuration: a forward and a reverse zone at one server, and retries."""
    named = {"key-name": key.name} if key else {}
    return {
        "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port, **named)]},
        "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns_port, **named)]},
        "tsig-keys": [key.kea()] if key else [],
        **RETRY,
    }


def request_counts(d2: D2) -> dict[str, int]:
    """Return the numbers of requests by their state, from status-get; they must add up."""
    requests: dict[str, int] = d2.command("status-get")["arguments"]["pyd2"]["requests"]
    others = sum(count for name, count in requests.items() if name != "received")
    assert requests["received"] == others, requests
    return requests


def outage(binary: str, seconds: float, rate: float) -> bool:
    """Kill BIND under load and start it again so much later; each request must end in the zones."""
    hosts = [Host(number, ZONE) for number in range(int((2 * LEAD + seconds) * rate))]
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        bind = stack.enter_context(dns_servers.bind([ZONE, REVERSE]))
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(binary, directory, config(port, settings(bind.port))))
        d2.wait_for_listener(port)
        ends = Ends(d2)
        pause = threading.Event()
        with Load(port, (host.request(reverse=True) for host in hosts), rate) as load:
            pause.wait(LEAD)
            bind.process.stop(signal.SIGKILL)
            pause.wait(seconds)
            waiting = request_counts(d2)["queued"]
            bind.start()
            back = time.time()
            wait_until(lambda: not load.running, "the last request to be sent", 2 * seconds + 60)
        with contextlib.suppress(AssertionError):
            # With so many waiting requests the time depends on the server.
            wait_until(lambda: ends.read() >= len(hosts), "the end of all requests", 120)
        requests = request_counts(d2)
        if not requests["active"]:
            check_balance(d2)
        before = [host for host, at in zip(hosts, load.sent_at, strict=True) if at < back]
        took = max((ends.at[host.dhcid] - back for host in before if host.dhcid in ends.at), default=0.0)
        held = {owner for zone in (ZONE, REVERSE) for owner, _, _, _ in bind.records(zone)}
    missing = [host for host in hosts if host.name not in held or host.pointer not in held]
    print(f"BIND away for {seconds:g} s at {rate:g} requests/s: {len(hosts)} sent, {waiting} waited when it "
          f"came back, the last of those sent before was done {took:.1f} s later; {requests['done']} done, "
          f"{requests['failed']} failed; {len(missing)} hosts not in the zones")
    return not missing and requests["done"] == len(hosts)


def _zones(binary: str, count: int, faults: Faults) -> tuple[list[set[Record]], str]:
    """Return the zones after hosts have come, some have moved and some have left; and how it went."""
    key = TsigKey.of("HMAC-SHA256")
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port, proxy_port = lease.take(), lease.take()
        bind = stack.enter_context(dns_servers.bind([ZONE, REVERSE], key))
        proxy = stack.enter_context(Adversity(proxy_port, bind.port, faults))
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(binary, directory, config(port, settings(proxy_port, key))))
        d2.wait_for_listener(port)
        hosts = [Host(number, ZONE) for number in range(count)]
        phases = [
            [host.request(reverse=True) for host in hosts],
            [_moved(host) for host in hosts[::3]],
            [host.request(ncr.REMOVE, reverse=True) for host in hosts[1::3]],
        ]
        sent = 0
        for phase in phases:
            # What was delayed must not overtake a later change of the same host: UDP promises no order.
            sent += len(phase)
            for request in phase:
                ncr.send(request, port)
            wait_until(lambda: _ended(d2) >= sent, "the end of a phase", 120)  # noqa: B023  called at once
            proxy.settle()
        requests = request_counts(d2)
        counts = check_balance(d2)
        bad = counts["update-timeout"] + counts["update-error"]
        text = f"{requests['done']} done, {requests['failed']} failed, "
        text += f"{bad} of {counts['update-sent']} tries bad"
        return [bind.records(ZONE), bind.records(REVERSE)], text


def _ended(d2: D2) -> int:
    requests = request_counts(d2)
    return requests["received"] - requests["queued"] - requests["active"]


def _moved(host: Host) -> bytes:
    """Return a request for another address of a host."""
    address = host.address.replace("10.0.", "10.1.")
    return ncr.datagram(ncr.request(host.name, address, host.dhcid))


def adversity(binary: str, seconds: float, rate: float) -> bool:
    """Carry out requests over a bad network and over a good one; the zones must be equal."""
    count = min(20000, int(seconds * rate))
    found, text = _zones(binary, count, ROUGH)
    expected, _ = _zones(binary, count, Faults())
    differ = sum(len(one ^ other) for one, other in zip(found, expected, strict=True))
    print(f"{count} hosts over a network that loses and repeats 10%, reorders 30% and corrupts 1% each way: "
          f"{text}; {sum(map(len, expected))} records, {differ} differ")
    return differ == 0

"""The installed command as Kea 3.0: what only a running server shows and no recorded case has."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import ncr
from tests.kit.as_kea import as_kea
from tests.kit.d2 import D2, config, environment
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUESTS = 60


@pytest.mark.parametrize("layer", ["plain", "compiled"])
def test_requests_lost_to_a_full_queue_are_counted(
    pyd2: Callable[[str], str], directory: Path, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    monkeypatch.setenv("PYD2_PACKET_LAYER", layer)
    with PortLease() as lease:
        port, dead = lease.take(), lease.take()
        server = {"ip-address": "127.0.0.1", "port": dead}
        body = {
            "dns-server-timeout": 60000,
            "forward-ddns": {"ddns-domains": [{"name": "example.com.", "dns-servers": [server]}]},
            "user-context": {"pyd2": {"queue": {"max-entries": 5}, "lanes": {"max-in-flight": 1}}},
        }
        with D2.start(pyd2("3.0.3"), directory, config(port, body)) as d2:
            assert d2.statistics()["queue-mgr-queue-full"] == 0
            d2.wait_for_listener(port)
            for number in range(REQUESTS):
                name = f"h{number}.example.com."
                client = ncr.dhcid(str(number).encode(), name)
                ncr.send(ncr.datagram(ncr.request(name, "192.0.2.1", client, reverse=False)), port)
            d2.barrier()
            counted = d2.statistics()
            assert counted["ncr-received"] == REQUESTS
            assert REQUESTS - 6 <= counted["queue-mgr-queue-full"] < REQUESTS, "at most six are held"
            assert d2.command("statistic-reset", {"name": "queue-mgr-queue-full"})["result"] == 0
            assert d2.statistics()["queue-mgr-queue-full"] == 0
            d2.command("shutdown", {"type": "now"})


@pytest.mark.parametrize(("release", "result"), [("2.6.3", 1), ("3.0.3", 1), ("3.0.4", 5)])
def test_a_socket_that_cannot_be_opened(
    pyd2: Callable[[str], str], directory: Path, release: str, result: int
) -> None:
    lock = os.open(directory / "new.sock.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with PortLease() as lease, D2.start(pyd2(release), directory, good := config(lease.take())) as d2:
        before = d2.command("config-get")
        socket = {"socket-type": "unix", "socket-name": "new.sock"}
        answer = d2.command("config-set", {"DhcpDdns": good["DhcpDdns"] | {"control-socket": socket}})
        assert answer["result"] == result
        assert answer["text"].startswith(f"cannot lock socket lockfile, {directory}/new.sock.lock, :")
        assert d2.command("config-get") == before
        too_long = socket | {"socket-name": "x" * 120}
        answer = d2.command("config-set", {"DhcpDdns": good["DhcpDdns"] | {"control-socket": too_long}})
        assert answer == {"result": result, "text": "File name too long [system:36]"}
        elsewhere = good["DhcpDdns"] | {"control-socket": socket | {"socket-name": "/x/y"}}
        assert d2.command("config-set", {"DhcpDdns": elsewhere})["result"] == 1
    os.close(lock)


LIBRARY = "def version(): return 30003\n"


def unrestricted(place: Path) -> dict[str, Any]:
    """Return parts of a configuration with a file in each kind of place that is not the supported one."""
    (place / "library.py").write_text(LIBRARY)
    return {
        "hooks-libraries": [{"library": str(place / "library.py")}],
        "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO",
                     "output-options": [{"output": "sub/d2.log"}, {"output": "stdout"}]}],
    }


def test_x_lifts_the_rules_for_paths(pyd2: Callable[[str], str], directory: Path, tmp_path: Path) -> None:
    program = pyd2("3.0.3")
    (directory / "sub").mkdir()
    with PortLease() as lease:
        body = config(lease.take(), unrestricted(tmp_path))
        (directory / "d2.json").write_text(json.dumps(body))
        for arguments in (["-t", "d2.json"], ["-c", "d2.json"]):
            done = subprocess.run([program, *arguments], cwd=directory, env=environment(directory),
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert "invalid path specified: 'sub', supported path is" in done.stderr
        with D2.start(program, directory, body, ["-Xc", "d2.json"]) as d2:
            shown = d2.command("config-get")["arguments"]["DhcpDdns"]
            assert shown["hooks-libraries"] == [{"library": str(tmp_path / "library.py")}]
            assert shown["loggers"][0]["output-options"][0]["output"] == "sub/d2.log"
            ids = [line.split("] ")[1].split()[0] for line in d2.stdout().splitlines()]
            assert ids[ids.index("DHCP_DDNS_STARTED") + 1] == "DHCP_DDNS_SECURITY_CHECKS_DISABLED"
        assert "DHCP_DDNS_STARTED" in (directory / "sub" / "d2.log").read_text()


def test_config_get_shows_hook_libraries_as_typed(pyd2: Callable[[str], str], directory: Path) -> None:
    wrapper = directory / "with-hooks"
    wrapper.write_text(f'#!/bin/sh\nKEA_HOOKS_PATH={directory} exec {pyd2("3.0.3")} "$@"\n')
    wrapper.chmod(0o755)
    (directory / "library.py").write_text(LIBRARY)
    with PortLease() as lease:
        body = config(lease.take(), {"hooks-libraries": [{"library": " library.py"}]})
        with D2.start(str(wrapper), directory, body) as d2:
            shown = d2.command("config-get")["arguments"]["DhcpDdns"]
            assert shown["hooks-libraries"] == [{"library": " library.py"}]
            assert f"HOOKS_LIBRARY_LOADED hooks library {directory}/library.py" in d2.stdout()


def test_redact_secrets_covers_passwords(pyd2: Callable[[str], str], directory: Path) -> None:
    program = pyd2("3.0.3")
    socket = {
        "socket-type": "unix", "socket-name": "d2.sock",
        "authentication": {"type": "basic", "clients": [{"user": "admin", "password": "sesame"}]},
    }
    with PortLease() as lease:
        body = config(lease.take(), {"control-sockets": [socket]}, severity="DEBUG", debuglevel=99)
        del body["DhcpDdns"]["control-socket"]
        with D2.start(program, directory, body, ["-dc", "d2.json"]) as d2:
            assert "sesame" in json.dumps(d2.command("config-get")), "as Kea does"
            redacted = body["DhcpDdns"] | {"user-context": {"pyd2": {"redact-secrets": True}}}
            assert d2.command("config-set", {"DhcpDdns": redacted})["result"] == 0
            shown = json.dumps(d2.command("config-get"))
            assert "sesame" not in shown
            assert '"user": "admin"' in shown
            assert "sesame" not in d2.stdout() + d2.stderr()


def test_the_remark_on_an_unknown_kea_is_logged(directory: Path) -> None:
    (directory / "d2.json").write_text('{"DhcpDdns": {"port": 0}}')
    program = (
        "from pyd2.launch import run; from pyd2.profiles.kea_3_0 import KEA_3_0; "
        "raise SystemExit(run(KEA_3_0, 'd2.json', verbose=False, remark='Kea 3.2.0 is installed'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=directory, env=environment(directory),
                          capture_output=True, text=True, check=False)
    first, second, *_ = done.stdout.splitlines()
    assert "DCTL_STARTING" in first
    assert "WARN  [kea-dhcp-ddns.dctl" in second
    assert second.endswith("PYD2_KEA_UNKNOWN Kea 3.2.0 is installed")


def test_a_bad_version_file_ends_every_call(d2_binary: str, tmp_path: Path) -> None:
    program = as_kea(d2_binary, "3.0.x", tmp_path)
    for arguments in ([], ["-v"], ["-V"], ["-t", "d2.json"], ["-c", "d2.json"]):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stdout == ""
        fault = f"{tmp_path}/kea-version-3.0.x:1: '3.0.x' is no release"
        assert done.stderr.startswith(f"Service failed: {fault}")


MOUNTED = """
set -e
mount -t tmpfs none /etc
mkdir /etc/pyd2
echo 3.0.17 > /etc/pyd2/kea-version
{command} -v
{command} -X -v
"""


def test_the_installed_command_reads_its_file(d2_binary: str) -> None:
    """In a mount namespace of its own, with another /etc."""
    script = MOUNTED.format(command=d2_binary)
    # Only who is not root needs a namespace of users, which a chroot forbids.
    users = ["--map-root-user"] if os.geteuid() != 0 else []
    done = subprocess.run(["unshare", "--mount", *users, "/bin/sh", "-c", script],
                          capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3.0.17\n3.0.17\n", "")

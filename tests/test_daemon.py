"""What the parts of the daemon do together."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import control, dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import find_program


def test_a_command_is_in_the_log_before_its_answer(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        for number in range(20):
            control.exchange(d2.socket, [f'{{ "command": "number-{number}" }}'])
            assert f"Received command 'number-{number}'" in d2.stdout()


def test_a_closed_connection_is_in_the_log_before_the_client_sees_it(d2_binary: str, is_pyd2: bool) -> None:
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
              "output-options": [{"output": "stdout"}]}
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take(), {"loggers": [logger]})) as d2:
        for _ in range(20):
            before = len(d2.process.stdout())
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(d2.socket))
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
            said = d2.process.stdout()[before:]
            assert "COMMAND_SOCKET_CLOSED_BY_FOREIGN_HOST" in said
            before = len(d2.process.stdout())
            assert control.exchange(d2.socket, ['{ "command": "list-commands" }'])
            if is_pyd2:  # Kea's client may be the faster one
                assert "COMMAND_SOCKET_WRITE" in d2.process.stdout()[before:]


def test_signals_during_the_goodbye_do_not_change_the_exit_status(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        control.exchange(d2.socket, ['{ "command": "shutdown", "arguments": { "exit-value": 7 } }'])
        d2.wait_for_log("DCTL_SHUTDOWN ")
        while d2.alive:
            d2.process.send_signal(signal.SIGTERM)
        assert d2.process.exit_status == 7
        assert not list(directory.glob("*.pid"))


def test_standard_descriptors_may_be_closed(d2_binary: str, tmp_path: Path) -> None:
    """As when an old init script starts it: no other file gets their numbers."""
    closing = tmp_path / "closing-pyd2"
    closing.write_text(f'#!/bin/sh\nexec "{d2_binary}" "$@" <&- >&- 2>&-\n')
    closing.chmod(0o700)
    with PortLease() as lease, private_directory() as directory, \
            D2.start(str(closing), directory, config(lease.take())) as d2:
        assert d2.command("config-reload")["result"] == 0
        open_files = Path(f"/proc/{d2.process.pid}/fd")
        assert [str((open_files / number).readlink()) for number in "012"] == ["/dev/null"] * 3
        assert d2.stop() == 0
        assert not (directory / "d2.kea-dhcp-ddns.pid").exists()
        assert not (directory / "logger_lockfile").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ])
def test_signals_for_what_cannot_be_written_do_not_end_it(
    number: signal.Signals, d2_binary: str, is_pyd2: bool
) -> None:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(d2_binary, directory, config(lease.take())) as d2:
        d2.process.send_signal(number)
        if is_pyd2:
            assert d2.answers_commands()
            assert d2.stop() == 0
        else:
            assert d2.process.wait_for_exit() == -number


def _one_zone(dns_port: int) -> dict[str, object]:
    servers = [{"ip-address": "127.0.0.1", "port": dns_port}]
    return {
        "dns-server-timeout": 60000,
        "forward-ddns": {"ddns-domains": [{"name": "example.com.", "dns-servers": servers}]},
        "loggers": [{"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 55,
                     "output-options": [{"output": "stdout"}]}],
    }  # fmt: skip


def _send(port: int, count: int) -> None:
    for number in range(count):
        name = f"host{number}.example.com."
        ncr.send(ncr.datagram(ncr.request(name, "192.0.2.1", ncr.dhcid(b"c", name), reverse=False)), port)


def test_signals_are_for_the_main_thread(d2_binary: str, is_pyd2: bool) -> None:
    """A signal in another thread would interrupt its work for the DNS."""
    if not is_pyd2:
        return  # a word about how pyd2 is made
    wanted = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port)) as d2:
            d2.wait_for_listener(port)
            d2.wait_for_commands()
            blocked = {}
            for task in Path(f"/proc/{d2.process.pid}/task").iterdir():
                fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
                blocked[int(task.name)] = int(fields["SigBlk"], 16) & wanted
            assert blocked.pop(d2.process.pid) == 0
            assert blocked
            assert set(blocked.values()) == {wanted}


@contextlib.contextmanager
def _behind_a_gate(d2_binary: str, library: str) -> Iterator[tuple[D2, int, dns_servers.DnsServer]]:
    """Run a D2 with BIND and a library in Python that reads a FIFO, the gate; gives the D2's port, too."""
    with PortLease() as lease, private_directory() as directory, \
            dns_servers.bind(["example.com."]) as server:
        port = lease.take()
        (directory / "gated.py").write_text(library)
        os.mkfifo(directory / "gate")
        body = _one_zone(server.port) | {"hooks-libraries": [{"library": "gated.py"}]}
        (directory / "d2.json").write_text(json.dumps(config(port, body)))
        with D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"}) as d2:
            yield d2, port, server


BLOCKING = """
from pathlib import Path

def version():
    return 20603

def d2_srv_configured(handle):
    loop = handle.get_argument("io_context")
    loop.call_soon(loop.call_soon, block)  # the daemon begins to listen on the first pass

def block():
    Path("gate").read_text()  # until a writer has opened it, and closed it
"""


def test_a_library_that_blocks_the_loop_does_not_delay_the_dns(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        return  # C++ has no such loop
    with _behind_a_gate(d2_binary, BLOCKING) as (d2, port, server):
        with (d2.directory / "gate").open("w"):
            # The library reads, and nothing answers commands.
            d2.wait_for_listener(port)
            _send(port, 30)
            d2.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED", count=30)
            with pytest.raises(TimeoutError):
                control.exchange(d2.socket, ['{ "command": "list-commands" }'], timeout=1)
        d2.wait_for_commands()
        assert d2.statistics()["update-success"] == 30
        assert {owner for owner, _, kind, _ in server.records("example.com.") if kind == "A"} == {
            f"host{number}.example.com." for number in range(30)}


SELECTING = """
from pathlib import Path

def version():
    return 20603

def select_key(handle):
    if Path("gate").exists():
        Path("gate").read_text()
        Path("gate").unlink()
"""


def test_while_a_library_selects_a_key_requests_wait_and_none_is_lost(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        return
    with _behind_a_gate(d2_binary, SELECTING) as (d2, port, server):
        d2.wait_for_commands()
        _send(port, 300)
        with (d2.directory / "gate").open("w"):
            d2.wait_for_log("DHCP_DDNS_STARTING_TRANSACTION", count=96)
            assert "SUCCEEDED" not in d2.stdout()
            d2.process.send_signal(signal.SIGHUP)  # it will find requests under way, and more to come
        d2.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED", count=300)
        d2.wait_for_log("DHCP_DDNS_QUEUE_MGR_STARTED", count=2)
        assert len(server.records("example.com.")) > 300
        assert d2.stop() == 0


ENDING = """
import sys
import threading

def version():
    return 20603

def load(handle):
    handle.register_command("end-updates", end_updates)

def end_updates(handle):
    (updates,) = [thread for thread in threading.enumerate() if thread.name == "pyd2-dns"]
    updates._target.__self__._loop.call_soon_threadsafe(sys.exit, "as asked")
"""


def test_a_daemon_that_makes_no_more_updates_ends(d2_binary: str, is_pyd2: bool) -> None:
    """Whatever ends the update thread: the service manager then starts another daemon."""
    if not is_pyd2:
        return
    with PortLease() as lease, private_directory() as directory:
        (directory / "ending.py").write_text(ENDING)
        body = {"hooks-libraries": [{"library": "ending.py"}]}
        (directory / "d2.json").write_text(json.dumps(config(lease.take(), body)))
        with D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"}) as d2:
            d2.wait_for_commands()
            with contextlib.suppress(OSError):  # it may end before it closes the connection
                control.exchange(d2.socket, ['{ "command": "end-updates" }'])
            assert d2.process.wait_for_exit() == 1
            assert "SystemExit: as asked" in d2.stdout()


def test_a_normal_stop_gives_a_dead_server_up(tmp_path: Path) -> None:
    impatient = tmp_path / "impatient-pyd2"
    impatient.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from pyd2 import cli, service\n"
        "service.DRAIN_SECONDS = 0.2\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    impatient.chmod(0o755)
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(str(impatient), directory, config(port, _one_zone(lease.take()))) as d2:
            _send(port, 50)
            d2.wait_for_log("QUEUE_RECEIVE", 50)
            d2.process.send_signal(signal.SIGTERM)
            assert d2.process.wait_for_exit() == 0
            assert "PYD2_SHUTDOWN_INCOMPLETE" in d2.stdout()
            assert ": 50 requests are not completed and are lost" in d2.stdout()
        assert not list(directory.glob("*.pid"))


def test_a_signal_between_start_and_service_is_not_forgotten(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped-pyd2"
    stopped.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, sys\n"
        "from pyd2 import cli, daemon\n"
        "start = daemon.Daemon.start\n"
        "def start_and_stop(self):\n"
        "    start(self)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "daemon.Daemon.start = start_and_stop\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    stopped.chmod(0o755)
    with PortLease() as lease, private_directory() as directory:
        (directory / "d2.json").write_text(json.dumps(config(lease.take())))
        d2 = D2(str(stopped), directory)
        assert d2.process.wait_for_exit() == 0
        assert "DCTL_SHUTDOWN " in d2.stdout()


def test_after_a_stop_at_once_nothing_more_begins(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port, _one_zone(lease.take()))) as d2:
            d2.process.send_signal(signal.SIGSTOP)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(str(d2.socket))
                client.sendall(b'{ "command": "shutdown", "arguments": { "type": "now" } }')
                _send(port, 300)
                d2.process.send_signal(signal.SIGCONT)
                assert d2.process.wait_for_exit() == 0
            _, cleared, rest = d2.stdout().partition("CLEARED_FOR_SHUTDOWN")
            assert cleared
            assert "STARTING_TRANSACTION" not in rest


@pytest.mark.peers
def test_a_stop_at_once_logs_the_tries_that_it_cancels(d2_binary: str) -> None:
    logged = []
    for binary in (find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server"), d2_binary):
        with PortLease() as lease, private_directory() as directory, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            port, dns_port = lease.take(), silent.getsockname()[1]
            with D2.start(binary, directory, config(port, _one_zone(dns_port))) as d2:
                d2.wait_for_listener(port)
                _send(port, 2)
                d2.wait_for_log("UPDATE_REQUEST_SENT", 2)
                d2.command("shutdown", {"type": "now"})
                assert d2.process.wait_for_exit() == 0
                end = d2.stdout().partition("DCTL_SHUTDOWN ")[2]
            logged.append([line.partition("] ")[2].replace(str(dns_port), "PORT")
                         for line in end.splitlines() if "asiodns" in line])
    real, ours = logged
    assert ours == real == ["ASIODNS_FETCH_STOPPED upstream fetch to 127.0.0.1(PORT) has been stopped"] * 2


def test_the_log_names_a_library_that_refuses_the_first_configuration(d2_binary: str) -> None:
    """As the real server was seen to do: that configuration's loggers are in force already."""
    with PortLease() as lease, private_directory() as directory:
        library = directory / "refusing.py"
        library.write_text("def version(): return 20603\n"
                           "def d2_srv_configured(handle):\n"
                           "    handle.set_argument('error', 'not today')\n"
                           "    handle.status = 2\n")
        body = {"hooks-libraries": [{"library": library.name}]}
        (directory / "d2.json").write_text(json.dumps(config(lease.take(), body)))
        d2 = D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"})
        assert d2.process.wait_for_exit() == 1
        assert "DCTL_CONFIG_FILE_LOAD_FAIL DhcpDdns reason: not today\n" in d2.stdout()
        assert d2.stderr() == "Service failed: Could Not load configuration file: not today\n"


def test_keys_that_come_and_go_leave_no_statistics(d2_binary: str, is_pyd2: bool) -> None:
    """Also one whose name Kea prints as invalid JSON."""
    if not is_pyd2:
        pytest.skip("Kea's answer is no JSON while a key's name holds a backslash")
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port)) as d2:
            before = d2.statistics().keys()
            for number in range(5):
                key = {"name": f"a\\000{number}.", "algorithm": "HMAC-SHA256", "secret": "QUJD"}
                assert d2.command("config-set", config(port, {"tsig-keys": [key]}))["result"] == 0
                shown = d2.statistics().keys() - before
                assert shown == {f"key[a\\000{number}.].update-{what}"
                                 for what in ("sent", "success", "timeout", "error")}
            assert d2.command("config-set", config(port))["result"] == 0
            assert d2.statistics().keys() == before


def test_the_check_tells_of_a_wrong_socket_directory(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea finds it at the start only")
    with PortLease() as lease, private_directory() as directory:
        (directory / "d2.json").write_text(json.dumps(config(lease.take())))

        def check(env: dict[str, str]) -> tuple[int, str]:
            with D2(d2_binary, directory, ["-t", "d2.json"], env) as d2:
                return d2.process.wait_for_exit(), d2.stderr()

        assert check({}) == (0, "")
        # It may be made before the start.
        assert check({"KEA_CONTROL_SOCKET_DIR": "@DIR@/missing"}) == (0, "")
        directory.chmod(0o755)
        status, text = check({})
        assert status == 1
        with D2(d2_binary, directory) as d2:
            assert d2.process.wait_for_exit() == 1
            start = d2.stderr().splitlines()[-1]
        fault = text.removeprefix("Error encountered: ").strip()
        assert "does not have permssions = 750" in fault
        assert start.endswith(fault)


STARTING = """
import subprocess

def version():
    return 20603

def load(handle):
    with open("status", "w") as status:
        subprocess.run(["cat", "/proc/self/status"], stdout=status, check=True)
"""


def test_a_program_that_a_library_starts_at_the_start_can_be_ended(d2_binary: str, is_pyd2: bool) -> None:
    """The signals that wait until the server can act on them are not blocked in its children."""
    if not is_pyd2:
        return
    with PortLease() as lease, private_directory() as directory:
        (directory / "starting.py").write_text(STARTING)
        body = {"hooks-libraries": [{"library": "starting.py"}]}
        (directory / "d2.json").write_text(json.dumps(config(lease.take(), body)))
        with D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"}) as d2:
            d2.wait_for_commands()
        lines = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines())
    for name in ("SigBlk", "SigIgn"):
        signals = int(lines[name], 16)
        assert not [number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
                    if signals >> (number - 1) & 1]
